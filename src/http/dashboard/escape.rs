//! The gate that everything passes which a template prints: what `log.redact` hides is hidden, and what would be markup is text.
//!
//! Templates have no other way to print: nothing in them is marked as safe, which a test holds.

use std::cell::RefCell;
use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

use crate::text::redact::Redactor;

thread_local! {
    /// What hides while a template is printed. Templates are printed on one thread, and never wait.
    static HIDES: RefCell<Option<Redactor>> = const { RefCell::new(None) };
}

/// How the templates print.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::http) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: Write>(&self, to: W, text: &str) -> fmt::Result {
        // Nothing is hidden in a text without a quote.
        if !text.contains(['"', '\'']) {
            return Html.write_escaped_str(to, text);
        }
        HIDES.with_borrow(|hides| match hides {
            Some(redactor) => Html.write_escaped_str(to, &redactor.hide(text)),
            None => Html.write_escaped_str(to, text),
        })
    }
}

/// Prints, and hides what this redactor hides.
pub(super) fn hiding<T>(redactor: &Redactor, print: impl FnOnce() -> T) -> T {
    /// Also after a panic.
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            HIDES.set(None);
        }
    }
    HIDES.set((!redactor.is_idle()).then(|| redactor.clone()));
    let _ends = Ends;
    print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_in_the_log_is_hidden_and_markup_is_text() {
        let shown = |text: &str| {
            let mut out = String::new();
            Shown.write_escaped_str(&mut out, text).map(|()| out)
        };
        let redactor = Redactor::new(&["password".to_owned()]);
        let text = r#"[{"password":"xyz","to":"<b>"}]"#;
        assert!(shown(text).is_ok_and(|told| told.contains("xyz")));
        let told = hiding(&redactor, || shown(text)).unwrap();
        assert!(!told.contains("xyz") && !told.contains('<') && told.contains("redacted"), "{told}");
        assert_eq!(shown("a'b\"&<>").unwrap(), "a&#39;b&#34;&#38;&#60;&#62;");
    }
}
