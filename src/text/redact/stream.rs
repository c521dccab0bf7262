//! Hides in a text that comes in parts: the lines of an output, and the pieces of a line that is too long for one.
//!
//! A key may end one part and its value begin the next one, and a value may go on over many. So what is open at the end of a part
//! is kept, and read again in front of the next one: from the key on, if that is short, and else the key with the brackets and
//! quotes that are open. This is bounded, whatever comes.

use std::borrow::Cow;

use super::{Found, HIDDEN, Open, Redactor, may_hold_key};

/// The most that is kept of a part.
const KEPT: usize = 2048;
/// Over how many ends of lines a value goes on at most. What was taken for one, and is none, must end somewhere.
const MOST_LINES: u32 = 200;
/// How many bytes at the end of a part may belong to an escape that goes on.
const ESCAPE: usize = 64;

/// What was left open by the part before.
#[derive(Debug, Default)]
pub struct Stream {
    /// The text that stands for it.
    kept: String,
    /// Does it end with the line?
    ends_with_line: bool,
    /// Over how many ends of lines it has gone on.
    lines: u32,
    /// Is all of this line hidden?
    lost: bool,
}

impl Stream {
    /// May the next part be hidden although it holds no key?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lost || !self.kept.is_empty()
    }

    /// A part without the values of the keys. `overwritten`: what stood on this line before it, and was overwritten by it.
    /// `continued`: it continues the line of the part before.
    pub fn hide<'t>(&mut self, redactor: &Redactor, overwritten: &str, part: &'t str, continued: bool) -> Cow<'t, str> {
        if redactor.is_idle() {
            return Cow::Borrowed(part);
        }
        if !continued {
            self.line_ends();
        } else if self.lost {
            return Cow::Borrowed(if part.is_empty() { part } else { HIDDEN });
        }
        if self.kept.is_empty() && !may_hold_key(part) && !may_hold_key(overwritten) {
            return Cow::Borrowed(part);
        }
        let mut text = std::mem::take(&mut self.kept);
        let was_open = !text.is_empty();
        if was_open && !continued {
            text.push('\n');
        }
        if !overwritten.is_empty() {
            text.push_str(overwritten);
            text.push('\r');
        }
        let from = text.len();
        text.push_str(part);
        let mut found = redactor.find(&text);
        self.keep(&found, &text);
        if found.open.as_ref().is_none_or(|open| open.from >= from) {
            self.lines = 0;
        }
        if found.hidden.iter().all(|(range, _)| range.end <= from) {
            return Cow::Borrowed(part);
        }
        Cow::Owned(found.without(&text, from))
    }

    fn line_ends(&mut self) {
        self.lines = self.lines.saturating_add(1);
        if self.lost || self.ends_with_line || self.lines > MOST_LINES {
            *self = Self::default();
        }
    }

    /// Keeps what the text leaves open.
    fn keep(&mut self, found: &Found, text: &str) {
        (self.lost, self.ends_with_line) = (found.lost, false);
        let from = |at: usize| text.get(at..).unwrap_or_default();
        let escape = begun_escape(text);
        match &found.open {
            // An escape of its own may begin a key. It does not go on over the end of the line.
            None => {
                self.kept.push_str(from(escape));
                self.ends_with_line = true;
            }
            Some(open) => {
                self.ends_with_line = open.value.as_ref().is_some_and(|value| value.ends_with_line);
                let whole = from(open.from.min(escape));
                if whole.len() <= KEPT {
                    self.kept.push_str(whole);
                } else {
                    self.kept = in_short(open, text, escape);
                }
            }
        }
        if self.kept.len() > KEPT {
            (self.kept, self.lost) = (String::new(), true);
        }
    }
}

/// The same as the text from the key on, for what follows.
fn in_short(open: &Open, text: &str, escape: usize) -> String {
    let get = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let Some(value) = &open.value else {
        // Blanks behind a key, or commands to a terminal.
        let long = get(open.from..text.len());
        return long.split_whitespace().collect::<Vec<_>>().join(" ");
    };
    let mut short = get(open.from..value.begin).to_owned();
    value.opened.iter().for_each(|range| short.push_str(get(range.clone())));
    // In a string what was read so far does not matter, but an escape does. It must not repeat what is open.
    let behind = value.opened.last().map_or(value.begin, |range| range.end);
    let last = if value.in_string { value.last.min(escape).max(behind) } else { value.last };
    short.push_str(get(last..text.len()));
    short
}

/// Where an escape begins that may go on behind the text: at the first of the backslashes near its end.
fn begun_escape(text: &str) -> usize {
    let near = text.floor_char_boundary(text.len().saturating_sub(ESCAPE));
    let Some(found) = text.get(near..).and_then(|end| end.find('\\')) else { return text.len() };
    let backslashes = text.get(..near + found).unwrap_or_default();
    near + found - (backslashes.len() - backslashes.trim_end_matches('\\').len())
}

#[cfg(test)]
mod tests;
