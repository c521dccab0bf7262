//! Prepares arguments for the log: hides the values of secret keys, escapes control characters, limits the length.

use serde_json::Value;

use crate::process::output::LINE_CAP;

/// The longest argument text that a line shows, in bytes.
const LONGEST: usize = 1024;
/// The longest line of a job's own output that a line shows, in bytes. It is the limit of a line of a process.
const LONGEST_OUTPUT: usize = LINE_CAP;
/// The replacement of a secret.
const HIDDEN: &str = "[redacted]";

/// A job's arguments for a log line. The values of `keys` are hidden at any depth; case is ignored.
#[must_use]
pub fn args(raw: &[u8], keys: &[String]) -> String {
    if keys.is_empty() {
        return shorten(&String::from_utf8_lossy(raw));
    }
    match serde_json::from_slice::<Value>(raw) {
        Ok(mut value) => {
            hide(&mut value, keys);
            shorten(&value.to_string())
        }
        // JSON with lone surrogates or very deep nesting cannot be searched, so all of it is hidden.
        Err(_) => HIDDEN.to_owned(),
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

/// Foreign text, shortened and escaped for one line.
#[must_use]
pub fn shorten(text: &str) -> String {
    shown(text, LONGEST)
}

/// A line of a job's output, shortened and escaped.
#[must_use]
pub fn output(text: &str) -> String {
    shown(text, LONGEST_OUTPUT)
}

fn shown(text: &str, longest: usize) -> String {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown = String::with_capacity(end);
    for c in text[..end].chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if end < text.len() {
        shown.push_str(&format!("... ({} bytes)", text.len()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_at_any_depth() {
        let keys = ["password".to_owned()];
        let shown = args(br#"[{"user":"a","Password":"x","deep":[{"password":{"y":1}}]}]"#, &keys);
        assert_eq!(shown, r#"[{"user":"a","Password":"[redacted]","deep":[{"password":"[redacted]"}]}]"#);
        assert_eq!(args(b"{bad", &keys), HIDDEN);
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(args(b"[1,\n\x1b[31m2]", &[]), "[1,\\n\\u{1b}[31m2]");
        let long = "é".repeat(2000);
        assert!(shorten(&long).ends_with("... (4000 bytes)"));
        assert_eq!(output(&long), long, "a job's own words are cut where docs/handlers.md says");
        assert!(output(&"é".repeat(LINE_CAP)).ends_with("... (32768 bytes)"));
    }
}
