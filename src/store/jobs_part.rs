//! Queues and delayed seconds, read part by part: a job may be as long as its producer likes, and a step holds few bytes.

use bytes::Bytes;

use super::role::{Admin, arrow};
use crate::job::QueueName;

/// The jobs at positions `start` to `stop` of a queue, both inclusive, as many as one step holds; negative positions count
/// from the end, as Redis counts.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The queue.
    pub queue: QueueName,
    /// The first position.
    pub start: i64,
    /// The last position.
    pub stop: i64,
}

arrow!(Queued, "queued", Reads -> JobsPart; Admin);

/// The jobs due at a second, in order, from position `start` to `stop`, both inclusive, as many as one step holds.
#[derive(Debug, Clone, Copy)]
pub struct DelayedAt {
    /// The unix second.
    pub second: i64,
    /// The first position.
    pub start: i64,
    /// The last position.
    pub stop: i64,
}

arrow!(DelayedAt, "delayed_at", Reads -> JobsPart; Admin);

/// After how many bytes of jobs a read ends at the latest; the job with which it has them is the last.
pub const JOBS_READ_BYTES: usize = 1 << 20;

/// Some jobs that stand side by side: at least one if one stands there, and no more once they have [`JOBS_READ_BYTES`].
/// Anyone who needs more asks for the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsPart {
    /// The jobs, in order.
    pub jobs: Vec<Bytes>,
    /// The position at which the rest begins of what was asked for, counted from the same end; `None` if this is all that
    /// stands there.
    pub rest: Option<i64>,
}

impl JobsPart {
    /// Does the list end with these, where this many were asked for?
    #[must_use]
    pub fn is_end(&self, asked: i64) -> bool {
        self.rest.is_none() && i64::try_from(self.jobs.len()).is_ok_and(|read| read < asked)
    }
}
