//! Arrows for people, who look at delayed jobs and correct them. All fail when the store cannot be reached.

use bytes::Bytes;

use super::role::{Admin, arrow};

/// The delayed seconds from `from` on, ascending, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub struct DelayedSeconds {
    /// The first second.
    pub from: i64,
    /// The largest number of seconds.
    pub limit: usize,
}

arrow!(DelayedSeconds, "delayed_seconds", Reads -> Vec<DelayedSecond>; Admin);

/// A delayed second and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedSecond {
    /// The unix second.
    pub second: i64,
    /// How many jobs are due then.
    pub length: u64,
}

/// The jobs due at a second, in order, from position `start` to `stop`, both inclusive.
#[derive(Debug, Clone, Copy)]
pub struct DelayedAt {
    /// The unix second.
    pub second: i64,
    /// The first position.
    pub start: i64,
    /// The last position.
    pub stop: i64,
}

arrow!(DelayedAt, "delayed_at", Reads -> Vec<Bytes>; Admin);

/// The seconds at which a job of exactly these bytes is due, ascending.
#[derive(Debug, Clone)]
pub struct ScheduledAt {
    /// The job's bytes.
    pub payload: Bytes,
}

arrow!(ScheduledAt, "scheduled_at", Reads -> Vec<i64>; Admin);

/// Removes every delayed job of exactly these bytes, and seconds that become empty. Returns the seconds of the removed
/// jobs, ascending.
#[derive(Debug, Clone)]
pub struct DeleteDelayed {
    /// The job's bytes.
    pub payload: Bytes,
}

arrow!(DeleteDelayed, "delete_delayed", Repeatable -> Vec<i64>; Admin);
