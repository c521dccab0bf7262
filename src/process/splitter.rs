//! Cuts the output of a process into lines, long lines into pieces, and progress into states.

use std::time::Duration;

use tokio::time::Instant;

use super::lines::Lines;

/// The longest line that is passed on in one piece, in bytes.
pub const LINE_CAP: usize = 16 * 1024;
/// How often a state of a line is passed on that is written again and again.
const PROGRESS: Duration = Duration::from_secs(1);

/// Which pipe a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The descriptor on which it tells how far it is.
    Status,
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
    /// What stood on the line before it, and was overwritten by it without being passed on. Only what has a quote is told.
    pub overwritten: &'a str,
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
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    text: Vec<u8>,
    overwritten: Vec<u8>,
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
                whole(last, text(state.as_ref()), continued, source, sink);
            } else if let Some(state) = state {
                whole(&state.text, &state.overwritten, continued, source, sink);
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
                    whole(&state.text, &state.overwritten, continued, source, sink);
                    *progress = Progress { since: Some(now), state: None };
                }
            }
            lines.skip(cut);
        }
        let cut = pieces(lines.partial(), text(progress.state.as_ref()), continued, source, sink);
        lines.skip(cut);
    }

    /// The end of the pipe also ends the line.
    pub(crate) fn finish(&mut self, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
        let Self { lines, continued, progress: Progress { since, state } } = self;
        let line = lines.partial();
        if *continued || shows(line) || (since.is_none() && !line.is_empty()) {
            whole(line, text(state.as_ref()), continued, source, sink);
        } else if let Some(state) = state {
            whole(&state.text, &state.overwritten, continued, source, sink);
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
    ) -> Option<State> {
        let before = self.state.take();
        let (mut last, mut overwritten, mut is_passed_on) = (None, text(before.as_ref()), false);
        for state in states.split(|&byte| byte == b'\r') {
            if *continued || state.len() > LINE_CAP {
                whole(state, last.unwrap_or(overwritten), continued, source, sink);
                (*self, last, overwritten) = (Self { since: Some(now()), state: None }, None, b"");
                is_passed_on = true;
            } else if shows(state) {
                overwritten = last.unwrap_or(overwritten);
                last = Some(state);
            }
        }
        let Some(last) = last else {
            self.state = before.filter(|_| !is_passed_on);
            return None;
        };
        let tells = overwritten.iter().any(|byte| b"\"'\\".contains(byte));
        Some(State { text: last.to_vec(), overwritten: if tells { overwritten.to_vec() } else { Vec::new() } })
    }
}

fn text(state: Option<&State>) -> &[u8] {
    state.map_or(b"", |state| &state.text)
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
fn whole(line: &[u8], overwritten: &[u8], continued: &mut bool, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
    let cut = pieces(line, overwritten, continued, source, sink);
    let line = line.get(cut..).unwrap_or_default();
    // An empty rest after a cut is not a line.
    if !(*continued && line.is_empty()) {
        piece(line, overwritten, *continued, source, sink);
    }
    *continued = false;
}

/// Passes on the pieces of a long line, and returns how many bytes they are.
fn pieces(
    line: &[u8],
    overwritten: &[u8],
    continued: &mut bool,
    source: Source,
    sink: &mut impl FnMut(OutputLine<'_>),
) -> usize {
    let mut rest = line;
    while rest.len() > LINE_CAP {
        let (part, behind) = rest.split_at(boundary(rest, LINE_CAP));
        piece(part, overwritten, *continued, source, sink);
        *continued = true;
        rest = behind;
    }
    line.len() - rest.len()
}

fn piece(text: &[u8], overwritten: &[u8], continued: bool, source: Source, sink: &mut impl FnMut(OutputLine<'_>)) {
    let has_quote = !continued && overwritten.iter().any(|byte| b"\"'\\".contains(byte));
    let overwritten = String::from_utf8_lossy(if has_quote { overwritten } else { b"" });
    sink(OutputLine { source, text: &String::from_utf8_lossy(text), continued, overwritten: &overwritten });
}

/// The last position up to `at` that does not split a UTF-8 character.
pub(super) fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_start = |&i: &usize| bytes.get(i).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(is_start).unwrap_or(at)
}

#[cfg(test)]
mod tests {
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
    fn what_was_overwritten_is_told_with_what_overwrote_it_if_it_has_a_quote() {
        let told = |chunks: &[&[u8]]| {
            let (mut splitter, mut told) = (LineSplitter::default(), Vec::new());
            let mut sink = |line: OutputLine<'_>| told.push((line.text.to_owned(), line.overwritten.to_owned()));
            chunks.iter().for_each(|chunk| splitter.push(chunk, Source::Stdout, &mut sink));
            splitter.finish(Source::Stdout, &mut sink);
            told
        };
        let both = |text: &str, overwritten: &str| vec![(text.to_owned(), overwritten.to_owned())];
        for chunks in [
            &[&b"\"a\":\r\"b\"\n"[..]][..],
            &[b"\"a\":\r", b"\"b\"", b"\n"],
            &[b"\"a\":", b"\r", b"\"b\"\r"],
            &[b"\"a\":\r", b"\"b\""],
        ] {
            assert_eq!(told(chunks), both("\"b\"", "\"a\":"), "{chunks:?}");
        }
        assert_eq!(told(&[b"\"a\":\r\"b\"\r\r\n"]), both("\"b\"", "\"a\":"));
        assert_eq!(told(&[b"1%\r2%\n"]), both("2%", ""));
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
}
