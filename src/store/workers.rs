//! Workers of all programs, and the jobs of dead workers.

use bytes::Bytes;

use super::effect::{Tick, Verdict};
use super::role::{Admin, Client, Mover, Pool, Scheduler, arrow};
use super::runs::KeepRun;
use super::working::WorkingRecord;
use crate::job::{LockKey, QueueName, WorkerName};

/// The working records of these workers, in order.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Working {
    /// The workers.
    pub workers: Vec<WorkerName>,
}

arrow!(Working, "working", Reads -> Vec<Option<WorkingRecord>>; Pool, Scheduler, Admin);

/// Working -> queue or failed: settles the job of a dead owner exactly once.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The dead instance, and the counter at which it was found dead. If the counter has grown since, nothing is done.
    /// `None` for a record without an instance (an earlier start, a foreign worker).
    pub instance: Option<(String, u64)>,
    /// The record. If the stored one is not the same byte for byte, nothing is done.
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
    /// The run that was cut off, if its task is known here and keeps its runs.
    pub run: Option<Box<KeepRun>>,
}

arrow!(Recovery, "recover", Repeatable -> Recovered; Pool, Scheduler);

/// What a recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The job was settled.
    Yes,
    /// The record has changed, or its owner is alive: nothing was done.
    No,
    /// Somebody force-cleaned the worker. That put the job on the failed list and left the record, as node-resque does.
    /// The record was removed, and the job was not changed.
    AlreadyCleaned,
}

/// A registered worker of any program.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The worker.
    pub worker: WorkerName,
    /// When it last pinged, in unix seconds; Ruby's and Go's workers do not ping.
    pub pinged_s: Option<i64>,
    /// When it started, in the writer's format.
    pub started: Option<String>,
    /// The job that it runs.
    pub working: Option<WorkingRecord>,
}

/// How many workers [`RegisteredWorkers`] tells of at most: the first ones by their ids.
pub const MOST_REGISTERED: usize = 100_000;

/// All registered workers of all programs, at most [`MOST_REGISTERED`]. Of a long working record only the beginning is read.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredWorkers;

/// How many bytes of each working record [`RegisteredWorkers`] reads: enough for its claim, its queue and its class.
pub const REGISTERED_BYTES: usize = 2048;

arrow!(RegisteredWorkers, "registered", Reads -> Vec<Registered>; Scheduler, Admin, Mover);

/// How many ids of workers a look reads, unless more are wanted. Nobody bounds how many others write.
pub const WORKERS_LOOKED_AT: usize = 20_000;

/// The ids of the registered workers of all programs in order, the first `limit` of them. If there are more than `limit` and
/// [`WORKERS_LOOKED_AT`], of those that the store names first.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct WorkerNames {
    /// The largest number of workers.
    pub limit: usize,
}

arrow!(WorkerNames, "worker_names", Reads -> Vec<WorkerName>; Scheduler, Admin);

/// What is known of these workers, in order. One that is not registered has nothing but its name. Of a long working record
/// only the beginning is read ([`LISTED_BYTES`](super::listed::LISTED_BYTES)).
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadWorkers {
    /// The workers.
    pub workers: Vec<WorkerName>,
    /// How many bytes of a working record are read at most.
    pub longest: usize,
}

arrow!(ReadWorkers, "read_workers", Reads -> Vec<Registered>; Admin);

/// Removes a worker (membership, ping, start time, stats, working record). Its job goes to the failed list if `record` is
/// given. Nothing is done, and the reply is false, if its working record is not the one in `working` (`None`: it has
/// none). A live instance loses its claim by this. Of the locks in `free`, those that belong to the worker are freed.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ForceClean {
    /// The worker.
    pub worker: WorkerName,
    /// Its working record as it was seen.
    pub working: Option<WorkingRecord>,
    /// Its job's failure record.
    pub record: Option<Bytes>,
    /// Its locks.
    pub free: Vec<WorkerLock>,
    /// The run of its job, if its task is known here and keeps its runs. It is kept only if the job fails.
    pub run: Option<Box<KeepRun>>,
}

arrow!(ForceClean, "force_clean", Repeatable -> bool; Scheduler, Admin);

/// A lock that is freed when its worker is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLock {
    /// The lock.
    pub key: LockKey,
    /// It is freed only if it holds exactly this value. `None`: only if it carries the claim of the worker's record.
    pub value: Option<String>,
}

/// The values of these locks; `None` for a free lock.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct LockValues {
    /// The locks.
    pub keys: Vec<LockKey>,
}

arrow!(LockValues, "lock_values", Reads -> Vec<Option<String>>; Client, Scheduler, Admin);

/// Removes the stored identities of jobs that other programs took, in one bounded step. Returns where the next step
/// begins, 0 at the end. A store that no other program writes to has nothing to remove.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct SweepIdentities {
    /// Where to begin: 0, or the reply of the previous step.
    pub cursor: u64,
}

arrow!(SweepIdentities, "sweep_identities", Repeatable -> u64; Scheduler);

/// When a worker of this name (two parts) last pinged, and the queues that its ping names, even if the worker is not
/// registered.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct PingOf {
    /// The name, two parts.
    pub name: String,
}

arrow!(PingOf, "ping_of", Reads -> Option<(i64, WorkerName)>; Admin);
