//! The arrows of an instance: its registration, its lease, its workers.

use bytes::Bytes;

use super::error::StoreError;
use super::history::Ran;
pub use super::registration::{Halt, HostIdentity, InstanceRecord, Stuck};
use super::role::{Admin, Mover, Pool, Scheduler, arrow};
use super::scheduling::Lead;
use super::wishes::Wish;
use super::working::WorkingRecord;
use crate::job::{ClaimToken, LockKey, Progress, WorkerName};

/// Of how many registered instances a look knows at most.
pub const MOST_INSTANCES: usize = 10_000;

/// What is told where there are more.
pub(super) fn many_instances() -> String {
    format!(
        "there are {MOST_INSTANCES} registrations of instances or more; only those that the store names first are looked at \
         until the dead among them are removed"
    )
}

/// The outcome of joining.
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
    /// Its record.
    pub record: InstanceRecord,
}

arrow!(Join, "join", Repeatable -> Joined; Pool);

/// Registers workers (membership, start time, ping) of an instance. Working records that already exist under their names
/// are returned and stay. A worker with such a record must not claim before the record is recovered.
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

arrow!(Register, "register", Repeatable -> Vec<WorkingRecord>; Pool);

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

arrow!(Unregister, "unregister", Repeatable -> (); Pool);

/// Extends a lease, writes the pings of all workers of an instance, renews locks, and adds what ran to the history.
/// [`Extended`] says what it finds.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Extend {
    /// The instance, as it would register now.
    pub record: InstanceRecord,
    /// Has the record changed since it was last written?
    pub publish: bool,
    /// Should the reply say how many instances there are?
    pub census: bool,
    /// The registered workers whose pings are written and whose membership is checked.
    pub workers: Vec<WorkerName>,
    /// The registered workers whose pings are written, and nothing else is done.
    pub pinged: Vec<WorkerName>,
    /// Locks of running jobs, which are renewed.
    pub locks: Vec<LockRenewal>,
    /// Claims whose runs have ended, so that wishes about them are removed.
    pub done: Vec<ClaimToken>,
    /// How far runs are, if that has changed; nothing for one that has ended.
    pub progress: Vec<(ClaimToken, Option<Progress>)>,
    /// What ran since the last extension that took it; mostly one batch or none.
    pub ran: Vec<Ran>,
    /// The jobs whose locks have long keys, which stand in their jobs. An engine need not send those.
    pub long: Vec<LongJob>,
}

/// A long job that holds locks.
#[derive(Debug, Clone)]
pub struct LongJob {
    /// Its claim.
    pub claim: ClaimToken,
    /// The worker that has it.
    pub worker: WorkerName,
    /// Its bytes.
    pub payload: Bytes,
}

arrow!(Extend, "extend", Repeatable -> Extended; Pool);

impl Extend {
    /// Is nothing looked at and nothing renewed but the lease and the pings of idle workers?
    #[must_use]
    pub fn only_pings(&self) -> bool {
        let looks = self.publish || self.census || !self.workers.is_empty() || !self.locks.is_empty();
        !looks && self.done.is_empty() && self.progress.is_empty() && self.ran.is_empty()
    }
}

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
    /// The registration is gone, and nothing was written. If `birth` is the mark that the store had before, somebody
    /// declared this instance dead: all its claims are lost, and it must join again under a new id. Otherwise the store
    /// has lost everything.
    pub dead: bool,
    /// The birth mark of the store ([`rejoin`](super::rejoin)), if it has one and it can be read. An extension that only
    /// pings does not read it unless the registration is gone.
    pub birth: Option<String>,
    /// Workers whose membership or ping was gone: somebody force-cleaned them. They are registered anew.
    pub removed: Vec<Removed>,
    /// Indexes of locks that another owner has now.
    pub lost_locks: Vec<usize>,
    /// Indexes of locks that somebody deleted before their end. They are free.
    pub deleted_locks: Vec<usize>,
    /// How many instances are registered, this one included, if that was asked.
    pub instances: Option<usize>,
    /// What people wish of its runs, those of `done` excepted. An extension that only pings does not read it.
    pub wishes: Vec<Wish>,
    /// If counts were sent: the sequence of the last batch of this instance that the store took, now or before.
    pub taken: u64,
    /// Why pings, locks or counts could not be written: the store holds wrong data or refuses a command. For people to read.
    pub findings: Vec<StoreError>,
}

/// Whether others are about to declare an instance dead, as far as the store can tell while it cannot be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// The store cannot tell: only the time since the last extension counts.
    Unknown,
    /// Nobody suspects the instance, and a suspicion lasts half a lease before anything follows.
    Trusted,
    /// Somebody suspects the instance, or it is not registered any more.
    Suspected,
}

/// A worker that somebody removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its index among the workers of the extension.
    pub index: usize,
    /// What it left.
    pub left: RemovedState,
}

/// What a worker left that somebody removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedState {
    /// Nothing: it was idle, or its job was handled by the one that removed it.
    Nothing,
    /// The record of a job that was put on the failed list when the worker was removed. The record is removed as well.
    Failed(ClaimToken),
    /// A claim that nobody has ended. It is still valid.
    Claim(ClaimToken),
}

/// Ends an instance: adds what ran to the history, unregisters its workers and removes its lease, registration and lanes.
/// If it still has a working record, only its idle workers are removed, and recovery does the rest. An instance that is not
/// registered any more adds nothing.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Leave {
    /// Its record.
    pub record: InstanceRecord,
    /// What ran and was not taken by an extension, as far as is known.
    pub ran: Vec<Ran>,
}

arrow!(Leave, "leave", Repeatable -> (); Pool);

/// A registered instance and its lease counter, as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceState {
    /// Its record.
    pub record: InstanceRecord,
    /// Grows with every extension. An instance is dead when this did not grow for one lease during which the observer
    /// could read it.
    pub counter: u64,
}

/// Every registered instance with its counter.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct Instances;

arrow!(Instances, "instances", Reads -> Vec<InstanceState>; Pool, Scheduler, Admin, Mover);

/// Takes or renews [`Leadership::Duties`](super::scheduling::Leadership::Duties) as
/// [`Lead`] does, and reads all instances.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Oversee {
    /// Who takes or renews it.
    pub owner: String,
    /// For how long.
    pub ttl_ms: u64,
    /// The record of the only instance there was. It need not be read again if it is still the only one.
    pub alone: Option<InstanceRecord>,
    /// Another leadership that is taken or renewed in the same step.
    pub also: Option<Lead>,
}

arrow!(Oversee, "oversee", Repeatable -> Overseen; Scheduler);

/// What [`Oversee`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overseen {
    /// The owner leads the duties.
    pub leads: bool,
    /// Whether the other leadership is held; `None` if it was not asked for, or if that was refused: then nothing changed of it,
    /// and a call for it alone says why.
    pub also: Option<bool>,
    /// All instances.
    pub instances: Vec<InstanceState>,
}

/// Asks without writing whether others are about to declare this instance dead, for an instance that cannot extend its
/// lease. While somebody keeps a file locked, no other instance can write to it either.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadSuspicion {
    /// The instance.
    pub instance: String,
}

arrow!(ReadSuspicion, "read_suspicion", Reads -> Suspicion; Pool);

/// May this instance, whose counter did not grow for its lease, be declared dead now? A store that can be read while it
/// cannot be written to marks the instance first. It says yes half a lease later, so that the instance can see the mark
/// and end its jobs.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The instance as it was seen.
    pub state: InstanceState,
}

arrow!(Suspect, "suspect", Repeatable -> bool; Scheduler);

/// Removes a dead instance with its workers and lanes, if its counter did not grow and it has no working record left.
/// False if it was not removed.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Bury {
    /// The instance as it was seen.
    pub dead: InstanceState,
}

arrow!(Bury, "bury", Repeatable -> bool; Scheduler);
