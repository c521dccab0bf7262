//! Where a secret key stands at some level of a text, and where its value ends.

use std::ops::Range;

use super::level::unescape;

/// What stands at a quote.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// No key.
    None,
    /// What may be the key, up to the end of the text.
    Cut,
    /// The key; its value begins there.
    Value(usize),
}

/// How a value stands at the end of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Structure {
    /// The brackets that are open, and the quotes.
    pub(super) opened: Vec<Range<usize>>,
    /// Where the last character begins that is read with what follows; the end if there is none.
    pub(super) last: usize,
    /// Is a string open?
    pub(super) in_string: bool,
    /// Does it end with the line?
    pub(super) ends_with_line: bool,
}

pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

pub(super) fn folded(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Is this key at this quote?
pub(super) fn key_at(chars: &[char], quote: usize, key: &[char]) -> Key {
    let mut at = quote + 1;
    let mut left = key;
    while !left.is_empty() {
        let Some(rest) = chars.get(at..).filter(|rest| !rest.is_empty()) else { return Key::Cut };
        let (c, length) = unescape(rest);
        if at + length >= chars.len() && rest.first() == Some(&'\\') {
            return Key::Cut;
        }
        for c in c.to_lowercase() {
            match left.split_first() {
                Some((first, rest)) if *first == c => left = rest,
                _ => return Key::None,
            }
        }
        at += length;
    }
    match chars.get(at) {
        None => return Key::Cut,
        Some(end) if Some(end) == chars.get(quote) => {}
        Some(_) => return Key::None,
    }
    // A file of values behind commas writes each quote twice.
    at += 1;
    if chars.get(at) == chars.get(quote) {
        at += 1;
    }
    at = behind_blanks(chars, at);
    // JSON and Python, or Ruby.
    match chars.get(at..).unwrap_or_default() {
        [] | ['='] => Key::Cut,
        [':', ..] => Key::Value(behind_blanks(chars, at + 1)),
        ['=', '>', ..] => Key::Value(behind_blanks(chars, at + 2)),
        _ => Key::None,
    }
    .or_cut(chars.len())
}

impl Key {
    /// A value that has not begun is to come.
    fn or_cut(self, end: usize) -> Self {
        if self == Self::Value(end) { Self::Cut } else { self }
    }
}

fn behind_blanks(chars: &[char], from: usize) -> usize {
    let is_blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    chars.iter().skip(from).position(|c| !is_blank(*c)).map_or(chars.len(), |blanks| from + blanks)
}

/// Where the value that begins here ends, and how it stands there if that is the end of the text. A value that does not end was
/// cut, or goes on. `joins`: is what stands directly behind a string a part of it?
pub(super) fn end_of_value(chars: &[char], from: usize, joins: bool) -> (usize, Option<Structure>) {
    let mut brackets: Vec<usize> = Vec::new();
    let mut at = from;
    while let Some(&c) = chars.get(at) {
        match c {
            quote if is_quote(quote) => {
                let length = quotes(chars, at);
                match end_of_string(chars, at, length) {
                    Ok(end) => at = end,
                    Err(last) => {
                        let ends_with_line = brackets.is_empty() && at != from && length == 1;
                        let mut opened: Vec<_> = brackets.into_iter().map(|at| at..at + 1).collect();
                        opened.push(at..at + length);
                        return (chars.len(), Some(Structure { opened, last, in_string: true, ends_with_line }));
                    }
                }
                if brackets.is_empty() && !joins {
                    return (at, None);
                }
                if brackets.is_empty()
                    && let Some(next) = next_string(chars, at)
                {
                    at = next;
                }
                continue;
            }
            '[' | '{' | '(' => brackets.push(at),
            // In a word it is none.
            ')' if brackets.last().is_none_or(|open| chars.get(*open) != Some(&'(')) => {}
            ']' | '}' | ')' => {
                if brackets.pop().is_none() {
                    return (at, None);
                }
                if brackets.is_empty() {
                    return (at + 1, None);
                }
            }
            ',' if brackets.is_empty() => return (at, None),
            c if brackets.is_empty() && c.is_whitespace() => return (at, None),
            _ => {}
        }
        at += 1;
    }
    let ends_with_line = brackets.is_empty();
    let last = if chars.last() == Some(&'\\') { chars.len() - 1 } else { chars.len() };
    let opened = brackets.into_iter().map(|at| at..at + 1).collect();
    (chars.len(), Some(Structure { opened, last, in_string: false, ends_with_line }))
}

/// How many quotes the string has that begins here: three as in Python, or one.
fn quotes(chars: &[char], at: usize) -> usize {
    let quote = chars.get(at);
    if (1..3).all(|next| chars.get(at + next) == quote) { 3 } else { 1 }
}

/// A further string behind one that has ended: it is a part of the value, on the same line.
fn next_string(chars: &[char], end: usize) -> Option<usize> {
    let blanks = |from: usize| {
        let is_blank = |c: &char| matches!(c, ' ' | '\t');
        chars.iter().skip(from).position(|c| !is_blank(c)).map_or(chars.len(), |blanks| from + blanks)
    };
    let mut at = blanks(end);
    if matches!(chars.get(at), Some('+' | '.' | '&' | '|' | '\\')) {
        at = behind_blanks(chars, at + 1);
    }
    chars.get(at).is_some_and(|c| is_quote(*c)).then_some(at)
}

/// Behind the quotes that end the string at these quotes; if none do, where its last character begins that is read with what
/// follows.
fn end_of_string(chars: &[char], from: usize, length: usize) -> Result<usize, usize> {
    let mut at = from + length;
    while let Some(c) = chars.get(at) {
        if Some(c) == chars.get(from) {
            if length == 1 || quotes(chars, at) == length {
                return Ok(at + length);
            }
            if at + length > chars.len() {
                // The quotes may go on.
                return Err(at);
            }
        }
        if *c == '\\' {
            if at + 1 == chars.len() {
                return Err(at);
            }
            at += 1;
        }
        at += 1;
    }
    Err(chars.len())
}
