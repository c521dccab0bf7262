//! Rules that travel to the engine and are applied inside an arrow's atomic step.
//!
//! Plugins never touch the store: a decision that needs stored state (is the lock free? is the job
//! already delayed?) is stated here as a rule. The engine applies the rule in the same atomic step as the change, so
//! that nothing can change in between.

use std::sync::Arc;

use bytes::Bytes;

use super::marks::{Mark, ONCE};
pub use crate::job::RetryKeys;
use crate::job::{Identity, LockKey, QueueName, RunOutcome, TaskName};

/// A condition on an enqueue. The engine checks all conditions in the given order before it takes a lock, so that a
/// refused enqueue writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// QueueLock: refuse while the lock is held, else take it. The value is the unix second at
    /// which it ends, plus one; a value in the past is overwritten, a value that is not a number
    /// counts as held.
    TakeLock {
        /// The plugin, whose name the caller gets.
        plugin: &'static str,
        /// The lock.
        key: LockKey,
        /// How long it is held at most, in seconds.
        ttl_s: u64,
    },
    /// DelayQueueLock: refuse while a job of the same bytes is delayed.
    NotDelayed {
        /// The plugin, whose name the caller gets.
        plugin: &'static str,
    },
    /// DelayQueueLock for the job of a periodic task that is retried: refuse while a job of the same bytes waits for its
    /// next attempt. A delayed job without earlier attempts is the task's next tick, and no duplicate.
    NotRepeating {
        /// The plugin, whose name the caller gets.
        plugin: &'static str,
        /// The state of the attempts.
        keys: RetryKeys,
    },
    /// Refuse if a mark stands under this key, else write it. It is told to have been refused by [`ONCE`].
    Once {
        /// The mark.
        mark: Mark,
    },
}

impl Admission {
    /// The plugin that states it.
    #[must_use]
    pub fn plugin(&self) -> &'static str {
        match self {
            Self::TakeLock { plugin, .. } | Self::NotDelayed { plugin } | Self::NotRepeating { plugin, .. } => plugin,
            Self::Once { .. } => ONCE,
        }
    }
}

/// A step between claim and run. Gates are passed in the given order; a refusal frees the locks that earlier gates of
/// the same enter took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Refuses nothing, and tells for which second the present tick of a periodic task is due ([`TickDue`]).
    ///
    /// [`TickDue`]: super::queueing::TickDue
    TellDue {
        /// The task.
        task: TaskName,
    },
    /// QueueLock's before-perform: the job has left its queue, so the lock is freed, no matter who holds it.
    FreeLock {
        /// The lock.
        key: LockKey,
    },
    /// JobLock: take the lock for this claim. The value is `<unix second of its end>:<claim token>`;
    /// a lock that already carries this claim's token counts as taken.
    TakeLock {
        /// The plugin.
        plugin: &'static str,
        /// The lock.
        key: LockKey,
        /// How long it is held without renewal, in seconds.
        ttl_s: u64,
        /// What happens to the job if another holds the lock.
        busy: Busy,
    },
    /// Drops a periodic task's job that comes too late, and writes the next tick. Too late means that the entry's due
    /// second is more than `max_age_s` in the past.
    Fresh {
        /// The name in the refusal.
        plugin: &'static str,
        /// The longest delay, in seconds.
        max_age_s: u64,
        /// The next tick.
        tick: Tick,
        /// Locks to free, no matter who holds them: the dropped job's own QueueLock.
        free: Vec<LockKey>,
        /// The keys of Retry's state, if attempts of this job failed before.
        retry: Option<RetryKeys>,
    },
    /// Writes the next tick now instead of at the end of the run.
    NextTick {
        /// The next tick.
        tick: Tick,
    },
}

impl Gate {
    /// May it drop the job?
    #[must_use]
    pub fn drops(&self) -> bool {
        matches!(self, Self::Fresh { .. } | Self::TakeLock { busy: Busy::Drop { .. }, .. })
    }

    /// What a run is called that it dropped.
    pub(super) fn dropped_as(&self) -> RunOutcome {
        if matches!(self, Self::TakeLock { .. }) { RunOutcome::Busy } else { RunOutcome::Missed }
    }
}

/// What happens to a job whose lock is held by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// Back to the delayed jobs, as [`Verdict::Delayed`] says.
    PutBack {
        /// From now, in milliseconds.
        delay_ms: u64,
    },
    /// Dropped, with its locks and its retry state.
    Drop {
        /// Locks to free, no matter who holds them: the dropped job's own QueueLock.
        free: Vec<LockKey>,
        /// The next tick, if the job is periodic.
        tick: Option<Tick>,
        /// The keys of Retry's state, if attempts of this job failed before.
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
    /// Done after earlier attempts failed: counted as processed, and the state of Retry is deleted.
    DoneAtLast {
        /// The keys of that state.
        keys: RetryKeys,
    },
    /// Dropped without a run, because a plugin of its task refused. It is not counted and leaves no record.
    Vetoed {
        /// The keys of Retry's state, which is deleted.
        retry: Option<RetryKeys>,
    },
    /// Failed, counted as failed. The store decides by its counter whether the job is tried again later or goes to the
    /// failed list.
    Attempted(Box<Retry>),
    /// To the delayed jobs, without any check for duplicates. Not counted. Its bytes then name the queue it was claimed
    /// from ([`with_queue`](crate::job::queue_member::with_queue)) and are otherwise unchanged.
    Delayed {
        /// The delay from the store's time, in milliseconds. The due second is rounded up, so that the job is never early.
        delay_ms: u64,
        /// The identity that the job has when it is claimed again.
        identity: Identity,
    },
    /// To the head of its queue, its bytes unchanged. Not counted.
    Requeued {
        /// The identity that the job has when it is claimed again.
        identity: Identity,
    },
}

/// What happens after a failed attempt.
///
/// The engine counts the attempt. If attempts are left, the job is delayed as by [`Verdict::Delayed`], and its tick is not
/// written. Otherwise both keys are deleted and the job ends as `last` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The keys of the counter and of the last error.
    pub keys: RetryKeys,
    /// The value of the failure key until the next attempt.
    pub last_error: Bytes,
    /// The number of attempts, the first included.
    pub attempts: u32,
    /// The wait before the second attempt, the third and so on, in milliseconds; the last one repeats. Not empty.
    pub delays_ms: Vec<u64>,
    /// The identity of the next attempt.
    pub identity: Identity,
    /// The record for the failed list after the last attempt; with `None` the job then counts as processed.
    pub last: Option<Bytes>,
}

impl Retry {
    /// How many seconds the keys are kept without another attempt: twice the longest wait and a day, because the job
    /// may also wait in its queue.
    #[must_use]
    pub fn kept_s(&self) -> u64 {
        self.delays_ms.iter().max().copied().unwrap_or(0).div_ceil(1000).saturating_mul(2).saturating_add(86_400)
    }
}

/// The next run of a periodic task, written inside the arrow that ends the present one.
///
/// The engine reads the task's entry. If the task is stopped or a job of these bytes is already delayed, nothing is
/// written. Otherwise the job is delayed until the time that [`Next`] gives, or goes to the end of its queue if that time
/// has come and no tick was left out since the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The task.
    pub task: TaskName,
    /// The queue its job goes to.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// When it is due.
    pub next: Next,
    /// The QueueLock that is taken with it if it goes to its queue at once, and for how many seconds. A held lock does not
    /// keep it from there.
    pub lock: Option<(LockKey, u64)>,
    /// The task halts, because this run failed and the task does not continue after failures: nothing is delayed, and
    /// the entry's due time becomes [`HALTED_S`].
    pub halt: bool,
    /// Do ticks go on beside runs (`overlap`)? Then what has begun and waits to run again is no tick. Without, it counts as one,
    /// because the next is written when it has run.
    pub beside: bool,
}

/// When a periodic task is due next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The entry's due second plus a whole number of periods, the first that is less than a second late. Without an
    /// entry the period counts from now.
    Every {
        /// The period in whole seconds, at least one.
        seconds: u64,
    },
    /// The first occurrence after the entry's due second that is less than a second late; without an entry the first that
    /// lies after the store's now. The engine asks for it, by the store's time, because the caller's clock may show another.
    /// If there is none, the entry is removed: the tick that ran stays done, and the next reconciliation of the task writes
    /// the one after the store's now.
    At {
        /// When it is due.
        calendar: Occurrences,
    },
}

/// The occurrences of a calendar.
#[derive(Clone)]
pub struct Occurrences(Arc<dyn Fn(i64) -> Option<Occurrence> + Send + Sync>);

/// How far apart the store's time may be where a script is sent and where it runs.
const UNDERWAY_S: i64 = 30;
/// How many occurrences after that a script gets, and the largest number in all.
const LATER: usize = 2;
const MOST: usize = 96;

impl Occurrences {
    /// The occurrences that `after` finds: the first after a unix second.
    #[must_use]
    pub fn new(after: impl Fn(i64) -> Option<Occurrence> + Send + Sync + 'static) -> Self {
        Self(Arc::new(after))
    }

    /// The first after a unix second.
    #[must_use]
    pub fn after(&self, second: i64) -> Option<Occurrence> {
        (self.0)(second)
    }

    /// Those around a time of the store, for a script that runs about then and cannot compute any.
    #[must_use]
    pub fn around(&self, now_ms: i64) -> Vec<Occurrence> {
        let now_s = now_ms.div_euclid(1000);
        let mut occurrences = Vec::new();
        let (mut last, mut later) = (now_s.saturating_sub(UNDERWAY_S), 0);
        while later < LATER
            && occurrences.len() < MOST
            && let Some(next) = self.after(last)
        {
            later += usize::from(next.due_s > now_s.saturating_add(UNDERWAY_S));
            last = next.due_s;
            occurrences.push(next);
        }
        occurrences
    }

    /// The same without those up to this second.
    #[must_use]
    pub fn after_all(&self, ran_s: i64) -> Self {
        let all = self.clone();
        Self::new(move |second| all.after(second.max(ran_s)))
    }
}

impl std::fmt::Debug for Occurrences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Occurrences")
    }
}

/// Two are equal if one is a copy of the other.
impl PartialEq for Occurrences {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Occurrences {}

/// One occurrence of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it is due, in unix seconds.
    pub due_s: i64,
    /// The second until which its job is delayed: `due_s`, or later by at most the jitter.
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

/// How far ahead of the store's time a tick may be due that runs now, in seconds: node-resque promotes up to a second early,
/// and after a clock was set back a tick of a calendar comes back that ran. A job that runs earlier is no tick: another program
/// enqueued it. `cadence.lua` has the same.
#[must_use]
pub fn early_s(every_s: u64) -> i64 {
    const EARLY_S: i64 = 1;
    const SET_BACK_S: i64 = 10;
    if every_s > 0 { EARLY_S } else { SET_BACK_S }
}

/// The due second of a periodic task that halted. It is never overdue; the task runs again when an instance starts and
/// reconciles it ([`Purpose::Boot`](super::periodic::Purpose::Boot)).
pub const HALTED_S: i64 = 253_402_300_799;
