//! Periodic tasks: their entries, and how they are kept going.

use bytes::Bytes;

use super::arrow::{Arrow, Kind};
use super::effect::Tick;
use super::role::{Admin, May, Scheduler};
use super::stored::{Period, Second};
use crate::job::{Args, LockKey, PayloadView, QueueName, TaskName, WorkerName};

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
    /// Somebody stopped it: no ticks are written.
    pub stopped: bool,
}

impl PeriodicEntry {
    /// What both engines and what moves between them store beside the task's name:
    /// `<due> <period> <1 if stopped> <queue>`.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { queue, due_s, every_s, stopped, .. } = self;
        format!("{due_s} {every_s} {} {queue}", u8::from(*stopped))
    }

    /// What [`encode`](Self::encode) wrote, or the scripts of the Redis engine; `None` for anything else, and for
    /// times that no date holds.
    #[must_use]
    pub fn decode(task: &str, stored: &str) -> Option<Self> {
        let mut parts = stored.splitn(4, ' ');
        Some(Self {
            task: TaskName::as_stored(task),
            due_s: parts.next()?.parse::<Second>().ok()?.get(),
            every_s: parts.next()?.parse::<Period>().ok()?.get(),
            stopped: parts.next()? == "1",
            queue: QueueName::as_stored(parts.next()?),
        })
    }
}

/// All periodic entries, and which of `job_locks` are held at this moment.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Periodic {
    /// Locks to look at.
    pub job_locks: Vec<LockKey>,
}

impl Arrow for Periodic {
    type Reply = (Vec<PeriodicEntry>, Vec<bool>);
    const NAME: &'static str = "periodic";
    const KIND: Kind = Kind::Reads;
}

impl May<Periodic> for Scheduler {}
impl May<Periodic> for Admin {}

/// Looks after one periodic task, in one atomic step: seeds it if it has no entry (unless a
/// copy is delayed, queued or running, which is then accepted as it stands), restores it if it
/// is overdue and its job is nowhere, frees its JobLock if it is held while nobody works on it.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// The task and its job.
    pub tick: Tick,
    /// Every form in which the job may stand: ours first, then ActionHero's.
    pub forms: Vec<Bytes>,
    /// Its QueueLock and for how many seconds it is taken.
    pub queue_lock: Option<(LockKey, u64)>,
    /// Its JobLock.
    pub job_lock: Option<LockKey>,
    /// How many seconds past due its job is searched for.
    pub grace_s: u64,
    /// Registered workers, whose working records are searched. Those that registered since are searched as well.
    pub workers: Vec<WorkerName>,
    /// Registered workers that are dead or as good as dead: what stands under them runs nowhere.
    pub silent: Vec<WorkerName>,
    /// Why it is looked after.
    pub purpose: Purpose,
    /// The due second of an entry that another cadence wrote and that the present one cannot mean: if the job is
    /// delayed for it, it is moved to the next due second from now.
    pub stale_due_s: Option<i64>,
}

impl Arrow for Reconcile {
    type Reply = Reconciled;
    const NAME: &'static str = "reconcile";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Reconcile> for Scheduler {}
impl May<Reconcile> for Admin {}

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

/// Why a periodic task is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// It is time to look.
    #[default]
    Look,
    /// An instance starts: a task that halted counts as one without an entry.
    Boot,
    /// Somebody starts it: it is stopped no more, and seeded unless its job is somewhere.
    Start,
    /// Somebody wants it to run now: its job goes to the queue, from the delayed ones if it is there. A tick that
    /// was moved that way stays due. A stopped task stays stopped.
    Run,
}

/// What looking after a periodic task led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Nothing to do: stopped, not yet overdue, or its job was found.
    Fine,
    /// It had no entry: it has one now. Its first job is on the queue, or with a calendar delayed until the next
    /// occurrence; or a copy was found.
    Seeded,
    /// Its job was nowhere: a new one is on the queue, and locks that nobody owns are free.
    Restored,
    /// Its JobLock was held by nobody that works: it is free now.
    Unlocked,
    /// [`Purpose::Run`]: its job is on the queue now.
    Started,
    /// [`Purpose::Run`]: its job waits on the queue already.
    Waits,
    /// [`Purpose::Run`]: it runs.
    Runs,
    /// Its job waits for the next due second of the present cadence.
    Moved,
}

/// Forgets a periodic task that no instance declares any more: its entry and its delayed and
/// queued copies in any of these forms.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Withdraw {
    /// The task.
    pub task: TaskName,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// Every form in which its job may stand.
    pub forms: Vec<Bytes>,
}

impl Arrow for Withdraw {
    type Reply = ();
    const NAME: &'static str = "withdraw";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Withdraw> for Scheduler {}

/// Stops a periodic task, until [`Purpose::Start`]: marks its entry (or makes one) and removes its delayed and
/// queued copies in any of these forms; tells how many there were. A run of it goes on.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The task.
    pub task: TaskName,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// Every form in which its job may stand.
    pub forms: Vec<Bytes>,
}

impl Arrow for Stop {
    type Reply = u64;
    const NAME: &'static str = "stop";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Stop> for Admin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_within_its_bounds() {
        let entry = PeriodicEntry::decode("t", "1795490778 60 1 a b").unwrap();
        assert_eq!((entry.due_s, entry.every_s, entry.stopped, entry.queue.as_str()), (1_795_490_778, 60, true, "a b"));
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
