//! What a job led to, as it is kept for who waits for it: the record of its last run and its result, one JSON object of at most
//! [`LONGEST`] bytes.
//!
//! ```json
//! {"outcome":"done","ended_ms":1795490778123,"ms":812,"id":"..","claim":"..","output":["7 rows"],"result":"7 rows"}
//! ```

use bytes::Bytes;
use serde::Deserialize;

use super::ecma::quote;
use super::finished_run::{FinishedRun, LONGEST_RECORD};

/// The longest record, in bytes.
pub const LONGEST: usize = 64 << 10;

/// What a job led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResult {
    /// Its last run.
    pub run: FinishedRun,
    /// What its handler gave back.
    pub result: Option<String>,
    /// The result was longer, and this is its beginning.
    pub is_cut: bool,
}

/// What follows the outcome in the record.
#[must_use]
pub fn rest(run: &FinishedRun, result: Option<&str>) -> Bytes {
    let mut rest = run.rest().to_vec();
    let Some(result) = result else { return Bytes::from(rest) };
    // An object ends with a brace.
    rest.pop();
    let room = LONGEST - LONGEST_RECORD - 64;
    let (mut end, mut needed) = (0, 2);
    for (at, c) in result.char_indices() {
        // A quoted character has its quotes, too.
        needed += quote(c.encode_utf8(&mut [0; 4])).len() - 2;
        if needed > room {
            break;
        }
        end = at + c.len_utf8();
    }
    rest.extend_from_slice(b",\"result\":");
    rest.extend_from_slice(quote(result.get(..end).unwrap_or_default()).as_bytes());
    if end < result.len() {
        rest.extend_from_slice(b",\"truncated\":true");
    }
    rest.push(b'}');
    Bytes::from(rest)
}

impl KeptResult {
    /// Reads a record; nothing unless it has at least an outcome and a time.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Members {
            result: Option<String>,
            truncated: bool,
        }
        let run = FinishedRun::parse_within(record, LONGEST)?;
        let Members { result, truncated } = serde_json::from_slice(record).unwrap_or_default();
        Some(Self { run, result, is_cut: truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::finished_run::RunOutcome;

    fn record(result: Option<&str>) -> Vec<u8> {
        let run = FinishedRun { ms: Some(7), ..FinishedRun::new(RunOutcome::Done, 1) };
        [b"{\"outcome\":\"done\"", &rest(&run, result)[..]].concat()
    }

    #[test]
    fn a_result_is_read_as_it_was_given_unless_it_is_too_long() {
        for result in [None, Some(""), Some("a \"b\"\n\u{1}\u{fc}")] {
            let read = KeptResult::parse(&record(result)).unwrap();
            assert_eq!((read.result.as_deref(), read.is_cut, read.run.ms), (result, false, Some(7)));
        }
        for long in ["x".repeat(LONGEST), "\u{1}".repeat(LONGEST), "\u{fc}".repeat(LONGEST)] {
            let record = record(Some(&long));
            assert!(record.len() <= LONGEST, "{}", record.len());
            let read = KeptResult::parse(&record).unwrap();
            assert!(read.is_cut && read.result.is_some_and(|result| long.starts_with(&result) && result.len() > 9000));
        }
        assert_eq!(KeptResult::parse(b"{\"outcome\":\"done\"}"), None);
    }
}
