//! Rules that travel to the engine and are applied inside an arrow's atomic step.
//!
//! Plugins never touch the store: a decision that needs stored state (is the lock free? is the job
//! already delayed?) is stated here as a rule, and the engine judges it where nothing can come
//! between the judgement and the deed.

use bytes::Bytes;

pub use crate::job::RetryKeys;
use crate::job::{Identity, LockKey, QueueName, TaskName};

/// A condition on an enqueue. The engine first asks all of them, in the order given, and takes
/// locks only when none refuses, so that a refused enqueue writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// QueueLock: refuse while the lock is held, else take it. The value is the unix second at
    /// which it ends, plus one; a value that has passed is overwritten, a value that is no number
    /// counts as held.
    TakeLock {
        /// The plugin that speaks, as the caller is told.
        plugin: &'static str,
        /// The lock.
        key: LockKey,
        /// How long it is held at most, in seconds.
        ttl_s: u64,
    },
    /// DelayQueueLock: refuse while a job of the same bytes is delayed.
    NotDelayed {
        /// The plugin that speaks, as the caller is told.
        plugin: &'static str,
    },
}

/// What happens between claim and run, in the order given. Locks taken earlier in the same enter
/// are undone on a later refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// QueueLock's before-perform: the job has left its queue, so the lock is freed, whoever took it.
    FreeLock {
        /// The lock.
        key: LockKey,
    },
    /// JobLock: take the lock for this claim. The value is `<unix second of its end>:<claim token>`;
    /// a lock that already carries this claim's token counts as taken.
    TakeLock {
        /// The plugin that speaks.
        plugin: &'static str,
        /// The lock.
        key: LockKey,
        /// How long it is held without renewal, in seconds.
        ttl_s: u64,
        /// What becomes of the job while another holds the lock.
        busy: Busy,
    },
    /// A periodic task's job that comes too late is dropped, with the next tick: the entry's due second lies more
    /// than so many seconds back.
    Fresh {
        /// What speaks.
        plugin: &'static str,
        /// The longest delay, in seconds.
        max_age_s: u64,
        /// The next tick.
        tick: Tick,
        /// Locks to free, whoever holds them: the dropped job's own QueueLock.
        free: Vec<LockKey>,
        /// Where Retry keeps what it knows, if attempts of this job failed before.
        retry: Option<RetryKeys>,
    },
    /// The next tick is written now, and not at the end of the run.
    NextTick {
        /// The next tick.
        tick: Tick,
    },
}

/// What becomes of a job whose lock is held by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// Back to the delayed jobs, as [`Verdict::Delayed`] says.
    PutBack {
        /// From now, in milliseconds.
        delay_ms: u64,
    },
    /// Dropped, with everything that hung on it.
    Drop {
        /// Locks to free, whoever holds them: the dropped job's own QueueLock.
        free: Vec<LockKey>,
        /// The next tick, if the job is periodic.
        tick: Option<Tick>,
        /// Where Retry keeps what it knows, if attempts of this job failed before.
        retry: Option<RetryKeys>,
    },
}

/// Where a claimed job goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done: counted as processed.
    Done,
    /// To the end of the failed list, counted as failed.
    Failed {
        /// The record, as [`Failure::record`](crate::job::Failure::record) writes it.
        record: Bytes,
    },
    /// Done, and what Retry kept of attempts before is forgotten: counted as processed.
    DoneAtLast {
        /// Where that stands.
        keys: RetryKeys,
    },
    /// Gone without a run, because a plugin of its task said no: neither counted nor put on record.
    Vetoed {
        /// Where Retry keeps what it knows of attempts before, which ends with the job.
        retry: Option<RetryKeys>,
    },
    /// Failed, counted as failed; whether it is repeated later or goes to the failed list, the store decides by its
    /// counter.
    Attempted(Box<Retry>),
    /// To the delayed jobs, without any check for duplicates. Not counted. Its bytes then name the queue it was claimed
    /// from ([`with_queue`](crate::job::queue_member::with_queue)) and are otherwise unchanged.
    Delayed {
        /// From the store's now, in milliseconds; the second is rounded up, so that it is never early.
        delay_ms: u64,
        /// What is remembered of the job until it is claimed again.
        identity: Identity,
    },
    /// To the head of its queue, its bytes unchanged. Not counted.
    Requeued {
        /// What is remembered of the job until it is claimed again.
        identity: Identity,
    },
}

/// What becomes of a failed attempt.
///
/// The engine counts it. If attempts are left, the job is delayed (as [`Verdict::Delayed`] says), and neither a tick nor anything else that ends with the job is written; else both keys are deleted
/// and the job ends as `last` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Where counter and last error stand.
    pub keys: RetryKeys,
    /// What stands under the failure key until the next attempt.
    pub last_error: Bytes,
    /// How many attempts there are in all, the first included.
    pub attempts: u32,
    /// The wait before the second attempt, the third and so on, in milliseconds; the last one repeats. Not empty.
    pub delays_ms: Vec<u64>,
    /// What is remembered of the job until its next attempt.
    pub identity: Identity,
    /// The record for the failed list after the last attempt; `None` lets the job pass as processed then.
    pub last: Option<Bytes>,
}

impl Retry {
    /// For how many seconds the keys are kept without a further attempt: twice the longest wait and a day, for the
    /// job may wait in its queue.
    #[must_use]
    pub fn kept_s(&self) -> u64 {
        self.delays_ms.iter().max().copied().unwrap_or(0).div_ceil(1000).saturating_mul(2).saturating_add(86_400)
    }
}

/// The next run of a periodic task, written inside the arrow that ends the present one.
///
/// The engine reads the task's entry: when it is stopped or a copy of these bytes is already
/// delayed, nothing is written. Else the job is delayed until what [`Next`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The task.
    pub task: TaskName,
    /// The queue its job goes to.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// When it comes.
    pub next: Next,
    /// The task is not to go on after this run (it failed, and says so): nothing is delayed, and
    /// the entry's due time becomes [`HALTED_S`].
    pub halt: bool,
}

/// When a periodic task is due next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The entry's due second plus a whole number of periods, the first that lies after the store's now. Without an
    /// entry the period counts from now.
    Every {
        /// The period in whole seconds, at least one.
        seconds: u64,
    },
    /// The first of these occurrences that lies after both the entry's due second and the store's now. They are
    /// computed from a little before the caller's now, so that some seconds between the clocks do not matter; if none
    /// will do nothing is written, and whoever looks after the task makes up for it.
    At {
        /// Some occurrences, ascending.
        occurrences: Vec<Occurrence>,
    },
}

/// One occurrence of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it is due, in unix seconds.
    pub due_s: i64,
    /// The second to which its job is delayed: that, or up to the jitter later.
    pub second: i64,
}

impl Next {
    /// The period in seconds, 0 for a calendar.
    #[must_use]
    pub fn every_s(&self) -> u64 {
        match self {
            Self::Every { seconds } => (*seconds).max(1),
            Self::At { .. } => 0,
        }
    }
}

/// The due second of a periodic task that halted: never overdue, until an instance starts and
/// looks after it anew ([`Purpose::Boot`](super::periodic::Purpose::Boot)).
pub const HALTED_S: i64 = 253_402_300_799;
