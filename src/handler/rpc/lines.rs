//! Lines out of a pipe: as many as a read brings, and none longer than a bound.

use std::io;

use tokio::net::unix::pipe::Receiver;

/// The longest line, in bytes.
pub(super) const LINE_CAP: usize = 16 * 1024 * 1024;
/// How much one read takes, and more when lines are longer.
const CHUNK: usize = 64 * 1024;

/// What was read and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to where no line's end was found.
    searched: usize,
}

/// A line that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Reads once; 0 at the end of the pipe.
    pub(super) fn fill(&mut self, pipe: &Receiver) -> io::Result<usize> {
        if self.begin > 0 {
            self.buffer.drain(..self.begin);
            self.searched -= self.begin;
            self.begin = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 16 * CHUNK {
            // A long line is no reason to keep so much for ever.
            self.buffer = Vec::new();
        }
        self.buffer.reserve(CHUNK);
        pipe.try_read_buf(&mut self.buffer)
    }

    /// The next line that is complete, without its end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.buffer.len() - self.begin > LINE_CAP { Err(TooLong) } else { Ok(None) };
        };
        let (begin, end) = (self.begin, self.searched + at);
        (self.begin, self.searched) = (end + 1, end + 1);
        if end - begin > LINE_CAP { Err(TooLong) } else { Ok(self.buffer.get(begin..end)) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::unix::pipe;

    use super::*;

    /// All lines of what is written in these pieces.
    async fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, TooLong> {
        let (mut sender, receiver) = pipe::pipe().unwrap();
        let write = async {
            for piece in pieces {
                // The reader may be gone.
                let _ = sender.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            drop(sender);
        };
        let read = async {
            let receiver = receiver;
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            loop {
                receiver.readable().await.unwrap();
                match lines.fill(&receiver) {
                    Ok(0) => return Ok(found),
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                while let Some(line) = lines.next()? {
                    found.push(line.to_vec());
                }
            }
        };
        tokio::join!(write, read).1
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_arrive() {
        let found = lines(&[b"one\ntw", b"", b"o\n\nthree\nfour", b"\n", b"rest"]).await.unwrap();
        assert_eq!(found, [&b"one"[..], b"two", b"", b"three", b"four"]);
    }

    #[tokio::test]
    async fn a_long_line_is_taken_up_to_the_bound() {
        let long = vec![b'x'; 5_000_000];
        let found = lines(&[b"a\n", &long, b"\nb\n"]).await.unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 5_000_000, 1]);
        assert_eq!(lines(&[&vec![b'x'; LINE_CAP + CHUNK]]).await, Err(TooLong));
    }
}
