//! Workers, anybody's, and the jobs of those that are gone.

use bytes::Bytes;

use super::arrow::{Arrow, Kind};
use super::effect::{Tick, Verdict};
use super::role::{Admin, May, Mover, Pool, Scheduler};
use super::working::WorkingRecord;
use crate::job::{LockKey, QueueName, WorkerName};

/// The working records that stand under these workers, in order.
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

/// Working -> queue or failed, for a dead owner's job, exactly once.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
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

/// All registered workers, anybody's.
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

/// Removes a worker (membership, ping, start time, stats, working record), and puts its job on
/// the failed list if `record` is given; only if its working record still is what `working`
/// says (`None`: there is none). False if it is not. A claim of a live instance is thereby lost
/// to it, and the locks in `free` are freed as far as they are the worker's.
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

/// A lock that goes with its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLock {
    /// The lock.
    pub key: LockKey,
    /// It goes only if it holds exactly this. `None`: only if it carries the claim of the worker's record.
    pub value: Option<String>,
}

/// What these locks hold; `None` for a lock that is free.
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

/// Drops what is remembered of jobs that other programs took, in one bounded step; tells where the next step begins, 0
/// at the end. A store that no other program writes to has nothing to drop.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct SweepIdentities {
    /// Where to begin: 0, or what the step before told.
    pub cursor: u64,
}

impl Arrow for SweepIdentities {
    type Reply = u64;
    const NAME: &'static str = "sweep_identities";
    const KIND: Kind = Kind::Repeatable;
}

impl May<SweepIdentities> for Scheduler {}

/// When a worker of this name (two parts) last pinged and the queues its ping tells of, even if
/// it is not registered.
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
