//! Encoded lines on their way into a child's stdin. What the pipe does not take yet waits here.

use std::io;

use tokio::net::unix::pipe::Sender;

/// A buffer that grew beyond this is freed when it is empty.
const KEPT: usize = 1024 * 1024;

/// Lines of which the first `written` bytes are sent. Offsets count all bytes ever encoded.
#[derive(Debug, Default)]
pub(super) struct RequestBuffer {
    bytes: Vec<u8>,
    written: usize,
    sent: u64,
}

/// The lines from here on can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsent {
    /// The offset of the first line that is not sent as a whole.
    pub(super) first: u64,
    /// A part of that line is sent.
    pub(super) is_begun: bool,
}

impl RequestBuffer {
    /// Is everything sent?
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes ever sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The offset of the next line.
    pub(super) fn end(&self) -> u64 {
        self.sent + wide(self.bytes.len() - self.written)
    }

    /// Where the next line is encoded to.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes as much as the pipe takes.
    ///
    /// # Errors
    /// Fails if the child has closed the pipe.
    pub(super) fn write(&mut self, input: &Sender) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match input.try_write(rest) {
                Ok(count) => {
                    self.written += count;
                    self.sent += wide(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }

    /// What can be taken back; `None` if everything is sent.
    pub(super) fn unsent(&self) -> Option<Unsent> {
        let line = self.line();
        let first = self.offset() + wide(line);
        (self.written < self.bytes.len()).then_some(Unsent { first, is_begun: line < self.written })
    }

    /// Takes back the unsent lines at these offsets. The offsets of the lines behind them change, as `moved` is told: from
    /// where, to where.
    pub(super) fn take_back(&mut self, offsets: &[u64], mut moved: impl FnMut(u64, u64)) {
        let (line, offset) = (self.line(), self.offset());
        let (mut kept, mut at) = (Vec::new(), line);
        for text in self.bytes.get(line..).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            let from = offset + wide(at);
            if !offsets.contains(&from) {
                moved(from, offset + wide(line + kept.len()));
                kept.extend_from_slice(text);
            }
            at += text.len();
        }
        (self.bytes, self.written) = (kept, self.written - line);
    }

    /// Where the first line begins that is not sent as a whole.
    fn line(&self) -> usize {
        let sent = self.bytes.get(..self.written).unwrap_or_default();
        sent.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    /// The offset of the first byte.
    fn offset(&self) -> u64 {
        self.sent - wide(self.written)
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_sent_are_taken_back_and_those_behind_them_move() {
        let mut buffer = RequestBuffer { bytes: b"aa\nbbb\ncccc\nd\n".to_vec(), written: 5, sent: 105 };
        assert_eq!((buffer.end(), buffer.unsent()), (114, Some(Unsent { first: 103, is_begun: true })));
        let mut moved = Vec::new();
        buffer.take_back(&[107], |from, to| moved.push((from, to)));
        assert_eq!(moved, [(103, 103), (112, 107)]);
        assert_eq!((&buffer.bytes[..], buffer.written, buffer.end()), (&b"bbb\nd\n"[..], 2, 109));
        assert_eq!(buffer.unsent(), Some(Unsent { first: 103, is_begun: true }));
        (buffer.written, buffer.sent) = (4, 107);
        assert_eq!(buffer.unsent(), Some(Unsent { first: 107, is_begun: false }));
        (buffer.written, buffer.sent) = (6, 109);
        assert_eq!(buffer.unsent(), None);
    }
}
