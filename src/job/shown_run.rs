//! What the owner of a run shows of it to those who watch: one JSON object of at most [`LONGEST`] bytes.
//!
//! ```json
//! {"at_ms":1795490778123,"first":812,"lines":["copied 3 of 7"],"progress":{"percent":42.0,"message":"copying","at_ms":1795490778000},
//!  "usage":{"processes":2,"memory_bytes":12345678,"cpu_ms":840},"end":{"outcome":"failed","error":"ExitStatus: exited with 3"}}
//! ```
//!
//! Lines are numbered from 0 on, so that anyone who follows prints each once, although only the last ones are shown. Other
//! programs may write anything in the place of a record: what cannot be read is none.

use serde::{Deserialize, Serialize};

use super::ecma::quote;

/// The longest record, in bytes.
pub const LONGEST: usize = 64 << 10;
/// What the record may hold beside the lines.
const FRAME: usize = 4 << 10;
/// The longest message of a progress, in bytes.
pub const LONGEST_MESSAGE: usize = 200;
/// The longest error of an end.
const LONGEST_ERROR: usize = 1024;

/// Reads an object of bounded length. Serde would also take an array as the members' values in order.
fn object<'a, T: Deserialize<'a>>(record: &'a [u8], longest: usize) -> Option<T> {
    let is_object = record.len() <= longest && record.trim_ascii_start().first() == Some(&b'{');
    serde_json::from_slice(record).ok().filter(|_| is_object)
}

/// How far a run is, as its handler told it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct Progress {
    /// From 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// What it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was told, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

impl Progress {
    /// A number is brought between 0 and 100, a long message is cut. A percent that is no number is none.
    #[must_use]
    pub fn new(percent: Option<f64>, message: &str) -> Self {
        let percent = percent.filter(|percent| percent.is_finite()).map(|percent| percent.clamp(0.0, 100.0));
        let message = message.get(..message.floor_char_boundary(LONGEST_MESSAGE)).unwrap_or_default().to_owned();
        Self { percent, message, at_ms: 0 }
    }

    /// Reads what a handler tells: an object with `percent`, a number, or `message`, a text, or both.
    #[must_use]
    pub fn told(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told<'a> {
            #[serde(default)]
            percent: Option<f64>,
            #[serde(default, borrow)]
            message: Option<std::borrow::Cow<'a, str>>,
        }
        let Told { percent, message } = object(json, LONGEST)?;
        (percent.is_some() || message.is_some()).then(|| Self::new(percent, message.as_deref().unwrap_or_default()))
    }

    /// The record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // It holds numbers that are finite and a text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        let read: Self = object(record, FRAME)?;
        Some(Self { at_ms: read.at_ms, ..Self::new(read.percent, &read.message) })
    }

    /// `42 %: copying`.
    #[must_use]
    pub fn text(&self) -> String {
        match (self.percent, self.message.as_str()) {
            (Some(percent), "") => format!("{percent:.0} %"),
            (Some(percent), message) => format!("{percent:.0} %: {message}"),
            (None, message) => message.to_owned(),
        }
    }
}

/// What the processes of a run use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RunUsage {
    /// How many there are.
    pub processes: u64,
    /// Their resident memory.
    pub memory_bytes: u64,
    /// The processor time of those that live, and of their children that were waited for.
    pub cpu_ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownEnd {
    /// `done`, `failed`, ... as runs are kept.
    pub outcome: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ShownEnd {
    /// An end with an error, which is cut.
    #[must_use]
    pub fn new(outcome: &str, error: Option<&str>) -> Self {
        let cut = |error: &str| error.get(..error.floor_char_boundary(LONGEST_ERROR)).unwrap_or_default().to_owned();
        Self { outcome: outcome.to_owned(), error: error.map(cut) }
    }
}

/// What is shown of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ShownRun {
    /// When it was shown, by the clock of the instance that has the run.
    pub at_ms: i64,
    /// The number of the first line.
    pub first: u64,
    /// The last lines that it printed.
    pub lines: Vec<String>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What its processes use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<RunUsage>,
    /// How it ended, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<ShownEnd>,
}

impl ShownRun {
    /// The record. Lines that find no room are left out, the oldest first.
    #[must_use]
    pub fn encode(mut self) -> Vec<u8> {
        let mut room = LONGEST - FRAME;
        let fits = |line: &&String| {
            let needed = quote(line).len() + 1;
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        };
        let kept = self.lines.iter().rev().take_while(fits).count();
        let left_out = self.lines.len() - kept;
        self.lines.drain(..left_out);
        self.first = self.first.saturating_add(left_out as u64);
        // It holds numbers that are finite and texts.
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Reads a record.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        object(record, LONGEST)
    }

    /// The lines from this number on, and how many before them were not seen because only the last ones are shown.
    #[must_use]
    pub fn lines_from(&self, next: u64) -> (u64, &[String]) {
        let missed = self.first.saturating_sub(next);
        let seen = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (missed, self.lines.get(seen..).unwrap_or_default())
    }

    /// The number of the line that will come next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.lines.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_left_out_from_the_oldest_on() {
        let lines: Vec<String> = (0..200).map(|n| format!("{n}{}", "\u{1}".repeat(400))).collect();
        let shown = ShownRun { first: 7, lines: lines.clone(), ..ShownRun::default() };
        let record = shown.encode();
        assert!(record.len() <= LONGEST, "{}", record.len());
        let read = ShownRun::parse(&record).unwrap();
        assert_eq!((read.next(), read.lines.last()), (207, lines.last()));
        assert!(read.lines.len() < 200 && read.first == 207 - read.lines.len() as u64);
        assert_eq!(read.lines_from(206), (0, &lines[199..]));
        assert_eq!(read.lines_from(207), (0, &[][..]));
        assert_eq!(read.lines_from(0), (read.first, &read.lines[..]));
    }

    #[test]
    fn a_progress_is_brought_within_its_bounds() {
        let progress = Progress::new(Some(812.0), &"\u{fc}".repeat(400));
        assert_eq!((progress.percent, progress.message.len()), (Some(100.0), LONGEST_MESSAGE));
        assert_eq!(Progress::new(Some(f64::NAN), "").percent, None);
        assert_eq!(Progress::parse(&progress.encode()), Some(progress));
        assert_eq!(Progress::parse(br#"{"percent":-1,"message":"x"}"#).unwrap().text(), "0 %: x");
        assert_eq!(Progress::new(Some(41.6), "").text(), "42 %");
        assert_eq!(
            Progress::told(br#" {"percent":7,"step":3,"message":"a\nb"}"#),
            Some(Progress::new(Some(7.0), "a\nb"))
        );
        for bad in [&b""[..], b"7", b"[7]", b"{}", br#"{"percent":"7"}"#, br#"{"message":7}"#, b"{\"percent\":7"] {
            assert_eq!(Progress::told(bad), None);
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        for record in [&b""[..], b"[1]", b"{\"lines\":[1]}", &[b' '; LONGEST + 1]] {
            assert_eq!(ShownRun::parse(record), None);
        }
        assert_eq!(ShownRun::parse(b"{\"new\":1}"), Some(ShownRun::default()));
    }
}
