//! The arrows of the scheduler: leaderships, promotion of due jobs, and schedules that fire.

use std::collections::HashMap;

use bytes::Bytes;

use super::queueing::{Enqueue, Enqueued};
use super::role::{Admin, Scheduler, arrow};
use crate::job::{LockKey, QueueName};

/// Work that one instance at a time should do. Leadership saves work; correctness does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Promotion. Shared with node-resque: `resque_scheduler_leader_lock`.
    Scheduler,
    /// Periodic tasks and recovery, which only Windlass has. A private lock.
    Duties,
}

/// Takes a free leadership, or renews the one that `owner` holds, for `ttl_ms`. False if another holds it.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Lead {
    /// The leadership.
    pub which: Leadership,
    /// The leader's name.
    pub owner: String,
    /// For how long.
    pub ttl_ms: u64,
}

arrow!(Lead, "lead", Repeatable -> bool; Scheduler);

/// Gives a leadership back, if `owner` holds it.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Resign {
    /// The leadership.
    pub which: Leadership,
    /// The leader's name.
    pub owner: String,
}

arrow!(Resign, "resign", Repeatable -> (); Scheduler);

/// Who holds a leadership.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct Leader {
    /// The leadership.
    pub which: Leadership,
}

arrow!(Leader, "leader", Reads -> Option<String>; Admin);

/// The name of the leader of Ruby's resque-scheduler, if one holds its lock: `host:pid`.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadRubyLeader;

arrow!(ReadRubyLeader, "ruby_leader", Reads -> Option<String>; Admin);

/// The leader of Ruby's resque-scheduler, as its lock shows it.
///
/// It reads due jobs, then watches their list, then moves them. What another program moves between the first two is moved
/// twice, and as many jobs behind it are lost. So jobs are moved beside it only while it moves none. It renews its lock
/// before it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RubyLeader {
    /// The lock's value: `host:pid`.
    pub name: Bytes,
    /// When the lock lapses, in milliseconds of the store's time. `None` if never, or if that may not be asked.
    pub expires_ms: Option<i64>,
}

impl RubyLeader {
    /// By less, two readings of the same expiry may differ.
    pub const READINGS_MS: i64 = 500;

    /// Was the lock taken by another or renewed since it was read as `earlier`? The scripts compare in the same way.
    #[must_use]
    pub fn is_renewed_since(&self, earlier: &Self) -> bool {
        let ends = |leader: &Self| leader.expires_ms.unwrap_or(-1);
        self.name != earlier.name || ends(self) > ends(earlier).saturating_add(Self::READINGS_MS)
    }
}

/// The store's time, in milliseconds since the Unix epoch. All instances use it.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadTime;

arrow!(ReadTime, "time", Reads -> i64; Scheduler, Admin);

/// Finds the delayed second that comes first and, if it is due or soon will be, its first `limit` jobs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadDue {
    /// How many jobs at most.
    pub limit: usize,
    /// The names of entries that are skipped.
    pub passed: Vec<Bytes>,
    /// How long before they are due jobs are read, in milliseconds.
    pub ahead_ms: u64,
    /// Are beginnings enough of jobs that are long for the path to the store ([`Due::long`])?
    pub begun: bool,
}

arrow!(ReadDue, "due", Reads -> Due; Scheduler);

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The store's time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The second of the first entry in the schedule, due or not.
    pub second: Option<i64>,
    /// When that entry is due, in seconds. It equals `second`, unless another program gave the entry another score.
    pub due_s: Option<i64>,
    /// The first jobs of that second, in order, if it is due or will be within the time that was asked for; empty for a
    /// second without jobs.
    pub jobs: Vec<Bytes>,
    /// Those of them that are long, by their index among them: of these `jobs` has the beginnings. None on SQLite.
    pub long: HashMap<usize, LongDue>,
    /// How many jobs that second has, if it is due; by it one sees whether resque-scheduler moves them. Zero on SQLite, where
    /// it cannot be.
    pub length: u64,
    /// Who holds the leader lock of resque-scheduler, if the second is due or its jobs were read.
    pub ruby: Option<RubyLeader>,
    /// Why the jobs of that second cannot be read, if they cannot.
    pub broken: Option<Broken>,
    /// The first entry, if its name is not a whole second and its jobs could not be moved to one; `broken` says why.
    pub misnamed: Option<Bytes>,
}

/// What a long job is known by, of which only the beginning was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongDue {
    /// How many bytes it has.
    pub length: u64,
    /// Its SHA-1.
    pub digest: String,
    /// Its last bytes.
    pub end: Bytes,
}

impl Due {
    /// Is the first second due?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due_s.is_some_and(|second| second.saturating_mul(1000) <= self.now_ms)
    }

    /// Were the jobs read before they are due?
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        !self.is_due() && !self.jobs.is_empty()
    }

    /// The name of the first entry in the schedule.
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

/// A key (or row) with unexpected content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The key, or the table and row.
    pub place: String,
    /// What the store reported.
    pub reason: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Removes an entry from the schedule whose jobs cannot be read, and puts `record` on the failed list for it. False if
/// the jobs can be read. The key or row with the jobs is not changed.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct DropEntry {
    /// The entry's name in the schedule.
    pub entry: Bytes,
    /// The failure record about it.
    pub record: Bytes,
}

arrow!(DropEntry, "drop_entry", Repeatable -> bool; Scheduler);

/// Delayed -> queue, as raw bytes, for a bounded batch of due jobs of one second. It refuses no job, and is safe under
/// two leaders. Whether the second is due is judged by the store's time, because a caller may send it before.
///
/// # Errors
/// Fails when the store cannot be reached; the batch may be repeated.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// The name that should hold [`Leadership::Scheduler`]; nothing is moved if another name holds it. `None`: the
    /// leadership is not checked.
    pub leader: Option<String>,
    /// The leader of resque-scheduler that was seen to move nothing. If its lock was renewed since, or another has it, nothing
    /// is moved. `None`: nobody holds it.
    pub ruby: Option<RubyLeader>,
    /// The delayed second.
    pub second: i64,
    /// Its first jobs, in order, as [`ReadDue`] read them.
    pub jobs: Vec<Promote>,
}

arrow!(Promotion, "promote", Repeatable -> Promoted; Scheduler);

/// A due job and where it goes.
#[derive(Debug, Clone)]
pub struct Promote {
    /// The job's bytes, or the beginning of a long job.
    pub payload: Bytes,
    /// What such a long job is known by. It goes to a queue without a lock, or to a later second.
    pub long: Option<LongDue>,
    /// The destination.
    pub to: PromoteTo,
}

/// Where a due job goes.
#[derive(Debug, Clone)]
pub enum PromoteTo {
    /// To the end of this queue. A free QueueLock is taken for so many seconds.
    Queue {
        /// The queue.
        queue: QueueName,
        /// The lock to take, if the task has QueueLock. A held lock does not keep the job from being moved.
        lock: Option<(LockKey, u64)>,
    },
    /// To the failed list: the bytes are not a job or name no queue, or the queue refused the job too often.
    Failed {
        /// The failure record.
        record: Bytes,
    },
    /// To a later second, because its queue cannot take it now.
    Later {
        /// How much later than the store's now, in milliseconds.
        wait_ms: u64,
    },
}

/// What a promotion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// So many jobs of the batch were moved: those that were still, in this order, the first jobs of the second. A
    /// second without jobs is removed.
    Moved(usize),
    /// So many jobs were moved, and the next one was not, because its queue did not take it.
    Refused {
        /// How many were moved.
        moved: usize,
        /// What its queue is instead.
        by: Broken,
    },
    /// Another name leads; nothing was moved.
    NotLeader,
    /// A leader of resque-scheduler may be moving the jobs; nothing was moved.
    RubyLeads,
    /// The second is not due yet; nothing was moved.
    Early {
        /// The store's time, milliseconds since the Unix epoch.
        now_ms: i64,
    },
}

/// Nowhere -> queue, for an occurrence of a schedule that enqueues a task with arguments. Remembers the occurrence and
/// enqueues its job, unless its admissions refuse it, in one atomic step. Only the first of several callers does it.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Fire {
    /// The schedule.
    pub id: String,
    /// Its last occurrence as it was read; nothing is done if it has changed.
    pub seen_s: Option<i64>,
    /// Its last occurrence from now on.
    pub last_s: i64,
    /// The job; with `None` the occurrence is only remembered.
    pub job: Option<Enqueue>,
}

arrow!(Fire, "fire", Repeatable -> Fired; Scheduler, Admin);

/// From this second on, which never comes, the last occurrence says that somebody stopped the schedule: nothing is due
/// after it. What lies behind it is the occurrence before. It moves with everything else to another store.
const STOPPED_S: i64 = 253_402_300_799;

/// The last occurrence of a schedule that is stopped after this one.
#[must_use]
pub fn stopped_after(last_s: Option<i64>) -> i64 {
    STOPPED_S + last_s.unwrap_or(0).clamp(0, STOPPED_S)
}

/// Whether a last occurrence says that the schedule is stopped, and the one before.
#[must_use]
pub fn read_stopped(last_s: Option<i64>) -> (bool, Option<i64>) {
    match last_s {
        Some(stopped @ STOPPED_S..) => (true, Some(stopped - STOPPED_S).filter(|before| *before > 0)),
        last_s => (false, last_s),
    }
}

/// The outcome for an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// It is remembered; this is the outcome for its job, if there was one.
    Yes(Enqueued),
    /// Another caller was faster; nothing was done.
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

arrow!(LastFired, "last_fired", Reads -> Vec<Option<i64>>; Scheduler, Admin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_schedule_keeps_its_last_occurrence() {
        for last_s in [None, Some(1), Some(1_790_000_000), Some(STOPPED_S - 1)] {
            assert_eq!(read_stopped(last_s), (false, last_s));
            assert_eq!(read_stopped(Some(stopped_after(last_s))), (true, last_s));
        }
        assert_eq!(read_stopped(Some(stopped_after(Some(-5)))), (true, None));
        assert!(stopped_after(Some(i64::MAX)) < 8_640_000_000_000, "every store reads it");
    }
}
