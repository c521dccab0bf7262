//! The arrows of clients and the pool: enqueue, schedule, and the exchange.

use std::sync::Arc;

use bytes::Bytes;

use super::effect::{Admission, Gate, Tick, Verdict};
use super::error::StoreError;
use super::marks::Mark;
use super::role::{Admin, Client, Scheduler, arrow};
use super::runs::{KeepRun, TrackedJob};
use crate::job::{ClaimToken, Identity, LockKey, QueueName, WorkerName};

/// A job to be put on its queue.
#[derive(Debug, Clone)]
pub struct Enqueue {
    /// The queue.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// To the head of the queue instead of its end.
    pub front: bool,
    /// Conditions, in the order of the plugins that state them.
    pub admissions: Vec<Admission>,
}

/// The outcome of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// The job is on its queue.
    Yes,
    /// A plugin refused; nothing was written.
    Refused {
        /// The plugin's name.
        plugin: &'static str,
    },
}

/// Nowhere -> queue: checks the admissions, makes the queue known and pushes the job. One atomic step for each job, one
/// round trip for all. Wakes waiting workers. Returns the outcome of each job, in order.
///
/// # Errors
/// None of the jobs was enqueued if the error says so ([`StoreError::changed_nothing`]). After any other it is unknown which
/// were.
#[derive(Debug, Clone)]
pub struct EnqueueBatch {
    /// The jobs, in order.
    pub jobs: Vec<Enqueue>,
}

arrow!(EnqueueBatch, "enqueue", Once -> Vec<Enqueued>; Admin, Client);

/// Nowhere -> queue, for a job that has an id from now on, because its producer tracks it or enqueued it inside of a trace: as
/// [`EnqueueBatch`] for one job, and in the same step the id that it will have when it is claimed is written beside it. Equal
/// jobs are interchangeable: of several on a queue the first that is claimed takes the id.
///
/// # Errors
/// As [`EnqueueBatch`].
#[derive(Debug, Clone)]
pub struct EnqueueTracked {
    /// The job.
    pub job: Enqueue,
    /// Who it will be.
    pub identity: Identity,
    /// What is known of it until it has ended, if its producer tracks it.
    pub tracked: Option<TrackedJob>,
}

arrow!(EnqueueTracked, "enqueue_tracked", Once -> Enqueued; Client);

/// When a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this unix second.
    At(i64),
    /// This many milliseconds after the store's time. The sum is rounded to a second, half up, as node-resque does.
    In(i64),
}

/// A job to be delayed.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The job's bytes, which name its queue.
    pub payload: Bytes,
    /// When it is due.
    pub when: When,
}

/// The outcome of delaying a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduled {
    /// The job is due at this unix second.
    At(i64),
    /// A job of the same bytes was already due at this second; nothing was written.
    Duplicate(i64),
    /// The mark stands; nothing was written.
    Marked,
}

/// Nowhere -> delayed: refuses a second job of the same bytes in the same second. Returns the outcome of each job, in
/// order.
///
/// # Errors
/// None of the jobs was delayed if the error says so ([`StoreError::changed_nothing`]). After any other it is unknown which
/// were.
#[derive(Debug, Clone)]
pub struct ScheduleBatch {
    /// The jobs, in order.
    pub jobs: Vec<Schedule>,
    /// The mark of the only job: nothing is written if it stands.
    pub mark: Option<Mark>,
    /// Who the only job is, and its queue, if it has an id already: it is written beside it in the same step.
    pub known: Option<(QueueName, Identity)>,
}

arrow!(ScheduleBatch, "schedule", Once -> Vec<Scheduled>; Client);

/// The end of a claim.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The worker that holds the claim.
    pub worker: WorkerName,
    /// The claim; if the working record carries another, the settlement writes nothing.
    pub claim: ClaimToken,
    /// The queue the job was claimed from.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// Where the job goes.
    pub verdict: Verdict,
    /// Locks to free if they carry this claim's token.
    pub free: Vec<LockKey>,
    /// The next tick, if the job is a tick of a periodic task.
    pub tick: Option<Tick>,
    /// The run, if its task keeps its runs.
    pub run: Option<Box<KeepRun>>,
}

/// A claimed job at its gates.
#[derive(Debug, Clone)]
pub struct Enter {
    /// The worker that holds the claim.
    pub worker: WorkerName,
    /// The claim; if the working record carries another, nothing is written.
    pub claim: ClaimToken,
    /// The queue the job was claimed from.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// The identity of the job, which is stored if the job is put back.
    pub identity: Identity,
    /// The gates, in the order of the plugins that state them.
    pub gates: Vec<Gate>,
    /// What is kept if a gate drops the job, if its task keeps its runs. The outcome says which kind of gate did, and the run is
    /// told for when its tick was due.
    pub run: Option<Box<KeepRun>>,
}

/// The outcome of an enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// All gates are passed: run the job.
    Taken,
    /// The job is delayed again and the claim is over.
    PutBack {
        /// The plugin that refused.
        plugin: &'static str,
    },
    /// The job is dropped and the claim is over.
    Dropped {
        /// The plugin that refused.
        plugin: &'static str,
    },
    /// The claim is lost; nothing was written.
    Lost,
    /// The job should be put back but could not be; the claim is still valid.
    Undone,
}

/// One call of a lane: settles ended claims, lets claimed jobs through their gates, and claims for idle workers.
///
/// All is applied in this order in one atomic step. Settlements are applied in order, so jobs that go back to the head
/// of the same queue should be listed newest claim first.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// One more than in the lane's previous exchange, from 1. Repeating an exchange with the same number after a lost
    /// reply applies nothing twice and gives the same reply.
    pub sequence: u64,
    /// Claims that ended.
    pub settlements: Vec<Settlement>,
    /// Claims at their gates.
    pub enters: Vec<Enter>,
    /// Workers to claim for. May include workers settled in this exchange.
    pub idle: Vec<WorkerName>,
    /// Where to claim from, in strict order of priority.
    pub queues: Arc<[QueueName]>,
    /// The number of instances that share the jobs. At most 1/share of the jobs of a queue, rounded up, is claimed; with
    /// 1, jobs are claimed for all idle workers.
    pub share: usize,
    /// The `run_at` of the working records: ISO 8601.
    pub run_at: String,
}

arrow!(Exchange, "exchange", Repeatable -> Exchanged);

/// About how many bytes of jobs one exchange claims, because jobs may have any size: once those that it has claimed have so
/// many, it claims no other one.
pub const CLAIM_BYTES: usize = 1024 * 1024;

/// A lane's reply.
#[derive(Debug, Clone, Default)]
pub struct Exchanged {
    /// The instance is not registered (any more): nothing was applied, and all its claims are lost.
    pub dead: bool,
    /// Indexes of settlements whose claim was lost; nothing was written for them.
    pub lost: Vec<usize>,
    /// Indexes of settlements that could not be recorded; `findings` says why. Their claims are still valid and may be
    /// settled again.
    pub undone: Vec<usize>,
    /// Settlements and enters that the store refuses for good although it takes the rest. The settlements are `undone` as
    /// well, the enters [`Entered::Undone`].
    pub refused: Vec<RefusedPart>,
    /// Why something was skipped or not done: the store holds wrong data or refuses a command. For people to read.
    pub findings: Vec<StoreError>,
    /// Failed attempts that will be repeated. A repeated exchange lists them again.
    pub repeated: Vec<Repeated>,
    /// The outcome of each enter, in order.
    pub entered: Vec<Entered>,
    /// What gates told of ticks that passed them. A repeated exchange tells it again.
    pub due: Vec<TickDue>,
    /// Claimed jobs for the idle workers, in order. If there are fewer than idle workers, the queues are empty, the
    /// rest is the share of other instances, or there is `more`.
    pub claims: Vec<Claim>,
    /// There may be jobs for the other idle workers: no more were claimed because of their [bytes](CLAIM_BYTES). After a
    /// repeated exchange that is unknown, and this is set unless each worker has a job.
    pub more: bool,
    /// Idle workers, as indexes into [`Exchange::idle`], that got no job because a working record stands under them. One
    /// whose settlement is `undone` is among them. A repeated exchange does not name them again.
    pub occupied: Vec<usize>,
}

/// A part of an exchange that the store refuses for good. Nothing was written for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPart {
    /// Which one.
    pub part: Part,
    /// Why, in the store's words.
    pub error: StoreError,
}

/// A part of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An index into [`Exchange::enters`].
    Enter(usize),
    /// A settlement. Without its refused extras the store may take it.
    Settlement {
        /// Index into [`Exchange::settlements`].
        index: usize,
        /// What is refused of it; nothing if it is the record of the claim or a statistic.
        extras: Vec<Extra>,
    },
}

/// What a settlement writes besides the end of its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// It frees this lock.
    Lock(LockKey),
    /// It changes the state of Retry.
    Retry,
    /// It puts the job off, or back to its queue.
    Place,
    /// It writes the next run of a periodic task.
    Tick,
    /// It keeps the run.
    Run,
}

/// A failed attempt that will be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// Index into [`Exchange::settlements`].
    pub index: usize,
    /// How many attempts are left.
    pub left: u32,
    /// How long it waits, in milliseconds.
    pub delay_ms: u64,
}

/// For which second a tick was due that passed its gates.
///
/// That is what the task's entry says, because each tick of a periodic task has the same bytes. There is none if the task has
/// no entry, if it is stopped or has halted (people asked for the run), or if the entry's second lies ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickDue {
    /// Index into [`Exchange::enters`].
    pub index: usize,
    /// The unix second.
    pub due_s: i64,
}

/// A job that was claimed.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Index into [`Exchange::idle`].
    pub index: usize,
    /// The claim's token. Its last part is unique in the exchange and ascends in the order in which
    /// jobs were claimed; it need not be `index`.
    pub token: ClaimToken,
    /// The queue the job came from.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// The identity of the job.
    pub identity: Identity,
}

/// The known queues in code-unit order, the first `limit` of them. If more are known than `limit` and
/// [`NAMES_LOOKED_AT`](super::inspection::NAMES_LOOKED_AT), of those that the store names first.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct QueueNames {
    /// The largest number of names.
    pub limit: usize,
}

arrow!(QueueNames, "queue_names", Reads -> Vec<QueueName>; Scheduler, Admin);
