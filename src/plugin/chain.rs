//! The built-in plugins of a task, in order.
//!
//! QueueLock: at most one job of the same class, queue and arguments waits in the queue. It is taken before enqueue and
//! freed before perform, no matter which job took it.
//!
//! JobLock: at most one job of the same class, queue and arguments runs. Its value names the owner: node-resque never
//! reads the value, so the lock can be compared before it is freed.

use crate::job::payload::encode;
use crate::job::{Args, Identity, LockKey, PayloadView, QueueName, RetryKeys, digest};
use crate::store::effect::{Admission, Busy, Gate, Next, Occurrence, Tick};
use crate::task::calendar::Calendar;
use crate::task::definition::Registry;
use crate::task::plugin_spec::RetrySpec;
use crate::task::{Cadence, PluginSpec, TaskDefinition};

/// The arguments that a periodic task's job may have: ours first, then ActionHero's.
pub const PERIODIC_ARGS: [&str; 3] = ["[{}]", "[null]", "[]"];

/// The plugin name in the refusal of a tick that comes too late.
pub(crate) const MISSED: &str = "missed";

/// How many seconds clocks may differ by.
const SKEW_S: i64 = 30;

/// How many occurrences after that are listed, and the largest number in all.
const AHEAD: usize = 2;
const MAX_OCCURRENCES: usize = 96;

/// The names of the plugins in their refusals.
pub const QUEUE_LOCK: &str = "QueueLock";
const JOB_LOCK: &str = "JobLock";
const DELAY_QUEUE_LOCK: &str = "DelayQueueLock";

/// The plugins of one task.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    task: &'a TaskDefinition,
}

/// A lock that a running job holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    /// The lock.
    pub key: LockKey,
    /// How many seconds a renewal lasts.
    pub ttl_s: u64,
}

impl<'a> Chain<'a> {
    /// The chain of a task.
    #[must_use]
    pub fn of(task: &'a TaskDefinition) -> Self {
        Self { task }
    }

    /// The conditions for enqueueing a job with these arguments.
    #[must_use]
    pub fn admissions(&self, queue: &QueueName, args: &Args) -> Vec<Admission> {
        let name = self.task.name.as_str();
        let admission = |plugin: &PluginSpec| match plugin {
            PluginSpec::QueueLock { lock_timeout_s, key } => Some(Admission::TakeLock {
                plugin: QUEUE_LOCK,
                key: queue_lock_key(key.as_deref(), name, queue.as_str(), args),
                ttl_s: *lock_timeout_s,
            }),
            PluginSpec::DelayQueueLock => Some(Admission::NotDelayed { plugin: DELAY_QUEUE_LOCK }),
            PluginSpec::JobLock { .. } | PluginSpec::Retry(_) | PluginSpec::Noop | PluginSpec::Custom(_) => None,
        };
        self.task.plugins.iter().filter_map(admission).collect()
    }

    /// Does a job of this task pass gates before it runs?
    #[must_use]
    pub fn has_gates(&self) -> bool {
        self.task
            .plugins
            .iter()
            .any(|plugin| matches!(plugin, PluginSpec::QueueLock { .. } | PluginSpec::JobLock { .. }))
    }

    /// The gates between claim and run of a job. `identity` tells whether earlier attempts failed.
    #[must_use]
    pub fn gates(&self, queue: &QueueName, args: &Args, identity: &Identity, now_ms: i64) -> Vec<Gate> {
        let own_tick = || self.tick(now_ms).filter(|_| PERIODIC_ARGS.contains(&args.as_str()));
        let free = || self.queue_lock(queue, args).map(|(key, _)| key).into_iter().collect();
        let retry = self.retry().filter(|_| identity.attempt > 1).map(|_| RetryKeys::of(self.task.name.as_str(), args));
        let mut gates = Vec::new();
        if let Some((max_age_s, tick)) = self.task.missed_max_age_s.zip(own_tick()) {
            gates.push(Gate::Fresh { plugin: MISSED, max_age_s, tick, free: free(), retry: retry.clone() });
        }
        gates.extend(self.lock_gates(queue, args, retry.as_ref(), now_ms));
        if self.task.overlap {
            gates.extend(own_tick().map(|tick| Gate::NextTick { tick }));
        }
        gates
    }

    fn lock_gates(&self, queue: &QueueName, args: &Args, retry: Option<&RetryKeys>, now_ms: i64) -> Vec<Gate> {
        let name = self.task.name.as_str();
        let gate = |plugin: &PluginSpec| match plugin {
            PluginSpec::QueueLock { .. } => self.queue_lock(queue, args).map(|(key, _)| Gate::FreeLock { key }),
            PluginSpec::DelayQueueLock | PluginSpec::Retry(_) | PluginSpec::Noop | PluginSpec::Custom(_) => None,
            PluginSpec::JobLock { lock_timeout_s, enqueue_timeout_ms, re_enqueue, key } => Some(Gate::TakeLock {
                plugin: JOB_LOCK,
                key: job_lock_key(key.as_deref(), name, queue.as_str(), args),
                ttl_s: *lock_timeout_s,
                busy: if *re_enqueue {
                    Busy::PutBack { delay_ms: *enqueue_timeout_ms }
                } else {
                    Busy::Drop {
                        free: self.queue_lock(queue, args).map(|(key, _)| key).into_iter().collect(),
                        tick: self.tick(now_ms),
                        retry: retry.cloned(),
                    }
                },
            }),
        };
        self.task.plugins.iter().filter_map(gate).collect()
    }

    /// The locks that a running job holds: renewed while it runs, freed at its end.
    #[must_use]
    pub fn held_locks(&self, queue: &QueueName, args: &Args) -> Vec<HeldLock> {
        self.job_lock(queue, args).into_iter().map(|(key, ttl_s)| HeldLock { key, ttl_s }).collect()
    }

    /// The task's QueueLock for a job, and for how many seconds it is taken.
    #[must_use]
    pub fn queue_lock(&self, queue: &QueueName, args: &Args) -> Option<(LockKey, u64)> {
        self.task.plugins.iter().find_map(|plugin| match plugin {
            PluginSpec::QueueLock { lock_timeout_s, key } => {
                let key = queue_lock_key(key.as_deref(), self.task.name.as_str(), queue.as_str(), args);
                Some((key, *lock_timeout_s))
            }
            _ => None,
        })
    }

    /// The task's JobLock for a job, and for how many seconds it is taken.
    #[must_use]
    pub fn job_lock(&self, queue: &QueueName, args: &Args) -> Option<(LockKey, u64)> {
        self.task.plugins.iter().find_map(|plugin| match plugin {
            PluginSpec::JobLock { lock_timeout_s, key, .. } => {
                let key = job_lock_key(key.as_deref(), self.task.name.as_str(), queue.as_str(), args);
                Some((key, *lock_timeout_s))
            }
            _ => None,
        })
    }

    /// The options of Retry, if the task has it and no Noop comes before it. Such a Noop clears every failure and
    /// leaves nothing to retry.
    #[must_use]
    pub fn retry(&self) -> Option<&'a RetrySpec> {
        self.task.plugins.iter().take_while(|plugin| !matches!(plugin, PluginSpec::Noop)).find_map(
            |plugin| match plugin {
                PluginSpec::Retry(retry) => Some(retry),
                _ => None,
            },
        )
    }

    /// Does the task count failures as done?
    #[must_use]
    pub fn clears_failures(&self) -> bool {
        self.task.plugins.contains(&PluginSpec::Noop)
    }

    /// The next tick of a periodic task, as seen at this time.
    #[must_use]
    pub fn tick(&self, now_ms: i64) -> Option<Tick> {
        let next = match self.task.cadence.as_ref()? {
            Cadence::Every(every) => Next::Every { seconds: every.as_secs().max(1) },
            Cadence::Calendar(calendar) => Next::At { occurrences: self.occurrences(calendar, now_ms) },
        };
        Some(Tick {
            task: self.task.name.clone(),
            queue: self.task.queue.clone(),
            payload: self.form("[{}]")?,
            next,
            lock: self.queue_lock(&self.task.queue, &Args::periodic()),
            halt: false,
        })
    }

    /// The occurrences from a little before `now_ms` on, enough for clocks that differ by some seconds.
    fn occurrences(&self, calendar: &Calendar, now_ms: i64) -> Vec<Occurrence> {
        let now_s = now_ms.div_euclid(1000);
        let mut occurrences = Vec::new();
        let (mut last, mut ahead) = (now_s - SKEW_S, 0);
        while ahead < AHEAD
            && occurrences.len() < MAX_OCCURRENCES
            && let Some(due_s) = calendar.after(last)
        {
            occurrences.push(Occurrence { due_s, second: due_s + self.spread(due_s) });
            ahead += usize::from(due_s > now_s + SKEW_S);
            last = due_s;
        }
        occurrences
    }

    /// The delay of this occurrence's job in seconds: at most the jitter, and equal for every caller.
    #[must_use]
    pub fn spread(&self, due_s: i64) -> i64 {
        if self.task.jitter_s == 0 {
            return 0;
        }
        let hash = digest::spread(digest::seeded(due_s.unsigned_abs(), self.task.name.as_str().bytes()));
        i64::try_from((hash >> 11) % (self.task.jitter_s + 1)).unwrap_or(0)
    }

    fn form(&self, args: &str) -> Option<bytes::Bytes> {
        let args = Args::from_json(args).ok()?;
        Some(encode(self.task.name.as_str(), self.task.queue.as_str(), &args))
    }

    /// Every payload that a job of a periodic task may have: ours, and ActionHero's with `[null]` and `[]`.
    #[must_use]
    pub fn periodic_forms(&self) -> Vec<bytes::Bytes> {
        PERIODIC_ARGS.into_iter().filter_map(|args| self.form(args)).collect()
    }

    /// Is this job the task's own tick, and not an extra run that was enqueued?
    #[must_use]
    pub fn is_tick(&self, payload: &PayloadView<'_>) -> bool {
        self.task.cadence.is_some() && Args::of(payload).is_ok_and(|args| PERIODIC_ARGS.contains(&args.as_str()))
    }
}

/// The QueueLock that a job on this queue may hold: its task's, none if its task has no QueueLock, and for a task that
/// is not known here the one that node-resque would take.
#[must_use]
pub fn waiting_lock(registry: &Registry, queue: &QueueName, job: &PayloadView<'_>) -> Option<LockKey> {
    let args = Args::of(job).ok()?;
    match registry.get(&job.class) {
        Some(task) => Chain::of(task).queue_lock(queue, &args).map(|(key, _)| key),
        None => Some(LockKey::queue_lock(&job.class, queue.as_str(), args.as_str())),
    }
}

/// The QueueLock of a job, or the key that the task chose.
fn queue_lock_key(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::queue_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}

/// The JobLock of a job, or the key that the task chose.
fn job_lock_key(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::job_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}
