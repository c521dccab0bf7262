//! Prepares the texts of others for the log: hides the values of secret keys, and limits the length.
//!
//! A field of a [`LogLine`](super::log_line::LogLine) takes nothing else. Its characters are as they were: each format
//! writes out in its own way what must not be shown raw.

use std::fmt;

use serde_json::Value;

use crate::event::kind::{LONGEST_LINE, LONGEST_TEXT};
use crate::text::clean;
use crate::text::cut::cut;

/// The replacement of a secret.
const HIDDEN: &str = "[redacted]";

/// A text that a log line may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job's arguments for a log line. The values of `keys` are hidden at any depth; case is ignored.
#[must_use]
pub(super) fn args(raw: &[u8], keys: &[String]) -> Shown {
    if keys.is_empty() {
        return text(&String::from_utf8_lossy(raw));
    }
    match serde_json::from_slice::<Value>(raw) {
        Ok(mut value) => {
            hide(&mut value, keys);
            text(&value.to_string())
        }
        // JSON with lone surrogates or very deep nesting cannot be searched, so all of it is hidden.
        Err(_) => Shown(HIDDEN.to_owned()),
    }
}

fn hide(value: &mut Value, keys: &[String]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, keys)),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                if keys.iter().any(|secret| secret.eq_ignore_ascii_case(key)) {
                    *member = Value::String(HIDDEN.to_owned());
                } else {
                    hide(member, keys);
                }
            }
        }
        _ => {}
    }
}

/// A foreign text, shortened.
#[must_use]
pub(super) fn text(text: &str) -> Shown {
    Shown(cut(text, LONGEST_TEXT))
}

/// A foreign name inside of a message: shortened, and in quotes if it could be read as more than a name.
#[must_use]
pub(super) fn name(name: &str) -> Shown {
    Shown(clean::value(&text(name).0).into_owned())
}

/// A line of a job's output, shortened.
#[must_use]
pub(super) fn output(text: &str) -> Shown {
    Shown(cut(text, LONGEST_LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_at_any_depth() {
        let keys = ["password".to_owned()];
        let shown = args(br#"[{"user":"a","Password":"x","deep":[{"password":{"y":1}}]}]"#, &keys);
        assert_eq!(shown.0, r#"[{"user":"a","Password":"[redacted]","deep":[{"password":"[redacted]"}]}]"#);
        assert_eq!(args(b"{bad", &keys).0, HIDDEN);
    }

    #[test]
    fn a_field_is_bounded() {
        let long = "é".repeat(2000);
        assert!(text(&long).0.ends_with("... (4000 bytes)"));
        assert_eq!(output(&long).0, long, "a job's own words are cut where docs/handlers.md says");
        assert!(output(&"é".repeat(LONGEST_LINE)).0.ends_with("... (32768 bytes)"));
        assert_eq!(name("x id=7\n").0, r#""x id=7\n""#);
    }
}
