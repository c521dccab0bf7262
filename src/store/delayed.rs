//! Arrows for people, who look at delayed jobs and correct them. All fail when the store cannot be reached.

use bytes::Bytes;

use super::arrow::{Arrow, Kind};
use super::role::{Admin, May};

/// The delayed seconds from `from` on, ascending, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub struct DelayedSeconds {
    /// The first second.
    pub from: i64,
    /// The largest number of seconds.
    pub limit: usize,
}

impl Arrow for DelayedSeconds {
    type Reply = Vec<DelayedSecond>;
    const NAME: &'static str = "delayed_seconds";
    const KIND: Kind = Kind::Reads;
}

impl May<DelayedSeconds> for Admin {}

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

impl Arrow for DelayedAt {
    type Reply = Vec<Bytes>;
    const NAME: &'static str = "delayed_at";
    const KIND: Kind = Kind::Reads;
}

impl May<DelayedAt> for Admin {}

/// The seconds at which a job of exactly these bytes is due, ascending.
#[derive(Debug, Clone)]
pub struct ScheduledAt {
    /// The job's bytes.
    pub payload: Bytes,
}

impl Arrow for ScheduledAt {
    type Reply = Vec<i64>;
    const NAME: &'static str = "scheduled_at";
    const KIND: Kind = Kind::Reads;
}

impl May<ScheduledAt> for Admin {}

/// Removes every delayed job of exactly these bytes, and seconds that become empty. Returns the seconds of the removed
/// jobs, ascending.
#[derive(Debug, Clone)]
pub struct DeleteDelayed {
    /// The job's bytes.
    pub payload: Bytes,
}

impl Arrow for DeleteDelayed {
    type Reply = Vec<i64>;
    const NAME: &'static str = "delete_delayed";
    const KIND: Kind = Kind::Repeatable;
}

impl May<DeleteDelayed> for Admin {}
