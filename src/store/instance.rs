//! An instance's place in the store: its registration, its lease, its workers.

use super::arrow::{Arrow, Kind};
use super::error::StoreError;
pub use super::registration::{HostIdentity, InstanceRecord};
use super::role::{Admin, May, Mover, Pool, Scheduler};
use super::working::WorkingRecord;
use crate::job::{ClaimToken, LockKey, WorkerName};

/// How joining went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The instance is registered and its lease runs.
    Yes,
    /// Another instance holds this name; it may be dead.
    NameTaken(Box<InstanceRecord>),
}

/// Registers an instance and starts its lease, unless another holds its name. Repeating it for the same id is harmless.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Join {
    /// What it says of itself.
    pub record: InstanceRecord,
}

impl Arrow for Join {
    type Reply = Joined;
    const NAME: &'static str = "join";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Join> for Pool {}

/// Registers workers (membership, start time, ping) of an instance. Working records that already stand under their
/// names, left by an earlier life, are returned and left standing: a worker with one must not claim before it is
/// recovered.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Register {
    /// The instance.
    pub instance: String,
    /// Its workers.
    pub workers: Vec<WorkerName>,
}

impl Arrow for Register {
    type Reply = Vec<WorkingRecord>;
    const NAME: &'static str = "register";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Register> for Pool {}

/// Removes idle workers with their pings and stats; a worker that has a working record stays.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Unregister {
    /// The instance.
    pub instance: String,
    /// Its workers.
    pub workers: Vec<WorkerName>,
}

impl Arrow for Unregister {
    type Reply = ();
    const NAME: &'static str = "unregister";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Unregister> for Pool {}

/// Extends a lease, pings for all of an instance's workers, renews locks; see [`Extended`] for what it detects.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Extend {
    /// The instance, as it would register now.
    pub record: InstanceRecord,
    /// Is the record another than when it was written last?
    pub publish: bool,
    /// Is it to be told how many instances there are?
    pub census: bool,
    /// Those of its registered workers that are pinged and looked after.
    pub workers: Vec<WorkerName>,
    /// Locks of running jobs to be renewed.
    pub locks: Vec<LockRenewal>,
}

impl Arrow for Extend {
    type Reply = Extended;
    const NAME: &'static str = "extend";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Extend> for Pool {}

/// A lock to be renewed for a running job, if it still carries the claim's token.
#[derive(Debug, Clone)]
pub struct LockRenewal {
    /// The lock.
    pub key: LockKey,
    /// Its owner.
    pub claim: ClaimToken,
    /// How long it is held from now, in seconds.
    pub ttl_s: u64,
}

/// What an extension found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extended {
    /// The registration is gone: somebody declared this instance dead, and nothing was written.
    /// All its claims are lost; it must join again under a new id.
    pub dead: bool,
    /// Workers whose membership or ping was gone: somebody force-cleaned them. They are registered anew.
    pub removed: Vec<Removed>,
    /// Indexes of locks that were lost to another owner or had run out.
    pub lost_locks: Vec<usize>,
    /// How many instances are registered, this one included, if that was asked.
    pub instances: Option<usize>,
    /// What was left undone beside the lease (pings, locks), because the store holds what it should not or refuses a
    /// command: for people.
    pub findings: Vec<StoreError>,
}

/// Whether others are about to declare an instance dead, as its store tells while nothing can be written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// The store cannot tell: only the time since the last extension counts.
    Unknown,
    /// Nobody has begun to, and who begins waits for half a lease before anything is done.
    Trusted,
    /// Somebody has begun to, or the instance is not registered any more.
    Suspected,
}

/// A worker that somebody removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its index among the workers of the extension.
    pub index: usize,
    /// What stood under it.
    pub left: RemovedState,
}

/// What stood under a worker that somebody removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedState {
    /// Nothing: it was idle, or whoever removed it has seen to its job.
    Nothing,
    /// The record of a job that was put on the failed list with its worker's removal; it is removed too.
    Failed(ClaimToken),
    /// A claim that nobody has ended. It stands.
    Claim(ClaimToken),
}

/// Ends an instance: unregisters its workers and removes lease, registration and lanes. If a working record of it is
/// left, only the idle workers go, and the rest is left to recovery.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Leave {
    /// What it said of itself.
    pub record: InstanceRecord,
}

impl Arrow for Leave {
    type Reply = ();
    const NAME: &'static str = "leave";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Leave> for Pool {}

/// A registered instance and its lease counter, as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceState {
    /// What it says of itself.
    pub record: InstanceRecord,
    /// Grows with every extension. An instance is dead when this stood still for one lease while
    /// the observer itself could read it.
    pub counter: u64,
}

/// Every registered instance with its counter.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct Instances;

impl Arrow for Instances {
    type Reply = Vec<InstanceState>;
    const NAME: &'static str = "instances";
    const KIND: Kind = Kind::Reads;
}

impl May<Instances> for Scheduler {}
impl May<Instances> for Admin {}
impl May<Instances> for Mover {}

/// Takes or renews [`Leadership::Duties`](super::scheduling::Leadership::Duties) as
/// [`Lead`](super::scheduling::Lead) does, and reads all instances.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Oversee {
    /// Who takes or renews it.
    pub owner: String,
    /// For how long.
    pub ttl_ms: u64,
}

impl Arrow for Oversee {
    type Reply = (bool, Vec<InstanceState>);
    const NAME: &'static str = "oversee";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Oversee> for Scheduler {}

/// Asks without writing whether others are about to declare this instance dead: for an instance whose extensions do
/// not get through. On a file that somebody has locked nobody else can write, either.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadSuspicion {
    /// The instance.
    pub instance: String,
}

impl Arrow for ReadSuspicion {
    type Reply = Suspicion;
    const NAME: &'static str = "read_suspicion";
    const KIND: Kind = Kind::Reads;
}

impl May<ReadSuspicion> for Pool {}

/// May this instance, whose counter stood still for its lease, be declared dead now? A store that instances can read
/// while they cannot write to it marks the instance first, and says yes only after half a lease more, in which the
/// instance sees the mark and ends its jobs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The instance as it was seen.
    pub state: InstanceState,
}

impl Arrow for Suspect {
    type Reply = bool;
    const NAME: &'static str = "suspect";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Suspect> for Scheduler {}

/// Removes a dead instance with its workers and lanes, if its counter still stands and no working record of it is left.
/// False if not.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Bury {
    /// The instance as it was seen.
    pub dead: InstanceState,
}

impl Arrow for Bury {
    type Reply = bool;
    const NAME: &'static str = "bury";
    const KIND: Kind = Kind::Repeatable;
}

impl May<Bury> for Scheduler {}
