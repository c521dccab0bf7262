//! Workers of all programs, and the jobs of dead workers.

use bytes::Bytes;

use super::arrow::{Arrow, Kind};
use super::effect::{Tick, Verdict};
use super::role::{Admin, May, Mover, Pool, Scheduler};
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

impl Arrow for Working {
    type Reply = Vec<Option<WorkingRecord>>;
    const NAME: &'static str = "working";
    const KIND: Kind = Kind::Reads;
}

impl May<Working> for Pool {}
impl May<Working> for Scheduler {}
impl May<Working> for Admin {}

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
}

impl Arrow for Recovery {
    type Reply = Recovered;
    const NAME: &'static str = "recover";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Recovery> for Pool {}
impl May<Recovery> for Scheduler {}

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

/// All registered workers of all programs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredWorkers;

impl Arrow for RegisteredWorkers {
    type Reply = Vec<Registered>;
    const NAME: &'static str = "registered";
    const KIND: Kind = Kind::Reads;
}

impl May<RegisteredWorkers> for Scheduler {}
impl May<RegisteredWorkers> for Admin {}
impl May<RegisteredWorkers> for Mover {}

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
}

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

impl Arrow for LockValues {
    type Reply = Vec<Option<String>>;
    const NAME: &'static str = "lock_values";
    const KIND: Kind = Kind::Reads;
}

impl May<LockValues> for Scheduler {}
impl May<LockValues> for Admin {}

impl Arrow for ForceClean {
    type Reply = bool;
    const NAME: &'static str = "force_clean";
    const KIND: Kind = Kind::Repeatable;
}

impl May<ForceClean> for Scheduler {}
impl May<ForceClean> for Admin {}

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

impl Arrow for SweepIdentities {
    type Reply = u64;
    const NAME: &'static str = "sweep_identities";
    const KIND: Kind = Kind::Repeatable;
}

impl May<SweepIdentities> for Scheduler {}

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

impl Arrow for PingOf {
    type Reply = Option<(i64, WorkerName)>;
    const NAME: &'static str = "ping_of";
    const KIND: Kind = Kind::Reads;
}

impl May<PingOf> for Admin {}
