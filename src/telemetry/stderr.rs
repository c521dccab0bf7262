//! Writes to a stderr that may block, be full, or be closed, and that may recover.
//!
//! Only clean lines get there: a `Sink` takes nothing but `CleanLine`s.

use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::SigSet;

use crate::text::clean;

/// How long the log waits before it tries again to write to a stderr that would block.
const PAUSE: Duration = Duration::from_millis(20);

/// How long [`write_line`] waits until its line is written.
const LINE_TIMEOUT: Duration = Duration::from_millis(500);

/// One line with its end, in which nothing stands that a terminal or a reader of lines would obey; or nothing at all.
#[derive(Debug, Default)]
pub(super) struct CleanLine(String);

impl CleanLine {
    /// The line of a text, whatever stands in it. A text that is empty up to its line end is no line.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim_end_matches('\n');
        if text.is_empty() { Self::default() } else { Self(format!("{}\n", clean::line(text))) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A writer of whole lines that counts the lines it could not write.
pub(super) struct Sink<W> {
    out: W,
    /// How many lines in a row could not be written, and why the last one could not.
    failed: Option<(u64, String)>,
    /// The last line was written only in part.
    torn: bool,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, failed: None, torn: false }
    }

    /// Could the last line not be written?
    pub(super) fn is_failing(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes a line. While writing fails, lines are counted; when it works again, the message of `lost` with their
    /// number is written first. Returns whether the line was written.
    pub(super) fn write(&mut self, line: &CleanLine, lost: impl FnOnce(u64, &str) -> CleanLine) -> bool {
        if !self.recover(lost) {
            self.count(None);
            return false;
        }
        let written = self.put(line);
        if let Err(error) = &written {
            self.count(Some(error.to_string()));
        }
        written.is_ok()
    }

    /// Tries to write the message of `lost`, if lines were lost. Returns whether writing works.
    pub(super) fn recover(&mut self, lost: impl FnOnce(u64, &str) -> CleanLine) -> bool {
        let Some((count, error)) = self.failed.take() else { return true };
        match self.put(&lost(count, &error)) {
            Ok(()) => true,
            Err(again) => {
                self.failed = Some((count, again.to_string()));
                false
            }
        }
    }

    /// Counts a line that could not be formatted.
    pub(super) fn skip(&mut self, why: &str) {
        self.count(Some(why.to_owned()));
    }

    fn count(&mut self, why: Option<String>) {
        let (count, last) = self.failed.take().unwrap_or_default();
        self.failed = Some((count + 1, why.unwrap_or(last)));
    }

    fn put(&mut self, line: &CleanLine) -> io::Result<()> {
        if self.torn {
            self.put_bytes(b"\n")?;
            self.torn = false;
        }
        self.put_bytes(line.as_str().as_bytes())
    }

    fn put_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let error = match self.out.write(bytes) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                // A process that shares stderr has made it non-blocking. This thread waits, because it has nothing else
                // to do.
                io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                _ => {
                    self.torn |= bytes.len() < whole;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Writes a line to stderr with our name in front, and waits for it at most half a second, so that the caller never
/// hangs.
pub fn write_line(text: &str) {
    let line = CleanLine::of(&format!("windlass: {text}"));
    let (done, written) = channel();
    let write = move || {
        // A signal belongs to the caller, which may be about to execute another program.
        let _ = SigSet::all().thread_block();
        // There is no other place to report an error.
        let _ = std::io::stderr().write_all(line.as_str().as_bytes());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("say".to_owned()).spawn(write).is_ok() {
        let _ = written.recv_timeout(LINE_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails until it is given more room.
    #[derive(Default)]
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost(count: u64, why: &str) -> CleanLine {
        CleanLine::of(&format!("{count} lost: {why}"))
    }

    #[test]
    fn what_could_not_be_written_is_counted_and_told_when_writing_works_again() {
        let mut sink = Sink::new(Disk { room: 8, ..Disk::default() });
        for line in ["one\n", "second\n", "third\n", "fourth\n"] {
            sink.write(&CleanLine::of(line), lost);
        }
        assert!(sink.is_failing() && !sink.recover(lost));
        assert_eq!(sink.out.written, b"one\nseco");
        sink.out.room = 1000;
        assert!(sink.recover(lost) && !sink.is_failing());
        sink.write(&CleanLine::of("fifth\n"), lost);
        assert_eq!(String::from_utf8_lossy(&sink.out.written), "one\nseco\n3 lost: no storage space\nfifth\n");
    }
}
