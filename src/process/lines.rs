//! Bytes as they come, cut into lines.

/// An empty buffer that grew beyond this is not kept: a long line is no reason to hold so much for ever.
const KEPT: usize = 1024 * 1024;

/// What was read and not yet taken.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to where no line's end was found.
    searched: usize,
}

impl Lines {
    /// Where to append what is read next, at least this much.
    pub fn room(&mut self, size: usize) -> &mut Vec<u8> {
        if self.begin > 0 {
            self.buffer.drain(..self.begin);
            self.searched -= self.begin;
            self.begin = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(size);
        &mut self.buffer
    }

    /// Takes the next line that is complete, without its end.
    pub fn take_line(&mut self) -> Option<&[u8]> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let (begin, end) = (self.begin, self.searched + at);
        (self.begin, self.searched) = (end + 1, end + 1);
        self.buffer.get(begin..end)
    }

    /// What is there of a line whose end has not come, once [`take_line`](Self::take_line) finds no other.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    /// Takes the first bytes of it.
    pub fn skip(&mut self, count: usize) {
        self.begin = self.buffer.len().min(self.begin + count);
        self.searched = self.searched.max(self.begin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in [&b"one\ntw"[..], b"", b"o\n\nthree\nfour", b"\n", b"rest"] {
            lines.room(piece.len()).extend_from_slice(piece);
            while let Some(line) = lines.take_line() {
                found.push(line.to_vec());
            }
        }
        assert_eq!(found, [&b"one"[..], b"two", b"", b"three", b"four"]);
        lines.skip(2);
        assert_eq!(lines.partial(), b"st");
        lines.skip(9);
        lines.room(2).extend_from_slice(b"!\n");
        assert_eq!(lines.take_line(), Some(&b"!"[..]));
    }
}
