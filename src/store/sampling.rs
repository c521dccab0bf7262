//! Samples of all queues, which the leader of the duties takes and publishes for everybody (`curve`, [`snapshot`](super::snapshot)).

use bytes::Bytes;

use super::role::{Admin, Scheduler, arrow};
use crate::job::QueueName;

/// How many queues one sample takes at most.
pub const SAMPLED: usize = 500;
/// How many curves are kept or read in one step at most.
pub const CURVES: usize = 200;
/// How many seconds with delayed jobs SQLite counts at most: each takes a look into an index.
pub const DELAYED_SECONDS: u32 = 10_000;
/// For how long the leader samples often after somebody looked.
pub const WATCHED_MS: u64 = 15_000;
/// For how long a snapshot stands at most.
pub const SNAPSHOT_MS: u64 = 90_000;

/// Reads at one moment what queues hold, and what left them so far. Nothing that stands there in place of a queue or a
/// count is an error.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The queues, at most [`SAMPLED`].
    pub queues: Vec<SampledQueue>,
    /// The numbers of the store as well?
    pub totals: bool,
    /// The counters of the last sample, at which no queue held a job. If that is still so and nobody watches, nothing
    /// else is read.
    pub quiet: Option<Counters>,
}

arrow!(Sample, "sample", Reads -> Sampled; Scheduler);

/// A queue to be sampled.
#[derive(Debug, Clone)]
pub struct SampledQueue {
    /// The queue.
    pub queue: QueueName,
    /// A digest of its first job too?
    pub head: bool,
}

/// How many jobs were done and how many failed, all in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// All jobs that succeeded so far.
    pub processed: u64,
    /// All jobs that failed so far.
    pub failed: u64,
}

/// A sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    /// The store's time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How many queues are known.
    pub known: u64,
    /// How many workers of all programs are registered. 0 where no others can be.
    pub workers: u64,
    /// Did somebody look in the last seconds?
    pub watched: bool,
    /// The counters.
    pub counters: Counters,
    /// What each queue holds, in the order of the request; `None` if all is as quiet as before.
    pub queues: Option<Vec<QueueState>>,
    /// The numbers of the store, if they were asked for.
    pub totals: Option<Totals>,
}

/// What a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Its jobs.
    pub length: u64,
    /// How many left it so far, less those that were given back; `None` if that cannot be read.
    pub departed: Option<i64>,
    /// Jobs up to this number may be out of order.
    pub unsure: Option<i64>,
    /// A digest of its first job, if that was asked for.
    pub head: Option<u64>,
    /// When its oldest job came, where the store knows it.
    pub oldest_ms: Option<i64>,
}

/// Numbers of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// The failed jobs.
    pub failed: u64,
    /// The seconds for which jobs are delayed; on SQLite at most [`DELAYED_SECONDS`] are counted.
    pub delayed_seconds: u64,
    /// The first of them.
    pub next_delayed_s: Option<i64>,
    /// All queues are paused.
    pub all_paused: bool,
    /// Queues that are paused one by one.
    pub paused: Vec<QueueName>,
    /// The registered instances.
    pub instances: u64,
    /// Who holds the leadership of promotion.
    pub promoter: Option<String>,
    /// How many queues have counts, known or not.
    pub counted: u64,
    /// How many keys the server removed because its memory was full, since it started. `None` where none is.
    pub evicted: Option<u64>,
    /// The memory of the server, in bytes; on SQLite the size of the file. `None` if that may not be asked.
    pub memory: Option<Memory>,
}

/// The memory of a server, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What it uses.
    pub used: u64,
    /// What it may use at most, if that is limited.
    pub most: Option<u64>,
}

/// Finds, in one bounded step, queues that hold jobs. This is how those are known of which there are too many to look at each.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Default)]
pub struct WalkQueues {
    /// Where to begin: `None`, or the reply of the previous step.
    pub from: Option<String>,
}

arrow!(WalkQueues, "walk_queues", Reads -> Walked; Scheduler);

/// What a step found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walked {
    /// The queues.
    pub holding: Vec<QueueName>,
    /// Where the next step begins; `None` at the end.
    pub next: Option<String>,
}

/// Publishes a snapshot, in place of the one before, and keeps curves for the next leader.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The snapshot ([`Snapshot`](super::snapshot::Snapshot)).
    pub snapshot: Bytes,
    /// For how long it stands.
    pub lasts_ms: u64,
    /// The curves of queues as text, at most [`CURVES`]; `None` forgets one. SQLite keeps none, because its rows tell when
    /// they came.
    pub curves: Vec<(QueueName, Option<String>)>,
}

arrow!(Publish, "publish", Repeatable -> (); Scheduler);

/// The curves that an earlier leader kept, in the order of the request.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadCurves {
    /// The queues, at most [`CURVES`].
    pub queues: Vec<QueueName>,
}

arrow!(ReadCurves, "read_curves", Reads -> Vec<Option<String>>; Scheduler);

/// Forgets, in one bounded step, the counts and curves of queues that are not known any more and hold no jobs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Default)]
pub struct ForgetQueues {
    /// Where to begin: `None`, or the reply of the previous step.
    pub from: Option<String>,
}

arrow!(ForgetQueues, "forget_queues", Repeatable -> Forgotten; Scheduler);

/// What a step forgot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The queues.
    pub queues: Vec<QueueName>,
    /// Where the next step begins; `None` at the end.
    pub next: Option<String>,
}

/// The snapshot that the leader published last.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadSnapshot;

arrow!(ReadSnapshot, "read_snapshot", Reads -> PublishedSnapshot; Admin);

/// A published snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedSnapshot {
    /// The store's time, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The snapshot, if one stands.
    pub bytes: Option<Bytes>,
}

/// Says that somebody looks: the leader then samples every second for [`WATCHED_MS`].
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct AskForSamples;

arrow!(AskForSamples, "ask_for_samples", Repeatable -> (); Admin);

/// When the oldest job of each of these queues came, in the order of the request; `None` where the store does not know. Redis
/// never does, and is not asked.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct OldestJobs {
    /// The queues.
    pub queues: Vec<QueueName>,
}

arrow!(OldestJobs, "oldest_jobs", Reads -> Vec<Option<i64>>; Admin);
