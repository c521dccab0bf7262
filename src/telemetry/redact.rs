//! Prepares the texts of others for the log: hides the values of secret keys, and limits the length.
//!
//! A field of a [`LogLine`](super::log_line::LogLine) takes nothing else. Its characters are as they were: each format
//! writes out in its own way what must not be shown raw.

use std::borrow::Cow;
use std::fmt;

use crate::event::kind::{LONGEST_LINE, LONGEST_TEXT};
use crate::text::clean;
use crate::text::cut::cut;
use crate::text::redact::Redactor;

/// A text that a log line may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Shown {
    /// The same as a name inside of a message, in quotes if it could be read as more than a name.
    pub(super) fn as_name(&self) -> Cow<'_, str> {
        clean::value(&self.0)
    }
}

/// Makes what a log line may show.
#[derive(Debug, Clone)]
pub(super) struct Redact(Redactor);

impl Redact {
    /// Hides the values of these keys.
    pub(super) fn new(keys: &[String]) -> Self {
        Self(Redactor::new(keys))
    }

    /// A text: arguments, a name, an error.
    pub(super) fn text(&self, text: &str) -> Shown {
        Shown(cut(self.0.hide(text), LONGEST_TEXT))
    }

    /// A name inside of a message, in quotes if it could be read as more than a name.
    pub(super) fn name(&self, name: &str) -> Shown {
        Shown(clean::value(&self.text(name).0).into_owned())
    }

    /// A line of a job's output.
    pub(super) fn output(&self, text: &str) -> Shown {
        Shown(cut(self.0.hide(text), LONGEST_LINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded_and_without_secrets() {
        let redact = Redact::new(&["password".to_owned()]);
        let long = "é".repeat(2000);
        assert!(redact.text(&long).0.ends_with("... (4000 bytes)"));
        assert_eq!(redact.output(&long).0, long, "a job's own words are cut where docs/handlers.md says");
        assert!(redact.output(&"é".repeat(LONGEST_LINE)).0.ends_with("... (32768 bytes)"));
        assert_eq!(redact.name("x id=7\n").0, r#""x id=7\n""#);
        assert_eq!(redact.text(r#"[{"Password":"x"}]"#).0, r#"[{"Password":"[redacted]"}]"#);
    }
}
