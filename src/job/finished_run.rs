//! How a run ended, as it is kept for people: one JSON object of at most 4 KiB.
//!
//! ```json
//! {"outcome":"failed","ended_ms":1795490778123,"ms":812,"id":"..","claim":"..","attempt":2,"redelivered":0,
//!  "worker":"host-windlass:7+1","scheduled_at":"2026-11-24T03:00:00Z","error":"ExitStatus: exited with 3","output":["disk full"]}
//! ```
//!
//! The outcome comes first and the rest is written without it, because of a failed attempt only the store knows whether it is
//! repeated. Other programs may write anything in the place of a record: what cannot be read is none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::date;
use super::ecma::quote;
use super::run_counts::RunEnd;

/// The longest record, in bytes.
pub const LONGEST_RECORD: usize = 4096;

/// How long the parts are at most, with quotes and escapes, in bytes.
const LONGEST_NAME: usize = 260;
const LONGEST_TIME: usize = 66;
const LONGEST_ERROR: usize = 1200;
const LONGEST_LINE: usize = 600;

/// The last millisecond that a date holds, in both directions.
const LAST_MS: u64 = 8_640_000_000_000_000;

/// What a run led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// The job is done.
    Done,
    /// It went to the failed list.
    Failed,
    /// It failed, and is tried again.
    Retried,
    /// Its handler put it off.
    Later,
    /// It was cut off, and the job runs again.
    CutOff,
    /// A plugin refused it before it began, and the job is gone.
    Vetoed,
    /// Somebody cancelled it, and the job went to the failed list.
    Cancelled,
    /// It was left out, because it came too late.
    Missed,
    /// It was left out, because another run of the same job went on.
    Busy,
    /// A word of another version.
    Other(Box<str>),
}

const WORDS: [(&str, RunOutcome); 9] = [
    ("done", RunOutcome::Done),
    ("failed", RunOutcome::Failed),
    ("retried", RunOutcome::Retried),
    ("later", RunOutcome::Later),
    ("cut_off", RunOutcome::CutOff),
    ("vetoed", RunOutcome::Vetoed),
    ("cancelled", RunOutcome::Cancelled),
    ("missed", RunOutcome::Missed),
    ("busy", RunOutcome::Busy),
];

impl RunOutcome {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => WORDS.iter().find(|(_, outcome)| outcome == known).map_or("", |(word, _)| word),
        }
    }

    /// The outcome of a word; `None` if it is none.
    fn of(word: &str) -> Option<Self> {
        let known = WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, outcome)| outcome);
        let is_word = !word.is_empty() && word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_graphic());
        known.or_else(|| is_word.then(|| Self::Other(word.into())))
    }
}

impl From<RunEnd> for RunOutcome {
    /// The word under which a run is kept that is counted so. Of a dropped one the store says why: missed or busy.
    fn from(end: RunEnd) -> Self {
        match end {
            RunEnd::Done => Self::Done,
            RunEnd::Failed => Self::Failed,
            RunEnd::Retried => Self::Retried,
            RunEnd::Later => Self::Later,
            RunEnd::CutOff => Self::CutOff,
            RunEnd::Cancelled => Self::Cancelled,
            RunEnd::Vetoed => Self::Vetoed,
            RunEnd::Dropped => Self::Missed,
        }
    }
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedRun {
    /// What it led to.
    pub outcome: RunOutcome,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: i64,
    /// How long it was, in milliseconds, if that is known.
    pub ms: Option<u64>,
    /// The id of its job.
    pub id: Option<String>,
    /// Which run of the job it was: the fencing token.
    pub claim: Option<String>,
    /// Which attempt it was, from 1.
    pub attempt: Option<u32>,
    /// How often the job was cut off before.
    pub redelivered: Option<u32>,
    /// The worker, two parts.
    pub worker: Option<String>,
    /// For when it was scheduled (RFC 3339).
    pub scheduled_at: Option<String>,
    /// Why it failed, or did not begin.
    pub error: Option<String>,
    /// The last lines of its output, or its result.
    pub output: Vec<String>,
}

impl FinishedRun {
    /// Nothing is known of it but when it ended, and how.
    #[must_use]
    pub fn new(outcome: RunOutcome, ended_ms: i64) -> Self {
        Self {
            outcome,
            ended_ms,
            ms: None,
            id: None,
            claim: None,
            attempt: None,
            redelivered: None,
            worker: None,
            scheduled_at: None,
            error: None,
            output: Vec::new(),
        }
    }

    /// It was scheduled for this second, unless that is known already.
    pub fn is_due(&mut self, second: Option<i64>) {
        if self.scheduled_at.is_none() {
            self.scheduled_at = second.and_then(date::of_second);
        }
    }

    /// When it began, if its length is known.
    #[must_use]
    pub fn started_ms(&self) -> Option<i64> {
        self.ms.map(|ms| self.ended_ms.saturating_sub_unsigned(ms))
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> Bytes {
        self.record_as(&self.outcome)
    }

    /// The record of the same run with another outcome.
    #[must_use]
    pub fn record_as(&self, outcome: &RunOutcome) -> Bytes {
        Bytes::from([head(outcome.word()).as_bytes(), &self.rest()].concat())
    }

    /// What follows the outcome in the record. Long texts are cut, and of the output the last lines are kept.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        let mut out = String::with_capacity(256);
        // Writing to a string does not fail.
        let _ = write!(out, ",\"ended_ms\":{}", self.ended_ms);
        for (name, number) in [
            ("ms", self.ms),
            ("attempt", self.attempt.map(u64::from)),
            ("redelivered", self.redelivered.map(u64::from)),
        ] {
            if let Some(number) = number {
                let _ = write!(out, ",\"{name}\":{number}");
            }
        }
        for (name, text, longest) in [
            ("id", &self.id, LONGEST_NAME),
            ("claim", &self.claim, LONGEST_NAME),
            ("worker", &self.worker, LONGEST_NAME),
            ("scheduled_at", &self.scheduled_at, LONGEST_TIME),
            ("error", &self.error, LONGEST_ERROR),
        ] {
            if let Some(text) = text {
                let _ = write!(out, ",\"{name}\":{}", quoted(text, longest));
            }
        }
        let frame = head("").len() + 64 + ",\"output\":[]}".len();
        let mut room = LONGEST_RECORD.saturating_sub(out.len() + frame);
        let mut lines = Vec::new();
        for line in self.output.iter().rev() {
            let line = quoted(line, LONGEST_LINE);
            let Some(less) = room.checked_sub(line.len() + 1) else { break };
            room = less;
            lines.push(line);
        }
        if !lines.is_empty() {
            lines.reverse();
            let _ = write!(out, ",\"output\":[{}]", lines.join(","));
        }
        out.push('}');
        Bytes::from(out)
    }

    /// Reads a record; `None` unless it has at least an outcome and a time within the range of dates.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        Self::parse_within(record, LONGEST_RECORD)
    }

    /// The same of a record that may be this long.
    pub(super) fn parse_within(record: &[u8], longest: usize) -> Option<Self> {
        type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;
        fn member<T: DeserializeOwned>(members: &Members<'_>, name: &str) -> Option<T> {
            serde_json::from_str(members.get(name)?.get()).ok()
        }
        if record.len() > longest {
            return None;
        }
        let members: Members<'_> = serde_json::from_slice(record).ok()?;
        let word: String = member(&members, "outcome")?;
        let ended_ms: i64 = member(&members, "ended_ms")?;
        if ended_ms.unsigned_abs() > LAST_MS {
            return None;
        }
        Some(Self {
            ms: member(&members, "ms").filter(|ms| *ms <= LAST_MS),
            id: member(&members, "id"),
            claim: member(&members, "claim"),
            attempt: member(&members, "attempt"),
            redelivered: member(&members, "redelivered"),
            worker: member(&members, "worker"),
            // A script knows the second for which a tick was due, and not how dates are written.
            scheduled_at: member(&members, "scheduled_at").or_else(|| date::of_second(member(&members, "due_s")?)),
            error: member(&members, "error"),
            output: member(&members, "output").unwrap_or_default(),
            ..Self::new(RunOutcome::of(&word)?, ended_ms)
        })
    }
}

fn head(word: &str) -> String {
    format!("{{\"outcome\":\"{word}\"")
}

/// A text as a JSON string of at most `longest` bytes; of a longer one the beginning.
fn quoted(text: &str, longest: usize) -> String {
    const MORE: &str = "...";
    if text.len() + 2 <= longest || text.len() < 8 * longest {
        let whole = quote(text);
        if whole.len() <= longest {
            return whole;
        }
    }
    let mut end = 0;
    let mut room = longest.saturating_sub(2 + MORE.len());
    for (at, c) in text.char_indices() {
        let length = quote(c.encode_utf8(&mut [0; 4])).len() - 2;
        let Some(less) = room.checked_sub(length) else { break };
        room = less;
        end = at + c.len_utf8();
    }
    quote(&format!("{}{MORE}", text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> FinishedRun {
        FinishedRun {
            ms: Some(812),
            id: Some("00ff-0-1-2".to_owned()),
            claim: Some("00ff-0-7-2".to_owned()),
            attempt: Some(2),
            redelivered: Some(1),
            worker: Some("h-windlass:7+1".to_owned()),
            scheduled_at: Some("2026-11-24T03:00:00Z".to_owned()),
            error: Some("ExitStatus: exited with 3".to_owned()),
            output: vec!["one".to_owned(), "\u{1b}[31mtwo\"".to_owned()],
            ..FinishedRun::new(RunOutcome::Failed, 1_795_490_778_123)
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for outcome in WORDS.map(|(_, outcome)| outcome) {
            let run = FinishedRun { outcome, ..run() };
            assert_eq!(FinishedRun::parse(&run.record()), Some(run.clone()));
            let again = FinishedRun { outcome: RunOutcome::Retried, ..run.clone() };
            assert_eq!(FinishedRun::parse(&run.record_as(&RunOutcome::Retried)), Some(again));
        }
        let bare = FinishedRun::new(RunOutcome::Done, -5);
        assert_eq!(bare.record(), &br#"{"outcome":"done","ended_ms":-5}"#[..]);
        assert_eq!(FinishedRun::parse(&bare.record()), Some(bare));
        assert_eq!(run().started_ms(), Some(1_795_490_777_311));
    }

    #[test]
    fn a_script_may_tell_for_when_a_run_was_due() {
        let told = |more: &str| {
            let record = format!("{{\"outcome\":\"missed\",{more}\"ended_ms\":1}}");
            FinishedRun::parse(record.as_bytes()).unwrap().scheduled_at
        };
        assert_eq!(told("\"due_s\":1795490778,").as_deref(), Some("2026-11-24T03:26:18Z"));
        assert_eq!(told("\"due_s\":1,\"scheduled_at\":\"then\",").as_deref(), Some("then"));
        assert_eq!((told("\"due_s\":9223372036854775807,"), told("\"due_s\":\"x\",")), (None, None));
    }

    #[test]
    fn a_record_is_bounded_whatever_others_wrote_and_keeps_the_end_of_the_output() {
        for letter in ["x", "\u{1}", "ü", "\"", "\u{10ffff}"] {
            let long = Some(letter.repeat(20_000));
            let run = FinishedRun {
                id: long.clone(),
                claim: long.clone(),
                worker: long.clone(),
                scheduled_at: long.clone(),
                error: long.clone(),
                output: (0..500)
                    .map(|n| format!("{letter} line {n}"))
                    .chain(long.clone())
                    .chain(["last".into()])
                    .collect(),
                ..run()
            };
            let record = run.record();
            assert!(record.len() <= LONGEST_RECORD && record.len() > LONGEST_RECORD - 700, "{}", record.len());
            assert!(run.record_as(&RunOutcome::Retried).len() <= LONGEST_RECORD);
            let read = FinishedRun::parse(&record).unwrap();
            assert!(read.error.unwrap().starts_with(&letter.repeat(100)) && read.id.unwrap().ends_with("..."));
            assert_eq!(read.output.last().map(String::as_str), Some("last"));
            assert!(read.output[read.output.len() - 3].ends_with(" line 499"), "{:?}", read.output);
            assert!(!read.output.iter().any(|line| line.ends_with(" line 0")));
        }
    }

    #[test]
    fn what_is_no_record_is_none_and_a_newer_word_is_kept() {
        let long = format!("{{\"outcome\":\"done\",\"ended_ms\":1,\"x\":\"{}\"}}", "x".repeat(LONGEST_RECORD));
        for none in [
            "",
            "7",
            "{}",
            "[]",
            r#"{"outcome":"done"}"#,
            r#"{"outcome":"","ended_ms":1}"#,
            r#"{"outcome":"a b","ended_ms":1}"#,
            r#"{"outcome":"done","ended_ms":9000000000000000}"#,
            r#"{"outcome":"done","ended_ms":1.5}"#,
            &long,
        ] {
            assert_eq!(FinishedRun::parse(none.as_bytes()), None, "{none}");
        }
        let read = FinishedRun::parse(br#"{"outcome":"expired","ended_ms":1,"ms":-7,"id":7,"output":"x","attempt":1}"#);
        let read = read.unwrap();
        assert_eq!((read.outcome.word(), read.ms, read.id, read.output.len()), ("expired", None, None, 0));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = FinishedRun::parse(&raw);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(\\{|\\}|\\[|\\]|,|:|\"outcome\"|\"done\"|\"ended_ms\"|\"ms\"|\"output\"|\"error\"|null|-?[0-9]{1,25}|\"\\\\u[d8][0-9a-f]{3}\"){0,24}") {
            if let Some(run) = FinishedRun::parse(text.as_bytes()) {
                proptest::prop_assert!(run.record().len() <= LONGEST_RECORD);
            }
        }

        #[test]
        fn a_text_is_cut_between_characters(text in "(\\PC|[\\x00-\\x1f]){0,80}", longest in 8_usize..100) {
            let quoted = quoted(&text, longest);
            proptest::prop_assert!(quoted.len() <= longest);
            let read: String = serde_json::from_str(&quoted).unwrap();
            proptest::prop_assert!(read == text || text.starts_with(read.strip_suffix("...").unwrap()));
        }
    }
}
