//! Arrows for people, who look at delayed jobs and correct them. All fail when the store cannot be reached.

use bytes::Bytes;

use super::role::{Admin, arrow};
use crate::job::{Identity, QueueName, RetryKeys};

/// The delayed seconds behind a place in the schedule, in the order in which they are due, at most `limit`.
#[derive(Debug, Clone)]
pub struct DelayedSeconds {
    /// Where the page begins.
    pub from: DelayedCursor,
    /// The largest number of seconds.
    pub limit: usize,
}

arrow!(DelayedSeconds, "delayed_seconds", Reads -> DelayedSecondsPage; Admin);

/// A place in the schedule. It is a score and not a second, because any program may give an entry another score than its
/// name: then the second of an entry says nothing of where it stands, and a walk by seconds would miss entries or begin
/// again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedCursor {
    /// All entries with smaller scores are passed.
    pub(super) score: String,
    /// How many entries of exactly this score are passed, too.
    pub(super) ties: u64,
}

impl DelayedCursor {
    /// The beginning of the schedule.
    #[must_use]
    pub fn first() -> Self {
        Self { score: "-inf".to_owned(), ties: 0 }
    }

    /// The place before everything that is due at this second or later.
    #[must_use]
    pub fn at(second: i64) -> Self {
        Self { score: second.to_string(), ties: 0 }
    }

    /// Passes one entry of this score.
    pub(super) fn pass(&mut self, score: &str) {
        if self.score == score {
            self.ties += 1;
        } else {
            *self = Self { score: score.to_owned(), ties: 1 };
        }
    }
}

/// Some of the delayed seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedSecondsPage {
    /// The seconds. There may be none although there are more behind: entries that name no whole second are passed over.
    pub seconds: Vec<DelayedSecond>,
    /// Where the rest begins; `None` at the end.
    pub next: Option<DelayedCursor>,
}

/// A delayed second and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedSecond {
    /// The unix second that its entry names.
    pub second: i64,
    /// The unix second at which its jobs are due. It differs if another program gave the entry another score.
    pub due_s: i64,
    /// How many jobs are due then.
    pub length: u64,
}

/// The seconds at which a job of exactly these bytes is due, ascending.
#[derive(Debug, Clone)]
pub struct ScheduledAt {
    /// The job's bytes.
    pub payload: Bytes,
}

arrow!(ScheduledAt, "scheduled_at", Reads -> Vec<i64>; Admin);

/// What Retry keeps of jobs whose attempts failed, for each of these keys; `None` where it keeps nothing. One batch for a
/// page of a listing.
#[derive(Debug, Clone)]
pub struct ReadAttempts {
    /// The keys.
    pub keys: Vec<RetryKeys>,
}

arrow!(ReadAttempts, "attempts", Reads -> Vec<Option<FailedAttempts>>; Admin);

/// What Retry keeps of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempts {
    /// How many attempts failed.
    pub count: u64,
    /// The last error as node-resque writes it, if it is there and has at most [`LISTED_BYTES`](super::listed::LISTED_BYTES): it holds
    /// the arguments.
    pub last_error: Option<Bytes>,
}

impl FailedAttempts {
    /// Reads what stands under the keys. The counter is one less than the number of attempts that failed; what is no whole
    /// number tells of none.
    #[must_use]
    pub fn read(counter: Option<&[u8]>, last_error: Option<Bytes>) -> Option<Self> {
        let before: u64 = std::str::from_utf8(counter?).ok()?.parse().ok()?;
        Some(Self { count: before.saturating_add(1), last_error })
    }
}

/// Who these delayed jobs are, in order, if they were put off; `None` for one that was never claimed. Of equal jobs of a
/// second, the one that was put off first is told. One batch for a page of a listing.
#[derive(Debug, Clone)]
pub struct DelayedIdentities {
    /// The jobs.
    pub jobs: Vec<DelayedJob>,
}

arrow!(DelayedIdentities, "delayed_identities", Reads -> Vec<Option<Identity>>; Admin);

/// A delayed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedJob {
    /// The unix second in which it stands.
    pub second: i64,
    /// The queue to which it goes.
    pub queue: QueueName,
    /// Its bytes.
    pub payload: Bytes,
}

/// Removes every delayed job of exactly these bytes, and seconds that become empty. Returns the seconds of the removed
/// jobs, ascending.
#[derive(Debug, Clone)]
pub struct DeleteDelayed {
    /// The job's bytes.
    pub payload: Bytes,
}

arrow!(DeleteDelayed, "delete_delayed", Repeatable -> Vec<i64>; Admin);

/// Delayed -> delayed at another time, or nowhere, for some jobs of one second, in one atomic step: each that still stands
/// there moves with its identity; what Retry keeps goes only with the last job of these bytes. Returns how many moved. Equal
/// bytes may stand twice in the new second, because a job that waits must not be lost.
///
/// The caller bounds the batch: on Redis each job takes a pass through the list of its second.
#[derive(Debug, Clone)]
pub struct MoveDelayed {
    /// The unix second in which they stand.
    pub second: i64,
    /// Their bytes; equal ones as often as they are meant.
    pub jobs: Vec<Bytes>,
    /// Where they go.
    pub to: MoveTo,
}

arrow!(MoveDelayed, "move_delayed", Once -> u64; Admin);

/// Where a delayed job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveTo {
    /// To the present second, so that it is promoted at once.
    Now,
    /// To this unix second.
    Second(i64),
    /// Nowhere.
    Nowhere,
}
