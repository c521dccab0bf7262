//! Writes out the characters that a reader of one line must not meet raw.
//!
//! These are the control characters (they move a cursor, colour, ring and end lines), the separators of lines and
//! paragraphs, and the characters that change the direction of writing (they let a text read as another one). Each is
//! written as JSON writes it, `\u001b`, so that one way serves texts, quoted values and JSON documents.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::cut::cut;

/// How much of a name a sentence holds, in bytes.
const LONGEST_NAMED: usize = 1024;

/// Must this character be written out? These are the Unicode classes Cc, Zl and Zp, and the property Bidi_Control.
#[must_use]
pub const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text as one line. A text without such characters is not copied.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(is_unsafe) else { return Cow::Borrowed(text) };
    let (good, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(good);
    for c in rest.chars() {
        if is_unsafe(c) { push_escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The value of a `key=value` field: as it is, or in quotes as in JSON if it is empty, or holds a blank, a quote, `=` or
/// what must be written out.
#[must_use]
pub fn value(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_whitespace() || matches!(c, '"' | '=') || is_unsafe(c);
    if !text.is_empty() && !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    push_quoted(&mut out, text);
    Cow::Owned(out)
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if is_unsafe(c) => push_escape(out, c),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A name in a sentence: as it is, or in quotes if it is empty, begins or ends with a blank, or holds what must be written out.
/// It would be missed otherwise, or taken for something else. Of a long one the beginning: anybody can have chosen it.
#[must_use]
pub fn named(name: &(impl std::fmt::Display + ?Sized)) -> String {
    let name = cut(name, LONGEST_NAMED);
    if !name.is_empty() && name.trim().len() == name.len() && !name.contains(is_unsafe) {
        return name;
    }
    let mut out = String::with_capacity(name.len() + 8);
    push_quoted(&mut out, &name);
    out
}

/// A JSON document as one line, with the same content. Inside of strings the characters are escaped. Between tokens only
/// blanks can stand; they become spaces.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    let Some(first) = document.find(is_unsafe) else { return Cow::Borrowed(document) };
    let (good, rest) = document.split_at(first);
    let mut out = String::with_capacity(document.len() + 16);
    out.push_str(good);
    for c in rest.chars() {
        match c {
            // JSON allows none of them raw inside of a string.
            '\n' | '\r' | '\t' => out.push(' '),
            _ if is_unsafe(c) => push_unicode(&mut out, c),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn push_escape(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => push_unicode(out, c),
    }
}

/// All of them have four hexadecimal digits.
fn push_unicode(out: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any text, with many of the characters in question.
    fn texts() -> impl Strategy<Value = String> {
        let odd = "[\\x00-\\x1f\\x7f-\\xa0\\u{61c}\\u{200b}-\\u{2069}\"= \\\\]";
        proptest::collection::vec(prop_oneof![odd, "\\PC{0,5}", any::<char>().prop_map(String::from)], 0..20)
            .prop_map(|parts| parts.concat())
    }

    #[test]
    fn a_name_that_would_be_missed_stands_in_quotes() {
        for (name, expected) in [
            ("mail", "mail"),
            ("two words", "two words"),
            ("a\"b", "a\"b"),
            ("", "\"\""),
            ("  ", "\"  \""),
            (" mail", "\" mail\""),
            ("a\u{1b}[1m\n", "\"a\\u001b[1m\\n\""),
            ("\u{202e}lian", "\"\\u202elian\""),
        ] {
            assert_eq!(named(name), expected);
        }
        let long = named(&"\u{1b}x".repeat(2_000_000));
        assert!(long.len() < 10 * LONGEST_NAMED && long.ends_with("... (4000000 bytes)\""), "{}", long.len());
    }

    #[test]
    fn the_classes_are_those_of_unicode() {
        // Zl, Zp and Bidi_Control are closed: no version of Unicode adds to them without notice.
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let wanted = |c: char| c.is_control() || bidi.contains(c) || c == '\u{2028}' || c == '\u{2029}';
        assert!((0..=0x10_ffff).filter_map(char::from_u32).all(|c| is_unsafe(c) == wanted(c)));
    }

    #[test]
    fn what_is_written_out_reads_as_in_json() {
        assert_eq!(line("a\u{1b}[2Jb\n\u{202e}c\u{9b}é"), "a\\u001b[2Jb\\n\\u202ec\\u009bé");
        assert_eq!(value("plain-é"), "plain-é");
        assert_eq!(value("x id=7"), "\"x id=7\"");
        assert_eq!(value("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(value("\u{202e}"), "\"\\u202e\"");
        assert_eq!(value(""), "\"\"");
        assert_eq!(json("{\"a\":\n[1,\t\"\u{2028}\"]}"), "{\"a\": [1, \"\\u2028\"]}");
    }

    proptest! {
        #[test]
        fn nothing_of_the_kind_is_left_and_nothing_else_is_changed(text in texts()) {
            let shown = line(&text);
            prop_assert!(!shown.contains(is_unsafe));
            prop_assert_eq!(line(&shown).into_owned(), shown.clone().into_owned(), "cleaning twice changes nothing");
            if !text.contains(is_unsafe) {
                prop_assert_eq!(shown.into_owned(), text);
            }
        }

        #[test]
        fn a_value_is_one_word_or_a_string_of_json(text in texts()) {
            let shown = value(&text);
            prop_assert!(!shown.contains(is_unsafe));
            if shown.starts_with('"') {
                prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            } else {
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c == '"' || c == '='));
                prop_assert_eq!(shown.into_owned(), text);
            }
        }

        #[test]
        fn a_document_keeps_its_content(text in texts(), other in texts()) {
            let document = serde_json::json!({ "key": text, other: [1, null, &text] });
            for written in [serde_json::to_string(&document).unwrap(), serde_json::to_string_pretty(&document).unwrap()] {
                let shown = json(&written);
                prop_assert!(!shown.contains(is_unsafe));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &document);
            }
        }
    }
}
