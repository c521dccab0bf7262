//! Splits a stream of bytes into lines.

/// A buffer that grew beyond this is freed when it is empty, so that one long line does not hold memory for good.
const KEPT: usize = 1024 * 1024;

/// Bytes that were read and not yet taken.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// How far the buffer was searched for a newline.
    searched: usize,
}

impl Lines {
    /// The buffer to append the next read to, with room for at least `size` bytes.
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

    /// Takes the next complete line, without its newline.
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

    /// The beginning of an incomplete line, once [`take_line`](Self::take_line) finds no other line.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    /// Drops the first bytes of that partial line.
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
