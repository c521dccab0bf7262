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

/// Does this character show nothing, or the same as a space? In a text it does no harm, and some writing needs it; a name with one
/// passes for another name. These are the property Default_Ignorable_Code_Point, the class Zs but for the space, and letters and
/// marks that are blank by their design.
#[must_use]
pub const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{202a}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}'
        | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{13430}'..='\u{13440}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Must this character be written out in a name?
#[must_use]
pub const fn is_odd_in_name(c: char) -> bool {
    is_unsafe(c) || is_unseen(c)
}

/// The text as one line. A text without such characters is not copied.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    written_out(text, is_unsafe)
}

/// A line of what a program printed, as a page of its own: tabs stay.
#[must_use]
pub fn printed(text: &str) -> Cow<'_, str> {
    written_out(text, |c| is_unsafe(c) && c != '\t')
}

fn written_out(text: &str, is_odd: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    let Some(first) = text.find(is_odd) else { return Cow::Borrowed(text) };
    let (good, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(good);
    for c in rest.chars() {
        if is_odd(c) { push_escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A cell of a listing. What shows nothing is written out, in quotes unless it is JSON: an empty cell is one that has nothing.
#[must_use]
pub fn cell(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Cow::Borrowed(text);
    }
    let is_blank = text.trim().is_empty();
    match text.contains(is_unseen) || is_blank {
        false => line(text),
        true if text.starts_with(['[', '{']) => written_out(text, is_odd_in_name),
        true => {
            let mut out = String::with_capacity(text.len() + 8);
            push_quoted(&mut out, text);
            Cow::Owned(out)
        }
    }
}

/// A name as a label, which has no quotes around it: different names stay different.
#[must_use]
pub fn label(name: &str) -> Cow<'_, str> {
    let is_odd = |c: char| is_odd_in_name(c) && !matches!(c, '\n' | '\t');
    if !name.contains(is_odd) && !name.contains("\\u") {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 16);
    for c in name.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            _ if is_odd(c) => push_unicode(&mut out, c),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The value of a `key=value` field: as it is, or in quotes as in JSON if it is empty, or holds a blank, a quote, `=` or
/// what must be written out.
#[must_use]
pub fn value(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_whitespace() || matches!(c, '"' | '=') || is_odd_in_name(c);
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
            _ if is_odd_in_name(c) => push_escape(out, c),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A name in a sentence: as it is, or in quotes if it is empty, begins or ends with a blank, or holds what must be written out or
/// shows nothing.
/// It would be missed otherwise, or taken for something else. Of a long one the beginning: anybody can have chosen it.
#[must_use]
pub fn named(name: &(impl std::fmt::Display + ?Sized)) -> String {
    let name = cut(name, LONGEST_NAMED);
    if !name.is_empty() && name.trim().len() == name.len() && !name.contains(is_odd_in_name) {
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
    // JSON allows none of them raw inside of a string.
    json_with(document, |c| if matches!(c, '\n' | '\r' | '\t') { Some(' ') } else { None })
}

/// The same for documents that may stand on several lines, and for streams of events: blanks between tokens stay.
#[must_use]
pub fn json_lines(documents: &str) -> Cow<'_, str> {
    json_with(documents, |c| if matches!(c, '\n' | '\r' | '\t') { Some(c) } else { None })
}

fn json_with(document: &str, blank: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    let changes = |c: char| is_odd_in_name(c) && blank(c) != Some(c);
    let Some(first) = document.find(changes) else { return Cow::Borrowed(document) };
    let (good, rest) = document.split_at(first);
    let mut out = String::with_capacity(document.len() + 16);
    out.push_str(good);
    for c in rest.chars() {
        match blank(c) {
            Some(blank) => out.push(blank),
            None if is_odd_in_name(c) => push_unicode(&mut out, c),
            None => out.push(c),
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

/// As JSON has it: four hexadecimal digits, and for characters that need more, two halves.
fn push_unicode(out: &mut String, c: char) {
    for half in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(out, "\\u{half:04x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any text, with many of the characters in question.
    fn texts() -> impl Strategy<Value = String> {
        let odd = "[\\x00-\\x1f\\x7f-\\xa0\\u{61c}\\u{200b}-\\u{2069}\\u{feff}\\u{e0041}\"= \\\\]";
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
            ("default\u{e0041}", "\"default\\udb40\\udc41\""),
            ("de\u{ad}fault", "\"de\\u00adfault\""),
            ("\u{3164}", "\"\\u3164\""),
            ("a\u{a0}b", "\"a\\u00a0b\""),
        ] {
            assert_eq!(named(name), expected);
        }
        let long = named(&"\u{1b}x".repeat(2_000_000));
        assert!(long.len() < 10 * LONGEST_NAMED && long.ends_with("... (4000000 bytes)\""), "{}", long.len());
    }

    #[test]
    fn a_cell_that_would_look_like_another_or_like_nothing_stands_in_quotes() {
        for unseen in "\u{200b}\u{feff}\u{2060}\u{3164}\u{115f}\u{ad}\u{2800}\u{fe0f}\u{e0041}\u{200d}\u{3000}".chars()
        {
            assert!(is_unseen(unseen), "{:x}", u32::from(unseen));
            let (alone, behind) = (unseen.to_string(), format!("default{unseen}"));
            for name in [alone, behind] {
                let shown = cell(&name);
                assert!(shown.is_ascii() && shown.starts_with('"'), "{shown}");
                assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), name);
            }
        }
        for (text, shown) in [
            ("", ""),
            (" ", "\" \""),
            ("two words", "two words"),
            ("größer", "größer"),
            ("a\u{1b}b", "a\\u001bb"),
            ("[\"\u{200b}\"]", "[\"\\u200b\"]"),
        ] {
            assert_eq!(cell(text), shown);
        }
        assert_eq!(printed("a\tb\u{1b}[1m"), "a\tb\\u001b[1m");
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
        fn different_names_have_different_labels(one in "[\\\\u01b\u{1b}\u{200b}x]{0,8}", other in "[\\\\u01b\u{1b}\u{200b}x]{0,8}") {
            prop_assert_eq!(one == other, label(&one) == label(&other));
            prop_assert!(!label(&one).contains(is_odd_in_name));
        }

        #[test]
        fn a_document_keeps_its_content(text in texts(), other in texts()) {
            let document = serde_json::json!({ "key": text, other: [1, null, &text] });
            for written in [serde_json::to_string(&document).unwrap(), serde_json::to_string_pretty(&document).unwrap()] {
                let shown = json(&written);
                prop_assert!(!shown.contains(is_odd_in_name));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &document);
                let lines = json_lines(&written);
                prop_assert!(!lines.replace('\n', "").contains(is_odd_in_name));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&lines).unwrap(), &document);
            }
        }
    }
}
