//! The built-in plugins of a task, in order.
//!
//! QueueLock: at most one job of the same class, queue and arguments waits in the queue. It is taken before enqueue and
//! freed before perform, no matter which job took it.
//!
//! JobLock: at most one job of the same class, queue and arguments runs. Its value names the owner: node-resque never
//! reads the value, so the lock can be compared before it is freed.

use crate::job::payload::encode;
use crate::job::{Args, Identity, LockKey, PayloadView, QueueName, RetryKeys, TaskName, digest};
use crate::store::effect::{Admission, Busy, Gate, Next, Occurrence, Occurrences, Tick};
use crate::task::calendar::Calendar;
use crate::task::definition::Registry;
use crate::task::plugin_spec::RetrySpec;
use crate::task::{Cadence, PluginSpec, TaskDefinition};

/// The plugin name in the refusal of a tick that comes too late.
pub(crate) const MISSED: &str = "missed";

/// The names of the plugins in their refusals.
pub const QUEUE_LOCK: &str = "QueueLock";
const JOB_LOCK: &str = "JobLock";
/// The same of DelayQueueLock.
pub const DELAY_QUEUE_LOCK: &str = "DelayQueueLock";

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

    /// The conditions for putting a failed job with these arguments back on its queue. Those of an enqueue, except that
    /// the next tick of a periodic task, which always waits, does not refuse the retry of an earlier one.
    #[must_use]
    pub fn retry_admissions(&self, queue: &QueueName, args: &Args) -> Vec<Admission> {
        let mut admissions = self.admissions(queue, args);
        if *queue == self.task.queue && self.has_tick(args) {
            let keys = self.retry().map(|_| RetryKeys::of(self.task.name.as_str(), args));
            admissions.retain_mut(|admission| match (&*admission, &keys) {
                (Admission::NotDelayed { plugin }, Some(keys)) => {
                    *admission = Admission::NotRepeating { plugin, keys: keys.clone() };
                    true
                }
                (Admission::NotDelayed { .. }, None) => false,
                _ => true,
            });
        }
        admissions
    }

    /// May a job of this task pass gates before it runs? Which ones its arguments tell: [`gates`](Self::gates).
    #[must_use]
    pub fn may_have_gates(&self) -> bool {
        let is_gate = |plugin: &PluginSpec| matches!(plugin, PluginSpec::QueueLock { .. } | PluginSpec::JobLock { .. });
        self.task.cadence.is_some() || self.task.plugins.iter().any(is_gate)
    }

    /// Does a job of this task hold a lock while it runs?
    #[must_use]
    pub fn has_locks(&self) -> bool {
        self.task.plugins.iter().any(|plugin| matches!(plugin, PluginSpec::JobLock { .. }))
    }

    /// The gates between claim and run of a job. `identity` tells whether earlier attempts failed.
    #[must_use]
    pub fn gates(&self, queue: &QueueName, args: &Args, identity: &Identity) -> Vec<Gate> {
        let own_tick = || self.tick().filter(|_| args.are_periodic());
        let free = || self.queue_lock(queue, args).map(|(key, _)| key).into_iter().collect();
        let retry = self.retry().filter(|_| identity.attempt > 1).map(|_| RetryKeys::of(self.task.name.as_str(), args));
        let mut gates = Vec::new();
        // With `overlap` the entry is that of the next tick from the first run on.
        let told = !self.task.overlap || identity.is_first_run();
        if let Some(tick) = own_tick().filter(|_| told) {
            gates.push(Gate::TellDue { task: tick.task });
        }
        if let Some((max_age_s, tick)) = self.task.missed_max_age_s.zip(own_tick()) {
            gates.push(Gate::Fresh { plugin: MISSED, max_age_s, tick, free: free(), retry: retry.clone() });
        }
        gates.extend(self.lock_gates(queue, args, retry.as_ref()));
        // A run that ended before has written it.
        if self.task.overlap && identity.attempt == 1 && identity.later == 0 {
            gates.extend(own_tick().map(|tick| Gate::NextTick { tick }));
        }
        gates
    }

    fn lock_gates(&self, queue: &QueueName, args: &Args, retry: Option<&RetryKeys>) -> Vec<Gate> {
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
                        tick: self.tick(),
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

    /// Does a job of this task hold a lock while it waits in its queue?
    #[must_use]
    pub fn has_queue_lock(&self) -> bool {
        self.task.plugins.iter().any(|plugin| matches!(plugin, PluginSpec::QueueLock { .. }))
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

    /// The next tick of a periodic task.
    #[must_use]
    pub fn tick(&self) -> Option<Tick> {
        let next = match self.task.cadence.as_ref()? {
            Cadence::Every(every) => Next::Every { seconds: every.as_secs().max(1) },
            Cadence::Calendar(calendar) => Next::At { calendar: self.occurrences(calendar) },
        };
        Some(Tick {
            task: self.task.name.clone(),
            queue: self.task.queue.clone(),
            payload: self.form(&Args::periodic()),
            next,
            lock: self.queue_lock(&self.task.queue, &Args::periodic()),
            halt: false,
            beside: self.task.overlap,
        })
    }

    fn occurrences(&self, calendar: &Calendar) -> Occurrences {
        let (calendar, name, jitter_s) = (calendar.clone(), self.task.name.clone(), self.task.jitter_s);
        Occurrences::new(move |second| {
            let due_s = calendar.after(second)?;
            Some(Occurrence { due_s, second: due_s + spread(&name, jitter_s, due_s) })
        })
    }

    /// The delay of this occurrence's job in seconds: at most the jitter, and equal for every caller.
    #[must_use]
    pub fn spread(&self, due_s: i64) -> i64 {
        spread(&self.task.name, self.task.jitter_s, due_s)
    }

    fn form(&self, args: &Args) -> bytes::Bytes {
        encode(self.task.name.as_str(), self.task.queue.as_str(), args)
    }

    /// Every payload that a job of a periodic task may have: ours, and ActionHero's with `[null]` and `[]`.
    #[must_use]
    pub fn periodic_forms(&self) -> Vec<bytes::Bytes> {
        Args::all_periodic().iter().map(|args| self.form(args)).collect()
    }

    /// Is this job the task's own tick, and not an extra run that was enqueued?
    #[must_use]
    pub fn is_tick(&self, payload: &PayloadView<'_>) -> bool {
        Args::of(payload).is_ok_and(|args| self.has_tick(&args))
    }

    /// The same of these arguments.
    fn has_tick(&self, args: &Args) -> bool {
        self.task.cadence.is_some() && args.are_periodic()
    }
}

fn spread(task: &TaskName, jitter_s: u64, due_s: i64) -> i64 {
    if jitter_s == 0 {
        return 0;
    }
    let hash = digest::spread(digest::seeded(due_s.unsigned_abs(), task.as_str().bytes()));
    i64::try_from((hash >> 11) % (jitter_s + 1)).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::ClaimToken;
    use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};

    #[test]
    fn an_extra_run_of_a_periodic_task_passes_no_gates_and_holds_no_lock() {
        let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() });
        let (name, queue) = (TaskName::as_stored("t"), QueueName::as_stored("q"));
        let cadence = Some(Cadence::Every(Duration::from_secs(5)));
        let task = TaskDefinition { cadence, ..TaskDefinition::new(name, queue.clone(), noop) };
        let (chain, identity) = (Chain::of(&task), Identity::first(&ClaimToken::new("00ff", 0, 1, 0)));
        let gates = |args: &str| chain.gates(&queue, &Args::from_json(args).unwrap(), &identity).len();
        assert_eq!(["[{}]", "[null]", "[]", "[1]"].map(gates), [1, 1, 1, 0]);
        assert!(chain.may_have_gates() && !chain.has_locks());
    }
}
