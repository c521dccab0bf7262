//! A process' stdout and stderr as lines.
//!
//! Everything is bounded: a line longer than [`LINE_CAP`] is split into pieces, and a [`Tail`] keeps only the last
//! lines. Invalid UTF-8 is replaced. Both pipes are read while the process runs, so it never blocks on a full pipe.
//! After it has ended, a grandchild that still holds the pipes delays the reader only for a bounded time.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::shim_word::{Listening, ShimWord};
use super::splitter::LineSplitter;
use super::splitter::boundary;
pub use super::splitter::{LINE_CAP, OutputLine, Source};

/// The largest read.
const CHUNK: usize = 16 * 1024;
/// How long the pipes must be silent after the process' end before reading stops.
const SILENCE: Duration = Duration::from_millis(100);
/// How long the pipes are read at most after the process' end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many lines a tail keeps.
const TAIL_LINES: usize = 32;
/// How many bytes a tail keeps.
const TAIL_BYTES: usize = 8 * 1024;
/// The largest room of a dropped line that serves the next one.
const RECYCLED: usize = 256;
/// How often a pipe is read at most for what stands in it: a pipe that is twice as large as unprivileged programs can
/// make it.
const MOST_READS: usize = 128;

/// The reading ends of a process' pipes.
#[derive(Debug)]
pub struct Output {
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    /// Where it tells how far it is. Nobody waits for its end.
    status: Option<Pipe>,
    shim: Listening,
}

#[derive(Debug)]
struct Pipe {
    receiver: pipe::Receiver,
    source: Source,
    lines: LineSplitter,
}

impl Output {
    pub(super) fn new(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> io::Result<Self> {
        let pipe = |fd: Option<OwnedFd>, source| fd.map(|fd| Pipe::new(fd, source)).transpose();
        let (stdout, stderr) = (pipe(stdout, Source::Stdout)?, pipe(stderr, Source::Stderr)?);
        Ok(Self { stdout, stderr, status: None, shim: Listening::default() })
    }

    /// Reads this one, too.
    pub(super) fn telling(self, status: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self { status: status.map(|fd| Pipe::new(fd, Source::Status)).transpose()?, ..self })
    }

    /// Listens for the shim that has this token.
    pub(super) fn hearing(self, proof: Option<String>) -> Self {
        Self { shim: Listening::new(proof), ..self }
    }

    /// What the shim said, if it did not become the program. It is known when [`rest`](Self::rest) has returned.
    #[must_use]
    pub fn shim_word(&self) -> Option<&ShimWord> {
        self.shim.word()
    }

    /// Waits for data, reads it, and passes on the complete lines. Returns `false` when both pipes have ended. Cancel
    /// safe.
    pub async fn pump(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> bool {
        if !self.is_open() && self.status.is_none() {
            return false;
        }
        // Yields, so that a process that never stops writing does not block other tasks.
        tokio::task::coop::consume_budget().await;
        let Self { stdout, stderr, status, shim } = self;
        let slot = tokio::select! {
            () = readable(stdout.as_ref()) => stdout,
            () = readable(stderr.as_ref()) => stderr,
            () = readable(status.as_ref()) => status,
        };
        let sink = &mut |line: OutputLine<'_>| sink(shim.hear(line));
        if let Some(pipe) = slot
            && pipe.read(sink) == Found::End
        {
            pipe.lines.finish(pipe.source, sink);
            *slot = None;
        }
        self.is_open() || self.status.is_some()
    }

    /// Reads what stands in the pipes at this moment. [`pump`](Self::pump) only knows of what the runtime has already been
    /// told, which may lag behind a message that the process wrote to another pipe afterwards. Returns `false` when both
    /// pipes have ended.
    pub fn take_written(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> bool {
        let Self { stdout, stderr, status, shim } = self;
        let sink = &mut |line: OutputLine<'_>| sink(shim.hear(line));
        for slot in [stdout, stderr, status] {
            let Some(pipe) = slot else { continue };
            let found = (0..MOST_READS).map(|_| pipe.read_untold(sink)).find(|found| *found != Found::Bytes);
            if found == Some(Found::End) {
                pipe.lines.finish(pipe.source, sink);
                *slot = None;
            }
        }
        self.is_open()
    }

    /// Does a process still hold a pipe?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Reads the rest after the process has ended: to the end of the pipes, or until they are silent because another
    /// process holds them. Then they are still open, and [`read_on`](super::background::read_on) keeps that process from
    /// dying of SIGPIPE.
    pub async fn rest(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) {
        let last = Instant::now() + PATIENCE;
        // All that the process itself wrote stands in the pipes by now.
        self.take_written(sink);
        while let Ok(true) = timeout_at(last.min(Instant::now() + SILENCE), self.pump(sink)).await {
            if Instant::now() >= last {
                break;
            }
        }
        let Self { stdout, stderr, status, shim } = self;
        let sink = &mut |line: OutputLine<'_>| sink(shim.hear(line));
        for pipe in [stdout, stderr, status].into_iter().flatten() {
            pipe.lines.finish(pipe.source, sink);
        }
    }
}

async fn readable(pipe: Option<&Pipe>) {
    match pipe {
        // An error shows again at the read, which then closes this pipe.
        Some(pipe) => drop(pipe.receiver.readable().await),
        None => pending().await,
    }
}

impl Pipe {
    fn new(fd: OwnedFd, source: Source) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
        Ok(Self { receiver: pipe::Receiver::from_owned_fd_unchecked(fd)?, source, lines: LineSplitter::default() })
    }

    /// One read of what the runtime says is there.
    fn read(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> Found {
        let mut chunk = [0; CHUNK];
        let read = self.receiver.try_read(&mut chunk);
        self.take(read, &chunk, sink)
    }

    /// One read whatever the runtime knows. At worst it wakes for bytes that are gone, and then finds that out by itself.
    fn read_untold(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> Found {
        let mut chunk = [0; CHUNK];
        let read = rustix::io::read(&self.receiver, &mut chunk).map_err(io::Error::from);
        self.take(read, &chunk, sink)
    }

    fn take(&mut self, read: io::Result<usize>, chunk: &[u8], sink: &mut impl FnMut(OutputLine<'_>)) -> Found {
        match read {
            Ok(0) => Found::End,
            Ok(n) => {
                self.lines.push(chunk.get(..n).unwrap_or_default(), self.source, sink);
                Found::Bytes
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Found::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Found::Nothing,
            Err(_) => Found::End,
        }
    }
}

/// What a read found. An interrupted one may find bytes when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Bytes,
    Nothing,
    End,
}

/// The last lines of an output, bounded in number and bytes.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Adds a line, and drops old lines to stay within the bounds.
    pub fn push(&mut self, text: &str) {
        let text = text.get(..boundary(text.as_bytes(), TAIL_BYTES.min(text.len()))).unwrap_or(text);
        self.bytes += text.len();
        // The room of an old line serves the new one, so that long outputs take none. That of a long line does not: else all
        // lines would have the room of the longest after a while.
        let mut line = String::new();
        while self.lines.len() >= TAIL_LINES || self.bytes > TAIL_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
            if oldest.capacity() <= RECYCLED {
                line = oldest;
            }
        }
        line.clear();
        line.push_str(text);
        self.lines.push_back(line);
    }

    /// Was nothing written?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last line.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.lines.back().map(String::as_str)
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The same.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::child::Running;
    use super::super::command::Command;
    use super::*;

    #[test]
    fn a_tail_forgets_the_oldest() {
        let mut tail = Tail::default();
        (0..100).for_each(|n| tail.push(&n.to_string()));
        let lines = tail.into_lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[31].as_str()), (32, "68", "99"));
        let mut tail = Tail::default();
        tail.push("old");
        tail.push(&"ü".repeat(TAIL_BYTES));
        let lines = tail.into_lines();
        assert_eq!((lines.len(), lines[0].len()), (1, TAIL_BYTES));
    }

    #[test]
    fn a_tail_has_no_more_room_than_its_lines_once_had() {
        let mut tail = Tail::default();
        for round in 0..100 {
            tail.push(&"x".repeat(TAIL_BYTES));
            (0..round).for_each(|n| tail.push(&n.to_string()));
        }
        let room: usize = tail.lines.iter().map(String::capacity).sum();
        assert!(room <= TAIL_LINES * RECYCLED, "{room}");
    }

    #[tokio::test]
    async fn what_stands_in_a_pipe_is_taken_though_the_runtime_was_not_told() {
        let (reading, mut writing) = io::pipe().unwrap();
        let mut output = Output::new(None, Some(reading.into())).unwrap();
        let mut write = |text: &str| writing.write_all(text.as_bytes()).unwrap();
        let mut lines: Vec<String> = Vec::new();
        // No await stands between a write and its read: the runtime cannot have heard of it.
        for round in 0..3 {
            write(&format!("{round}\n"));
            assert!(output.take_written(&mut |line| lines.push(line.text.to_owned())));
        }
        assert_eq!(lines, ["0", "1", "2"]);
        assert!(output.take_written(&mut |_| panic!("nothing more was written")));
        // Afterwards the pipe is waited for as before.
        write("3\nhalf");
        while lines.len() < 4 {
            assert!(output.pump(&mut |line| lines.push(line.text.to_owned())).await);
        }
        drop(writing);
        assert!(!output.take_written(&mut |line| lines.push(line.text.to_owned())));
        assert_eq!(lines[3..], ["3", "half"]);
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_pipe_holds_up_nobody() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 60 & echo $!; echo oops >&2; printf unfinished"]);
        let mut running = Running::spawn(&command, Vec::new()).unwrap();
        running.child.exited().await;
        let (begun, mut lines) = (Instant::now(), Vec::new());
        running.output.rest(&mut |line| lines.push((line.source, line.text.to_owned()))).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        running.child.signal_group(rustix::process::Signal::KILL);
        let of = |source| lines.iter().filter(move |line| line.0 == source).map(|line| line.1.as_str());
        assert_eq!(of(Source::Stdout).nth(1), Some("unfinished"));
        assert_eq!(of(Source::Stderr).collect::<Vec<_>>(), ["oops"]);
    }

    #[tokio::test]
    async fn a_grandchild_that_never_stops_writing_holds_up_nobody_either() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while :; do echo noise; done & exit 0"]);
        let mut running = Running::spawn(&command, Vec::new()).unwrap();
        running.child.exited().await;
        let (begun, mut count) = (Instant::now(), 0);
        running.output.rest(&mut |_| count += 1).await;
        assert!(begun.elapsed() < Duration::from_secs(20) && count > 0);
        running.child.signal_group(rustix::process::Signal::KILL);
    }
}
