//! An instance's place in the store: its registration, its lease, its workers.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::arrow::{Arrow, Kind};
use super::error::StoreError;
use super::role::{Admin, May, Mover, Pool, Scheduler};
use super::working::WorkingRecord;
use crate::job::{ClaimToken, LockKey, TaskName, WorkerName};

/// Where an instance runs, exactly enough to tell from the same machine whether it is still alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The host's name.
    pub hostname: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The inode of the pid namespace: a pid means something only within one.
    pub pid_namespace: u64,
    /// The daemon's process id.
    pub pid: u32,
    /// The daemon's start time, in clock ticks since boot: a pid is used again, this pair is not.
    pub started_ticks: u64,
}

/// The most workers that an instance may ever have had.
const MOST_PROCESSORS: usize = 10_000;
/// The most lists of queues that an instance remembers, and the most workers that come of them.
const MOST_QUEUES: usize = 100;
const MOST_WORKERS: usize = 100_000;
/// The shortest and the longest lease, in milliseconds.
const LEASES_MS: RangeInclusive<u64> = 100..=10 * 365 * 24 * 3600 * 1000;

/// What an instance says of itself for as long as it lives.
///
/// It is read from the store only within its bounds, because whoever recovers an instance goes through all of its
/// workers: a number from elsewhere must not be one that takes all memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct InstanceRecord {
    /// Random, hexadecimal, new at each start (and after each declared death).
    pub id: String,
    /// The first two parts of its workers' names, without the number: `<host>-windlass:<pid>`.
    pub name: String,
    /// The third part of its workers' names: the queues as configured.
    pub queues: String,
    /// Lists of queues under which it had workers before its configuration was reloaded: a job that began then may
    /// still be on record under such a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_queues: Vec<String>,
    /// Where it runs.
    pub host: HostIdentity,
    /// The highest number any of its workers ever had: workers are `<name>+1` to `<name>+<this>`.
    pub processors: usize,
    /// Its lease in milliseconds: how long its counter may stand still.
    pub lease_ms: u64,
    /// Periodic tasks that it declares.
    pub periodic: Vec<String>,
    /// The version of Windlass.
    pub version: String,
}

/// A registration as it stands in a store, whoever wrote it.
#[derive(Deserialize)]
struct Stored {
    id: String,
    name: String,
    queues: String,
    #[serde(default)]
    former_queues: Vec<String>,
    host: HostIdentity,
    processors: usize,
    lease_ms: u64,
    periodic: Vec<String>,
    version: String,
}

/// Why a registration is none that an instance wrote.
#[derive(Debug, thiserror::Error)]
enum OutOfBounds {
    #[error("its id is empty")]
    NoId,
    #[error("it claims {0} processors, and {MOST_PROCESSORS} are the most")]
    Processors(usize),
    #[error("it claims {0} lists of queues for {1} processors, which are too many")]
    Workers(usize, usize),
    #[error("its lease is {0} ms, which is too short or too long")]
    Lease(u64),
}

impl TryFrom<Stored> for InstanceRecord {
    type Error = OutOfBounds;

    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { id, name, queues, former_queues, host, processors, lease_ms, periodic, version } = stored;
        let lists = former_queues.len().saturating_add(1);
        if id.is_empty() {
            return Err(OutOfBounds::NoId);
        }
        if processors > MOST_PROCESSORS {
            return Err(OutOfBounds::Processors(processors));
        }
        if lists > MOST_QUEUES || processors.saturating_mul(lists) > MOST_WORKERS {
            return Err(OutOfBounds::Workers(lists, processors));
        }
        if !LEASES_MS.contains(&lease_ms) {
            return Err(OutOfBounds::Lease(lease_ms));
        }
        Ok(Self { id, name, queues, former_queues, host, processors, lease_ms, periodic, version })
    }
}

impl InstanceRecord {
    /// A new instance's id: 64 random bits in hexadecimal.
    #[must_use]
    pub fn new_id() -> String {
        let mut bits = [0; 8];
        // Without the system's randomness nothing that must be unique can be; /dev/urandom never fails on Linux.
        getrandom::fill(&mut bits).expect("the system must give random bytes");
        bits.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The worker with number `n`, from 1.
    #[must_use]
    pub fn worker(&self, n: usize) -> WorkerName {
        WorkerName::new(&format!("{}+{n}", self.name), &self.queues)
    }

    /// Every worker it may ever have registered.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerName> {
        let mut workers = Vec::with_capacity(self.processors * (1 + self.former_queues.len()));
        for queues in std::iter::once(&self.queues).chain(&self.former_queues) {
            workers.extend((1..=self.processors).map(|n| WorkerName::new(&format!("{}+{n}", self.name), queues)));
        }
        workers
    }

    /// Changes the queues under which workers are registered from now on; what was before is remembered.
    pub fn change_queues(&mut self, queues: String) {
        if queues == self.queues {
            return;
        }
        self.former_queues.retain(|former| *former != queues);
        self.former_queues.push(std::mem::replace(&mut self.queues, queues));
        // What is remembered stays within the bounds in which it is read again; the oldest is forgotten first.
        let most = MOST_QUEUES.min(MOST_WORKERS / self.processors.max(1)).saturating_sub(1);
        let surplus = self.former_queues.len().saturating_sub(most);
        self.former_queues.drain(..surplus);
    }

    /// Does it declare this periodic task?
    #[must_use]
    pub fn declares(&self, task: &TaskName) -> bool {
        self.periodic.iter().any(|name| name == task.as_str())
    }
}

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
    pub left: Left,
}

/// What stood under a worker that somebody removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
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

#[cfg(test)]
mod tests;
