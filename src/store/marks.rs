//! Marks of enqueues that are done once: a key that its caller chose, and what was done under it.
//!
//! The mark is written in the step that writes the job, and only if none stands. So a job and its mark are there together, or
//! neither is, no matter who asked and who died meanwhile.

use super::role::{Client, arrow};

/// How long a mark stands, in seconds.
pub const KEPT_S: u64 = 86_400;

/// Who refuses an enqueue under a key that has a mark.
pub const ONCE: &str = "Idempotency-Key";

/// The mark of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its key: a digest, because people choose keys of any form.
    pub key: String,
    /// What is told of the enqueue, up to the second for which the job is delayed.
    pub before: String,
    /// The same behind it.
    pub after: String,
}

impl Mark {
    /// The text of the mark. `second`: for when the job is delayed, which only the store knows if it was given as a delay.
    #[must_use]
    pub fn text(&self, second: Option<i64>) -> String {
        let second = second.map_or_else(|| "null".to_owned(), |second| second.to_string());
        [&self.before, second.as_str(), &self.after].concat()
    }
}

/// The mark under a key, if one stands.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadMark {
    /// The key.
    pub key: String,
}

arrow!(ReadMark, "read_mark", Reads -> Option<String>; Client);
