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

use super::lines::Lines;

/// The longest line that is passed on in one piece, in bytes.
pub const LINE_CAP: usize = 16 * 1024;
/// The largest read.
const CHUNK: usize = 16 * 1024;
/// How long the pipes must be silent after the process' end before reading stops.
const SILENCE: Duration = Duration::from_millis(100);
/// How long the pipes are read at most after the process' end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a state of a line is passed on that is written again and again.
const PROGRESS: Duration = Duration::from_secs(1);
/// How many lines a tail keeps.
const TAIL_LINES: usize = 32;
/// How many bytes a tail keeps.
const TAIL_BYTES: usize = 8 * 1024;

/// Which pipe a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLine<'a> {
    /// Where it was written.
    pub source: Source,
    /// The text, without the newline.
    pub text: &'a str,
    /// Does it continue the line before?
    pub continued: bool,
}

/// The reading ends of a process' pipes.
#[derive(Debug)]
pub struct Output {
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
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
        Ok(Self { stdout: pipe(stdout, Source::Stdout)?, stderr: pipe(stderr, Source::Stderr)? })
    }

    /// Waits for data, reads it, and passes on the complete lines. Returns `false` when both pipes have ended. Cancel
    /// safe.
    pub async fn pump(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> bool {
        if !self.is_open() {
            return false;
        }
        // Yields, so that a process that never stops writing does not block other tasks.
        tokio::task::coop::consume_budget().await;
        let slot = tokio::select! {
            () = readable(self.stdout.as_ref()) => &mut self.stdout,
            () = readable(self.stderr.as_ref()) => &mut self.stderr,
        };
        if let Some(pipe) = slot
            && !pipe.read(sink)
        {
            pipe.lines.finish(pipe.source, sink);
            *slot = None;
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
        while let Ok(true) = timeout_at(last.min(Instant::now() + SILENCE), self.pump(sink)).await {
            if Instant::now() >= last {
                break;
            }
        }
        for pipe in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
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

    /// One read; `false` at the end.
    fn read(&mut self, sink: &mut impl FnMut(OutputLine<'_>)) -> bool {
        let mut chunk = [0; CHUNK];
        match self.receiver.try_read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.lines.push(chunk.get(..n).unwrap_or_default(), self.source, sink);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}

/// Cuts bytes into lines, and long lines into pieces.
///
/// A carriage return begins the line anew, as on a terminal: so programs show their progress. The last state of such a line is
/// passed on at its end; before that one each second, so that a log grows slowly and still tells that something happens.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    lines: Lines,
    /// Was a piece of this line already passed on?
    continued: bool,
    /// The states of a line that is written again and again.
    progress: Progress,
}

#[derive(Debug, Default)]
struct Progress {
    /// When something of this line was passed on; at first, when it had a state.
    since: Option<Instant>,
    /// The last state, if it was not passed on.
    state: Option<Vec<u8>>,
}

impl LineSplitter {
    pub(crate) fn push(&mut self, bytes: &[u8], source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
        self.push_at(Instant::now, bytes, source, sink);
    }

    fn push_at(
        &mut self,
        now: impl Fn() -> Instant,
        bytes: &[u8],
        source: Source,
        sink: &mut impl FnMut(OutputLine<'_>),
    ) {
        let Self { lines, continued, progress } = self;
        lines.room(bytes.len()).extend_from_slice(bytes);
        while let Some(line) = lines.take_line() {
            let (states, last) = at_return(line, line.len()).unwrap_or((b"", line));
            let state = if states.len() + last.len() < line.len() {
                progress.states(states, continued, &now, source, sink).or_else(|| progress.state.take())
            } else {
                progress.state.take()
            };
            let before = std::mem::take(progress);
            let is_long = *continued || last.len() > LINE_CAP;
            if is_long || shows(last) || (before.since.is_none() && state.is_none()) {
                whole(last, continued, source, sink);
            } else if let Some(state) = state {
                whole(&state, continued, source, sink);
            }
        }
        // What was there before holds no carriage return.
        if let Some((states, rest)) = at_return(lines.partial(), bytes.len()) {
            let cut = lines.partial().len() - rest.len();
            if let Some(state) = progress.states(states, continued, &now, source, sink) {
                let now = now();
                if now.saturating_duration_since(*progress.since.get_or_insert(now)) < PROGRESS {
                    progress.state = Some(state);
                } else {
                    whole(&state, continued, source, sink);
                    *progress = Progress { since: Some(now), state: None };
                }
            }
            lines.skip(cut);
        }
        let cut = pieces(lines.partial(), continued, source, sink);
        lines.skip(cut);
    }

    /// The end of the pipe also ends the line.
    pub(crate) fn finish(&mut self, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
        let Self { lines, continued, progress: Progress { since, state } } = self;
        let line = lines.partial();
        if *continued || shows(line) || (since.is_none() && !line.is_empty()) {
            whole(line, continued, source, sink);
        } else if let Some(state) = state {
            whole(state, continued, source, sink);
        }
        *self = Self::default();
    }
}

impl Progress {
    /// Takes the states before a carriage return, and returns the last one. What is too long for a state is passed on.
    fn states(
        &mut self,
        states: &[u8],
        continued: &mut bool,
        now: &impl Fn() -> Instant,
        source: Source,
        sink: &mut impl FnMut(OutputLine<'_>),
    ) -> Option<Vec<u8>> {
        let mut last = None;
        for state in states.split(|&byte| byte == b'\r') {
            if *continued || state.len() > LINE_CAP {
                whole(state, continued, source, sink);
                (*self, last) = (Self { since: Some(now()), state: None }, None);
            } else if shows(state) {
                last = Some(state);
            }
        }
        last.map(<[u8]>::to_vec)
    }
}

/// Does a terminal show anything of it?
fn shows(state: &[u8]) -> bool {
    !state.trim_ascii().is_empty()
}

/// What stands before the last carriage return, and behind it; it is among the last `new` bytes.
fn at_return(line: &[u8], new: usize) -> Option<(&[u8], &[u8])> {
    let old = line.len().saturating_sub(new);
    let at = old + line.get(old..)?.iter().rposition(|&byte| byte == b'\r')?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// Passes on a line to its end.
fn whole(line: &[u8], continued: &mut bool, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
    let cut = pieces(line, continued, source, sink);
    let line = line.get(cut..).unwrap_or_default();
    // An empty rest after a cut is not a line.
    if !(*continued && line.is_empty()) {
        sink(OutputLine { source, text: &String::from_utf8_lossy(line), continued: *continued });
    }
    *continued = false;
}

/// Passes on the pieces of a long line, and returns how many bytes they are.
fn pieces(line: &[u8], continued: &mut bool, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) -> usize {
    let mut rest = line;
    while rest.len() > LINE_CAP {
        let (piece, behind) = rest.split_at(boundary(rest, LINE_CAP));
        sink(OutputLine { source, text: &String::from_utf8_lossy(piece), continued: *continued });
        *continued = true;
        rest = behind;
    }
    line.len() - rest.len()
}

/// The last position up to `at` that does not split a UTF-8 character.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_start = |&i: &usize| bytes.get(i).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(is_start).unwrap_or(at)
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
        self.lines.push_back(text.to_owned());
        while self.lines.len() > TAIL_LINES || self.bytes > TAIL_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The last line.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.lines.back().map(String::as_str)
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::child::Running;
    use super::super::command::Command;
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        let mut sink = |line: OutputLine<'_>| lines.push((line.text.to_owned(), line.continued));
        for chunk in chunks {
            splitter.push(chunk, Source::Stdout, &mut sink);
        }
        splitter.finish(Source::Stdout, &mut sink);
        lines
    }

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        split(chunks).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(texts(&[b"a\nb", b"", b"c\n", b"\r\nlast"]), ["a", "bc", "", "last"]);
        assert_eq!(texts(&[b"\xc3", b"\xbc\xff\n"]), ["ü\u{fffd}"]);
        assert!(texts(&[]).is_empty());
    }

    #[test]
    fn of_a_line_that_is_written_again_the_last_state_counts() {
        for (chunks, lines) in [
            (&[&b"1%\r2%\r100%\nnext\n"[..]][..], &["100%", "next"][..]),
            (&[b"\r1%", b"\r2%\r", b"3", b"%\r", b"\n", b"\n"], &["3%", ""]),
            (&[b"a\r", b"\nb\r\n\r\n", b"\r", b"\nc\r\r\n"], &["a", "b", "", "", "c"]),
            (&[b"100%\r    \r\n", b"50%\r   \rdone\n", b"  \n"], &["100%", "done", "  "]),
            (&[b"a\r", b" \n", b"\r", b" \n", b"b\r "], &["a", " ", "b"]),
            (&[b"1%\r2%\r"], &["2%"]),
            (&[b"1%\r2%\r3"], &["3"]),
        ] {
            assert_eq!(texts(chunks), lines, "{chunks:?}");
        }
        let long = "y".repeat(LINE_CAP + 1);
        let pieces = split(&[long.as_bytes(), b"end\r", b"1%\r2%\n", long.as_bytes(), b"end\r\n", b"z\n"]);
        let ends: Vec<_> = pieces.iter().map(|(text, continued)| (text.trim_start_matches("yy"), *continued)).collect();
        assert_eq!(ends, [("", false), ("yend", true), ("2%", false), ("", false), ("yend", true), ("z", false)]);
    }

    #[test]
    fn progress_is_told_once_a_second() {
        let (mut splitter, begin) = (LineSplitter::default(), Instant::now());
        let mut told = Vec::new();
        for ms in (0..3_500).step_by(100) {
            let text = format!("{ms}\r");
            let now = || begin + Duration::from_millis(ms);
            splitter.push_at(now, text.as_bytes(), Source::Stderr, &mut |line| told.push(line.text.to_owned()));
        }
        splitter.push(b"\n", Source::Stderr, &mut |line| told.push(line.text.to_owned()));
        assert_eq!(told, ["1000", "2000", "3000", "3400"]);
        // A state that was told is not told again at the end.
        told.clear();
        for (ms, text) in [(0, "1\r"), (1000, "2\r"), (1100, "\n")] {
            let now = || begin + Duration::from_millis(ms);
            splitter.push_at(now, text.as_bytes(), Source::Stderr, &mut |line| told.push(line.text.to_owned()));
        }
        assert_eq!(told, ["2"]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_cut_no_character() {
        let long = "ü".repeat(LINE_CAP);
        let pieces = split(&[b"x", long.as_bytes(), b"\nnext\n"]);
        assert!(pieces.iter().all(|(text, _)| text.len() <= LINE_CAP));
        assert_eq!(pieces.iter().map(|(_, continued)| *continued).collect::<Vec<_>>(), [false, true, true, false]);
        let joined: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(joined, format!("x{long}next"));
        let exact = "y".repeat(LINE_CAP);
        assert_eq!(split(&[exact.as_bytes(), b"\nz\n"]), [(exact, false), ("z".into(), false)]);
        // What is not UTF-8 at all is cut where it must be.
        assert_eq!(split(&[&vec![0x80; LINE_CAP + 1]]).len(), 2);
    }

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
