//! What the scheduler does to jobs: promote, recover, keep periodic tasks going; and its leaderships.

use async_trait::async_trait;
use bytes::Bytes;

use super::effect::{Tick, Verdict};
use super::error::StoreError;
use super::instance::InstanceState;
use super::queueing::{Enqueue, Enqueued};
use super::working::WorkingRecord;
use crate::job::{Args, LockKey, PayloadView, QueueName, TaskName, WorkerName};

/// What one instance at a time should do. Leadership saves work; correctness never depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Promotion. Shared with node-resque: `resque_scheduler_leader_lock`.
    Scheduler,
    /// What only Windlass knows: periodic tasks and recovery. A private lock.
    Duties,
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The store's time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The earliest delayed second, due or not.
    pub second: Option<i64>,
    /// If that second is due: its first jobs, in order; empty for a second without jobs.
    pub jobs: Vec<Bytes>,
}

impl Due {
    /// Is the earliest second due?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.second.is_some_and(|second| second.saturating_mul(1000) <= self.now_ms)
    }
}

/// A batch of due jobs of one second.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// Who believes to lead [`Leadership::Scheduler`]; moves nothing if another name holds the
    /// lock. `None` does not ask.
    pub leader: Option<String>,
    /// The delayed second.
    pub second: i64,
    /// Its first jobs, in order, as [`Scheduling::due`] read them.
    pub jobs: Vec<Promote>,
}

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
    /// To the failed list: the bytes are no job, or name no queue.
    Failed {
        /// The failure record.
        record: Bytes,
    },
}

/// What a promotion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promoted {
    /// So many of the batch were moved: those that still stood, in this order, at the head of the
    /// second. When nothing is left of the second it is forgotten.
    Moved(usize),
    /// Another name leads; nothing was moved.
    NotLeader,
}

/// The way of a job whose owner is dead.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The dead instance and the counter at which it was seen dead: if it grew since, nothing is
    /// done. `None` for a record without an instance (an earlier life, a foreign worker).
    pub instance: Option<(String, u64)>,
    /// The record. If it no longer stands byte for byte, nothing is done.
    pub record: WorkingRecord,
    /// The queue the job goes back to, or failed in.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// Where the job goes: failed or back to its queue.
    pub verdict: Verdict,
    /// Locks to free if they carry the record's claim.
    pub free: Vec<LockKey>,
    /// The next tick, if the job is periodic and goes to failed.
    pub tick: Option<Tick>,
}

/// What a recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The job went its way.
    Yes,
    /// The record is not (or no longer) as it was seen, or its owner showed life: nothing was done.
    No,
    /// Somebody force-cleaned the worker, which put the job on the failed list and (as node-resque does) left the
    /// record behind. The record was removed and the job not touched again.
    AlreadyCleaned,
}

/// A registered worker, anybody's.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The worker.
    pub worker: WorkerName,
    /// When it last pinged, in unix seconds; Ruby's and Go's workers never do.
    pub pinged_s: Option<i64>,
    /// When it started, in the writer's format.
    pub started: Option<String>,
    /// What it works on.
    pub working: Option<WorkingRecord>,
}

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
    pub(crate) fn encode(&self) -> String {
        let Self { queue, due_s, every_s, stopped, .. } = self;
        format!("{due_s} {every_s} {} {queue}", u8::from(*stopped))
    }

    /// What [`encode`](Self::encode) wrote, or the scripts of the Redis engine.
    #[must_use]
    pub(crate) fn decode(task: &str, stored: &str) -> Option<Self> {
        let mut parts = stored.splitn(4, ' ');
        Some(Self {
            task: TaskName::as_stored(task),
            due_s: parts.next()?.parse().ok()?,
            every_s: parts.next()?.parse().ok()?,
            stopped: parts.next()? == "1",
            queue: QueueName::as_stored(parts.next()?),
        })
    }
}

/// An occurrence of a schedule that enqueues a task with arguments.
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

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// It is remembered; its job, if there was one, went this way.
    Yes(Enqueued),
    /// Somebody else was faster; nothing was done.
    No,
}

/// A periodic task to be looked after.
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
    /// All registered workers, whose working records are searched.
    pub workers: Vec<WorkerName>,
    /// Why it is looked after.
    pub purpose: Purpose,
    /// The due second of an entry that another cadence wrote and that the present one cannot mean: if the job is
    /// delayed for it, it is moved to the next due second from now.
    pub stale_due_s: Option<i64>,
}

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

/// The part of a store that the scheduler holds.
#[async_trait]
pub trait Scheduling: Send + Sync {
    /// Reads the earliest delayed second and, if it is due, its first `limit` jobs.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn due(&self, limit: usize) -> Result<Due, StoreError>;

    /// Delayed -> queue, as raw bytes, for a bounded batch. Vetoes nothing; safe under two leaders.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; the batch may be repeated.
    async fn promote(&self, promotion: &Promotion) -> Result<Promoted, StoreError>;

    /// Takes a free leadership or renews one's own for `ttl_ms`; false if another holds it.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn lead(&self, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError>;

    /// Gives a leadership back if one holds it.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn resign(&self, which: Leadership, owner: &str) -> Result<(), StoreError>;

    /// Takes or renews [`Leadership::Duties`] as [`lead`](Self::lead) does, and reads all instances.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn oversee(&self, owner: &str, ttl_ms: u64) -> Result<(bool, Vec<InstanceState>), StoreError> {
        Ok((self.lead(Leadership::Duties, owner, ttl_ms).await?, self.instances().await?))
    }

    /// Every registered instance with its counter.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn instances(&self) -> Result<Vec<InstanceState>, StoreError>;

    /// The working records that stand under these workers, in order.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn working(&self, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError>;

    /// Working -> queue or failed, for a dead owner's job, exactly once.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn recover(&self, recovery: &Recovery) -> Result<Recovered, StoreError>;

    /// Removes a dead instance with its workers and lanes, if its counter still stands and no
    /// working record of it is left. False if not.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn bury(&self, dead: &InstanceState) -> Result<bool, StoreError>;

    /// All registered workers, anybody's.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn registered(&self) -> Result<Vec<Registered>, StoreError>;

    /// Removes a worker (membership, ping, start time, stats, working record), and puts its job on
    /// the failed list if `record` is given; only if its working record still is what `working`
    /// says (`None`: there is none). False if it is not. A claim of a live instance is thereby lost
    /// to it, and those of the locks in `free` that carry its token are freed.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn force_clean(
        &self,
        worker: &WorkerName,
        working: Option<&WorkingRecord>,
        record: Option<&Bytes>,
        free: &[LockKey],
    ) -> Result<bool, StoreError>;

    /// When a worker of this name (two parts) last pinged and the queues its ping tells of, even if
    /// it is not registered.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn ping_of(&self, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError>;

    /// All periodic entries, and which of `job_locks` are held at this moment.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn periodic(&self, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError>;

    /// Looks after one periodic task, in one atomic step: seeds it if it has no entry (unless a
    /// copy is delayed, queued or running, which is then accepted as it stands), restores it if it
    /// is overdue and its job is nowhere, frees its JobLock if it is held while nobody works on it.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn reconcile(&self, reconcile: &Reconcile) -> Result<Reconciled, StoreError>;

    /// The last occurrence of each of these schedules; `None` for one that was never seen.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn last_fired(&self, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError>;

    /// Nowhere -> queue, for an occurrence of a schedule: remembers it and enqueues its job (or has its admissions
    /// refuse it), in one atomic step, once for however many callers.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn fire(&self, fire: &Fire) -> Result<Fired, StoreError>;

    /// Forgets a periodic task that no instance declares any more: its entry and its delayed and
    /// queued copies in any of these forms.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn withdraw(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError>;

    /// Stops a periodic task, until [`Purpose::Start`]: marks its entry (or makes one) and removes its delayed and
    /// queued copies in any of these forms; tells how many there were. A run of it goes on.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; may be repeated.
    async fn stop(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<u64, StoreError>;
}
