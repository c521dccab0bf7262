//! Periodic tasks: their entries, and the arrows that keep them running.

use bytes::Bytes;

use super::effect::Tick;
use super::role::{Admin, Pool, Scheduler, arrow};
use super::stored::{Period, Second};
use crate::job::{Args, LockKey, PayloadView, QueueName, RetryKeys, TaskName, WorkerName};

/// A periodic task's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodicEntry {
    /// The task.
    pub task: TaskName,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// The second for which the outstanding job (delayed, queued or running) is or was due.
    pub due_s: i64,
    /// The period in seconds; 0 for a calendar.
    pub every_s: u64,
    /// It is stopped: no ticks are written.
    pub stopped: bool,
    /// With a calendar: the second for which the tick before it was due, that is, the last occurrence that ran. If it is
    /// `due_s` itself, the next one could not be computed, because a clock was set back while it ran.
    pub last_s: Option<i64>,
    /// People asked for the outstanding run: it is not dropped for its age.
    pub asked: bool,
}

impl PeriodicEntry {
    /// The stored form, beside the task's name: `<due> <period> <state> <queue>`; the state is 1 if it is stopped,
    /// otherwise 0 and, if it is known, `:<last>`, and `!` if people asked for the run. Both engines use it, and so does a move
    /// from one store to another.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { task: _, queue, due_s, every_s, stopped, last_s, asked } = self;
        if *stopped {
            return format!("{due_s} {every_s} 1 {queue}");
        }
        let last = last_s.map_or_else(String::new, |last_s| format!(":{last_s}"));
        format!("{due_s} {every_s} 0{last}{} {queue}", if *asked { "!" } else { "" })
    }

    /// The same of a stopped task of which it is told apart for which second it ran last, as moves between stores do.
    #[must_use]
    pub(super) fn ran(self, last: Option<&str>) -> Self {
        let last_s = last.filter(|_| self.stopped).and_then(|last| last.parse::<Second>().ok()).map(Second::get);
        Self { last_s: last_s.or(self.last_s), ..self }
    }

    /// What [`ran`](Self::ran) reads.
    #[must_use]
    pub(super) fn last_of_stopped(&self) -> Option<String> {
        self.last_s.filter(|_| self.stopped).map(|last_s| last_s.to_string())
    }

    /// Reads what [`encode`](Self::encode) or a script of the Redis engine wrote. `None` for anything else, and for times
    /// outside the range of dates.
    #[must_use]
    pub fn decode(task: &str, stored: &str) -> Option<Self> {
        let mut parts = stored.splitn(4, ' ');
        let due_s = parts.next()?.parse::<Second>().ok()?.get();
        let every_s = parts.next()?.parse::<Period>().ok()?.get();
        let state = parts.next()?;
        let last = state.strip_suffix('!').unwrap_or(state).strip_prefix("0:");
        let last = last.and_then(|last| last.parse::<Second>().ok());
        Some(Self {
            task: TaskName::as_stored(task),
            queue: QueueName::as_stored(parts.next()?),
            due_s,
            every_s,
            stopped: state == "1",
            last_s: last.map(Second::get),
            asked: state.ends_with('!'),
        })
    }
}

/// The periodic entries, and which of `job_locks` are held. Anybody who writes to the store may write any number of entries: of more
/// than [`MOST_ENTRIES`] only so many are read, and those of `tasks` in any case.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Default)]
pub struct Periodic {
    /// Locks to check.
    pub job_locks: Vec<LockKey>,
    /// The tasks whose entries must not be missed.
    pub tasks: Vec<TaskName>,
}

/// How many periodic entries one look reads, roughly.
pub const MOST_ENTRIES: usize = 10_000;
/// The longest entry, and the longest name of a task, in bytes. One that is longer is none of ours.
pub(super) const LONGEST_ENTRY: usize = 4096;

/// What people are told if there are more.
pub(super) fn many_entries(place: &str) -> String {
    format!(
        "{place} has more than {MOST_ENTRIES} entries of periodic tasks: those of tasks that are declared are looked after, and of \
         the others only some are looked at; remove what no program needs"
    )
}

arrow!(Periodic, "periodic", Reads -> (Vec<PeriodicEntry>, Vec<bool>); Pool, Scheduler, Admin);

/// Reconciles one periodic task in one atomic step. A task without an entry is seeded, unless a job of it is delayed,
/// queued or running; such a job is accepted. An overdue task without a job anywhere is restored. Its JobLock is freed
/// if it is held while no worker runs the job.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// The task and its job.
    pub tick: Tick,
    /// Every byte form that the job may have: ours first, then ActionHero's.
    pub forms: Vec<Bytes>,
    /// Its QueueLock, and for how many seconds it is taken.
    pub queue_lock: Option<(LockKey, u64)>,
    /// Its JobLock.
    pub job_lock: Option<LockKey>,
    /// How many seconds after the due time its job is searched for.
    pub grace_s: u64,
    /// Registered workers, whose working records are searched. Workers that registered later are searched as well.
    pub workers: Vec<WorkerName>,
    /// Registered workers that are dead or silent for too long: their working records count as not running.
    pub silent: Vec<WorkerName>,
    /// What Retry keeps of it. While any of it stands, the present run waits for its next attempt: what is delayed for that is no
    /// tick, whichever program wrote it, and is not moved.
    pub attempts: Vec<RetryKeys>,
    /// The reason for the reconciliation.
    pub purpose: Purpose,
    /// The due second of an entry that does not fit the present cadence and time, because another cadence wrote it or the
    /// clock was set back since. A job that is delayed until then, or is nowhere, is moved to the next due second.
    pub stale_due_s: Option<i64>,
}

arrow!(Reconcile, "reconcile", Repeatable -> Reconciled; Scheduler, Admin);

impl Reconcile {
    /// Is this a job of the task, in one of its forms, also when another program wrote it again in its own way?
    pub(crate) fn is_of(&self, payload: &[u8]) -> bool {
        let read = |payload: &[u8]| {
            let view = PayloadView::parse(payload).ok()?;
            (view.class == self.tick.task.as_str()).then(|| Args::of(&view).ok()).flatten()
        };
        read(payload).is_some_and(|args| self.forms.iter().any(|form| read(form).as_ref() == Some(&args)))
    }
}

/// The reason for a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// The regular look.
    #[default]
    Look,
    /// An instance starts: a task that halted counts as one without an entry.
    Boot,
    /// Somebody starts the task: it is no longer stopped, and it is seeded unless it has a job somewhere.
    Start,
    /// Somebody wants the task to run now: its job goes to the queue, from the delayed jobs if it is there. The due time
    /// of a tick that was moved in this way stays. A stopped task stays stopped.
    Run,
}

/// The outcome of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Nothing to do: stopped, not yet overdue, or its job was found.
    Fine,
    /// It had no entry and has one now. Its first job is on the queue, or delayed until the next occurrence of a
    /// calendar, or a job was found.
    Seeded,
    /// It had no job: a new one is on the queue, and locks without an owner are free.
    Restored,
    /// Its JobLock was held although no worker runs the job: it is free now.
    Unlocked,
    /// [`Purpose::Run`]: its job is on the queue now.
    Started,
    /// [`Purpose::Run`]: its job is on the queue already.
    Waits,
    /// [`Purpose::Run`]: its job is running.
    Runs,
    /// Its job is now delayed until the next due second of the present cadence.
    Moved,
}

/// Removes a periodic task that no instance declares any more: its entry, and its delayed and queued jobs in any of
/// these forms.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Withdraw {
    /// The task.
    pub task: TaskName,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// Every byte form that its job may have.
    pub forms: Vec<Bytes>,
    /// The QueueLocks of these jobs, which are freed in the step that removes one of them from its queue.
    pub locks: Vec<LockKey>,
}

arrow!(Withdraw, "withdraw", Repeatable -> (); Scheduler);

/// Stops a periodic task until [`Purpose::Start`]: marks its entry (or makes one), removes its delayed and queued jobs in
/// any of these forms, and returns how many there were. A running job continues.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The task.
    pub task: TaskName,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// Every byte form that its job may have.
    pub forms: Vec<Bytes>,
    /// The QueueLocks of these jobs, which are freed in the step that removes one of them from its queue.
    pub locks: Vec<LockKey>,
}

arrow!(Stop, "stop", Repeatable -> u64; Admin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_within_its_bounds() {
        let entry = PeriodicEntry::decode("t", "1795490778 60 1 a b").unwrap();
        assert_eq!((entry.due_s, entry.every_s, entry.stopped, entry.queue.as_str()), (1_795_490_778, 60, true, "a b"));
        let entry = PeriodicEntry::decode("t", "1795490778 0 0:1795404378 q").unwrap();
        assert_eq!((entry.stopped, entry.last_s), (false, Some(1_795_404_378)));
        assert_eq!(entry.encode(), "1795490778 0 0:1795404378 q");
        for asked in ["1795490778 0 0:1795404378! q", "1795490778 60 0! q"] {
            let entry = PeriodicEntry::decode("t", asked).unwrap();
            assert!(entry.asked && !entry.stopped);
            assert_eq!(entry.encode(), asked);
        }
        assert_eq!(PeriodicEntry::decode("t", "5 0 0:soon q").unwrap().last_s, None);
        for bad in [
            "",
            "5",
            "5 60",
            "5 60 1",
            "soon 60 0 q",
            "5 -60 0 q",
            "9223372036854775807 60 0 q",
            "5 99999999999999 0 q",
        ] {
            assert_eq!(PeriodicEntry::decode("t", bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "(-?[0-9]{0,20} ){0,3}.{0,10}") {
            if let Some(entry) = PeriodicEntry::decode("t", &text) {
                proptest::prop_assert_eq!(PeriodicEntry::decode("t", &entry.encode()), Some(entry));
            }
        }
    }
}
