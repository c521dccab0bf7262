//! Finds what a shell would fill in, in texts that no shell reads: `${NAME}`, `$NAME`, `~/`.
//!
//! Windlass takes every text as it stands. Where such a text cannot be meant (an address, a path) it is refused; elsewhere
//! it is told with what to write instead.

use crate::config::reader::Value;

/// Variables that are written in small letters.
const SMALL: [&str; 4] = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// The first variable of a text: `${NAME}`, or `$NAME` with a name as variables have it. `$5` and `US$` are none.
#[must_use]
pub fn variable(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let after = &text[at + 1..];
        if let Some(inside) = after.strip_prefix('{') {
            let end = inside.find('}')?;
            // `${NAME:-default}` is one, too.
            return starts_with_name(&inside[..end]).then(|| &text[at..at + end + 3]);
        }
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let name = &after[..after.find(|letter| !is_part(letter)).unwrap_or(after.len())];
        let is_begun = text[..at].chars().next_back().is_none_or(|before| !is_part(before));
        (is_begun && is_variable(name)).then(|| &text[at..=at + name.len()])
    })
}

/// The same, and a home folder at the beginning.
#[must_use]
pub fn in_path(text: &str) -> Option<&str> {
    if text == "~" || text.starts_with("~/") { Some("~") } else { variable(text) }
}

/// Is this how a variable is named?
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let is_large = name.len() > 1
        && name.starts_with(|letter: char| letter.is_ascii_uppercase() || letter == '_')
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_large || SMALL.contains(&name)
}

fn starts_with_name(inside: &str) -> bool {
    let name = inside.split([':', '-', '=', '?', '+', '#', '%']).next().unwrap_or_default();
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The text of a path; one that a shell would have to fill in is reported.
pub fn path<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.string()?;
    if let Some(found) = in_path(text) {
        value.report(format!(
            "expected a path as it is (found {found}, which no shell fills in here); write an absolute path, or one that is \
             relative to this file"
        ));
        return None;
    }
    Some(text)
}

/// Warns of a text that a shell would have to fill in; `remedy` says what to write instead.
pub fn warn(value: &Value<'_>, remedy: &str) {
    if let Some(found) = value.raw().as_str().and_then(in_path) {
        value.warn(&format!("{found} stays as it is, because no shell reads this; {remedy}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_dollars() {
        for (text, found) in [
            ("redis://${REDIS_HOST}:1", Some("${REDIS_HOST}")),
            ("$HOME/bin:$PATH", Some("$HOME")),
            ("a ${name:-x} b", Some("${name:-x}")),
            ("$http_proxy", Some("$http_proxy")),
            ("it costs $5 and ${0}", None),
            ("US$AMOUNT", None),
            ("$1 $@ $? $x $total $A", None),
            ("${} ${ a} ${", None),
            ("$", None),
        ] {
            assert_eq!(variable(text), found, "{text}");
        }
        assert_eq!((in_path("~/x"), in_path("~x"), in_path("a~/x")), (Some("~"), None, None));
        assert_eq!(in_path("/a/$USER"), Some("$USER"));
    }
}
