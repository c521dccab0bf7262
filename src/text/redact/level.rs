//! A text with its escapes read some times, and which bytes of the text itself each of its characters stands for.

use std::ops::Range;

/// The longest command to a terminal that is passed over.
const LONGEST_COMMAND: usize = 2048;

/// A text at some level. Commands to a terminal, such as colours, are none of its characters: programs put them between a key and
/// its value.
pub(super) struct Level {
    pub(super) chars: Vec<char>,
    /// Where each begins; one more than there are characters.
    begins: Vec<u32>,
}

impl Level {
    pub(super) fn of(text: &str) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut level = Self::with_room(text.len());
        for (at, c) in text.char_indices() {
            level.chars.push(c);
            level.begins.push(offset(at));
        }
        level.begins.push(offset(text.len()));
        level.without_commands()
    }

    fn with_room(chars: usize) -> Self {
        Self { chars: Vec::with_capacity(chars), begins: Vec::with_capacity(chars + 1) }
    }

    /// Where this character begins in the text.
    pub(super) fn at(&self, char: usize) -> usize {
        self.begins.get(char).or(self.begins.last()).map_or(0, |&at| at as usize)
    }

    pub(super) fn range(&self, chars: Range<usize>) -> Range<usize> {
        self.at(chars.start)..self.at(chars.end)
    }

    /// The text with its escapes read; `None` if it has none.
    pub(super) fn unescaped(&self) -> Option<Self> {
        if !self.chars.contains(&'\\') {
            return None;
        }
        let mut inner = Self::with_room(self.chars.len());
        let mut at = 0;
        while at < self.chars.len() {
            let (c, length) = unescape(self.chars.get(at..).unwrap_or_default());
            inner.chars.push(c);
            inner.begins.extend(self.begins.get(at));
            at += length;
        }
        inner.begins.extend(self.begins.last());
        Some(inner.without_commands())
    }

    fn without_commands(self) -> Self {
        if !self.chars.iter().any(|c| matches!(c, '\u{1b}' | '\u{9b}')) {
            return self;
        }
        let mut kept = Self::with_room(self.chars.len());
        let mut at = 0;
        while let Some(c) = self.chars.get(at) {
            let length = command(self.chars.get(at..).unwrap_or_default());
            if length == 0 {
                kept.chars.push(*c);
                kept.begins.extend(self.begins.get(at));
            }
            at += length.max(1);
        }
        kept.begins.extend(self.begins.last());
        kept
    }
}

/// How many characters the command to a terminal has that begins here; 0: none does.
fn command(chars: &[char]) -> usize {
    let until = |from: usize, ends: &dyn Fn(char) -> bool| {
        let end = chars.iter().take(LONGEST_COMMAND).skip(from).position(|c| ends(*c));
        end.map_or(chars.len().min(LONGEST_COMMAND), |end| from + end + 1)
    };
    match chars {
        ['\u{1b}', '[', ..] => until(2, &|c| matches!(c, '@'..='~')),
        ['\u{9b}', ..] => until(1, &|c| matches!(c, '@'..='~')),
        // A title or a link; it ends with BEL or ESC \, of which the latter is a command of its own.
        ['\u{1b}', ']' | 'P' | '^' | '_' | 'X', ..] => {
            let end = until(2, &|c| matches!(c, '\u{7}' | '\u{1b}' | '\u{9c}'));
            if chars.get(end - 1) == Some(&'\u{1b}') { end - 1 } else { end }
        }
        // Such as the choice of a character set.
        ['\u{1b}', ' '..='/', ..] => until(1, &|c| matches!(c, '0'..='~')),
        ['\u{1b}', '0'..='~', ..] => 2,
        ['\u{1b}', ..] => 1,
        _ => 0,
    }
}

/// The first character of a text in a string, and how many characters it is written with. What is no escape is itself.
pub(super) fn unescape(text: &[char]) -> (char, usize) {
    let hex = |digits: &[char]| digits.iter().try_fold(0, |code, c| Some(code * 16 + c.to_digit(16)?));
    // Half of a pair is no character. No key that matters has one.
    let char = |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match *text {
        ['\\', 'u', a, b, c, d, ..] => hex(&[a, b, c, d]).map_or(('u', 2), |code| (char(code), 6)),
        // As Python, Ruby and shells write it.
        ['\\', 'x', a, b, ..] => hex(&[a, b]).map_or(('x', 2), |code| (char(code), 4)),
        ['\\', c, ..] => match c {
            'n' => ('\n', 2),
            'r' => ('\r', 2),
            't' => ('\t', 2),
            'b' | 'f' => (' ', 2),
            _ => (c, 2),
        },
        // An escape that was cut.
        ['\\'] | [] => (' ', 1),
        [c, ..] => (c, 1),
    }
}
