//! What the scheduler does to jobs that wait for a time: promote and fire; and its leaderships.

use bytes::Bytes;

use super::arrow::{Arrow, Kind};
use super::queueing::{Enqueue, Enqueued};
use super::role::{Admin, May, Scheduler};
use crate::job::{LockKey, QueueName};

/// What one instance at a time should do. Leadership saves work; correctness never depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Promotion. Shared with node-resque: `resque_scheduler_leader_lock`.
    Scheduler,
    /// What only Windlass knows: periodic tasks and recovery. A private lock.
    Duties,
}

/// Takes a free leadership or renews one's own for `ttl_ms`; false if another holds it.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Lead {
    /// What is led.
    pub which: Leadership,
    /// Who leads.
    pub owner: String,
    /// For how long.
    pub ttl_ms: u64,
}

impl Arrow for Lead {
    type Reply = bool;
    const NAME: &'static str = "lead";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Lead> for Scheduler {}

/// Gives a leadership back if one holds it.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Resign {
    /// What was led.
    pub which: Leadership,
    /// Who led.
    pub owner: String,
}

impl Arrow for Resign {
    type Reply = ();
    const NAME: &'static str = "resign";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Resign> for Scheduler {}

/// Who holds a leadership.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct Leader {
    /// What is led.
    pub which: Leadership,
}

impl Arrow for Leader {
    type Reply = Option<String>;
    const NAME: &'static str = "leader";
    const KIND: Kind = Kind::Reads;
}

impl May<Leader> for Admin {}

/// The store's time, in milliseconds since the Unix epoch: what every instance goes by.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadTime;

impl Arrow for ReadTime {
    type Reply = i64;
    const NAME: &'static str = "time";
    const KIND: Kind = Kind::Reads;
}

impl May<ReadTime> for Scheduler {}

/// Finds the delayed second that comes first and, if it is due, its first `limit` jobs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadDue {
    /// How many jobs at most.
    pub limit: usize,
    /// Entries of the schedule that are passed over, by their names.
    pub passed: Vec<Bytes>,
}

impl Arrow for ReadDue {
    type Reply = Due;
    const NAME: &'static str = "due";
    const KIND: Kind = Kind::Reads;
}

impl May<ReadDue> for Scheduler {}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The store's time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The second whose entry in the schedule comes first, due or not.
    pub second: Option<i64>,
    /// When that entry is due, in seconds: the second itself, unless another program gave it another score.
    pub due_s: Option<i64>,
    /// If that second is due: its first jobs, in order; empty for a second without jobs.
    pub jobs: Vec<Bytes>,
    /// Why the jobs of that second cannot be read, if they cannot.
    pub broken: Option<Broken>,
    /// The entry that comes first, if it names no whole second and its jobs could not be moved to one: `broken` says
    /// why.
    pub misnamed: Option<Bytes>,
}

impl Due {
    /// Is the second that comes first due?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due_s.is_some_and(|second| second.saturating_mul(1000) <= self.now_ms)
    }

    /// The entry that comes first, by its name in the schedule.
    #[must_use]
    pub fn entry(&self) -> Option<Bytes> {
        self.misnamed.clone().or_else(|| self.second.map(entry_of))
    }
}

/// The name of a second's entry in the schedule.
#[must_use]
pub fn entry_of(second: i64) -> Bytes {
    Bytes::from(second.to_string())
}

/// A key (or row) that holds something else than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The key, or the table and row.
    pub place: String,
    /// What the store said of it.
    pub reason: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Takes an entry whose jobs cannot be read out of the schedule, and puts `record` on the failed list for it. False if
/// the jobs can be read. What the entry names is left as it is.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct DropEntry {
    /// The entry, by its name in the schedule.
    pub entry: Bytes,
    /// The failure record that tells of it.
    pub record: Bytes,
}

impl Arrow for DropEntry {
    type Reply = bool;
    const NAME: &'static str = "drop_entry";
    const KIND: Kind = Kind::Repeatable;
}

impl May<DropEntry> for Scheduler {}

/// Delayed -> queue, as raw bytes, for a bounded batch of due jobs of one second. Vetoes nothing; safe under two leaders.
///
/// # Errors
/// Fails when the store cannot be reached; the batch may be repeated.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// Who believes to lead [`Leadership::Scheduler`]; moves nothing if another name holds the
    /// lock. `None` does not ask.
    pub leader: Option<String>,
    /// The delayed second.
    pub second: i64,
    /// Its first jobs, in order, as [`ReadDue`] read them.
    pub jobs: Vec<Promote>,
}

impl Arrow for Promotion {
    type Reply = Promoted;
    const NAME: &'static str = "promote";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Promotion> for Scheduler {}

/// Where a due job goes.
#[derive(Debug, Clone)]
pub struct Promote {
    /// The job's bytes.
    pub payload: Bytes,
    /// Where to.
    pub to: PromoteTo,
}

/// Where a due job goes.
#[derive(Debug, Clone)]
pub enum PromoteTo {
    /// To the end of this queue, taking this QueueLock (for so many seconds) if it is free.
    Queue {
        /// The queue.
        queue: QueueName,
        /// The lock to take, if the task has QueueLock. Never a reason not to move the job.
        lock: Option<(LockKey, u64)>,
    },
    /// To the failed list: the bytes are no job, or name no queue, or their queue has refused them too often.
    Failed {
        /// The failure record.
        record: Bytes,
    },
    /// To a later second: its queue cannot take it now.
    Later {
        /// How much later than the store's now, in milliseconds.
        wait_ms: u64,
    },
}

/// What a promotion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// So many of the batch were moved: those that still stood, in this order, at the head of the
    /// second. When nothing is left of the second it is forgotten.
    Moved(usize),
    /// So many were moved, and the next stays where it is: its queue did not take it.
    Refused {
        /// How many were moved.
        moved: usize,
        /// What stands in the way.
        by: Broken,
    },
    /// Another name leads; nothing was moved.
    NotLeader,
}

/// Nowhere -> queue, for an occurrence of a schedule that enqueues a task with arguments: remembers it and enqueues its
/// job (or has its admissions refuse it), in one atomic step, once for however many callers.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Fire {
    /// The schedule.
    pub id: String,
    /// Its last occurrence as it was read; nothing is done if it is another by now.
    pub seen_s: Option<i64>,
    /// Its last occurrence from now on.
    pub last_s: i64,
    /// The job; `None` only remembers the occurrence.
    pub job: Option<Enqueue>,
}

impl Arrow for Fire {
    type Reply = Fired;
    const NAME: &'static str = "fire";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Fire> for Scheduler {}

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// It is remembered; its job, if there was one, went this way.
    Yes(Enqueued),
    /// Somebody else was faster; nothing was done.
    No,
}

/// The last occurrence of each of these schedules; `None` for one that was never seen.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct LastFired {
    /// The schedules.
    pub ids: Vec<String>,
}

impl Arrow for LastFired {
    type Reply = Vec<Option<i64>>;
    const NAME: &'static str = "last_fired";
    const KIND: Kind = Kind::Reads;
}

impl May<LastFired> for Scheduler {}
