//! The record of an instance in the store, and the bounds within which it is read.

use std::ops::RangeInclusive;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job::{TaskName, WorkerName};

/// Where an instance runs. It is exact enough for another process of the same machine to tell whether it is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The host's name.
    pub hostname: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The inode of the pid namespace: a pid is unique only within one.
    pub pid_namespace: u64,
    /// The daemon's process id.
    pub pid: u32,
    /// The daemon's start time, in clock ticks since boot: a pid is reused, this pair is not.
    pub started_ticks: u64,
}

/// The largest number of workers of an instance over its life.
const MAX_PROCESSORS: usize = 10_000;
/// The largest number of queue lists that an instance remembers, and the largest number of worker names that result.
const MAX_QUEUE_LISTS: usize = 100;
const MAX_WORKER_NAMES: usize = 100_000;
/// The shortest lease that a configuration may set, and the longest one that is read, in milliseconds. With a shorter one, a
/// record would declare a living instance dead between two extensions.
const LEASES_MS: RangeInclusive<u64> = 1000..=10 * 366 * 24 * 3600 * 1000;

/// How long the names of loaded tasks may be together, to be told: the record is read at every look at all instances.
const MAX_TOLD_BYTES: usize = 8 * 1024;
/// How many skipped tasks are told.
const MAX_SKIPPED: usize = 20;

/// Why an instance claims nothing, although it is there. It says so in its record, which is written when this changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Halt {
    /// It was told to claim nothing for now.
    Paused,
    /// It is about to end.
    Draining,
    /// For a reason that this version does not know.
    #[serde(other)]
    Other,
}

impl Halt {
    /// In a word, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Other => "halted",
        }
    }
}

/// The record of an instance.
///
/// A record outside the bounds is not accepted from the store, because recovery goes through all workers of an instance:
/// a number that another program wrote must not exhaust the memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// The derived functions belong to the type itself; the traits below call them, and check what was read.
#[serde(remote = "Self")]
pub struct InstanceRecord {
    /// Random, hexadecimal. New at each start, and after the instance was declared dead.
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
    /// The highest number that one of its workers ever had: workers are `<name>+1` to `<name>+<this>`.
    pub processors: usize,
    /// Its lease in milliseconds: how long its counter may stay the same.
    pub lease_ms: u64,
    /// Periodic tasks that it declares.
    pub periodic: Vec<String>,
    /// The version of Windlass.
    pub version: String,
    /// Why it claims nothing, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// The tasks that it has loaded, unless they are too many to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
    /// The tasks that it skips because their files have mistakes, or those files; the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Why jobs cannot be exchanged with the store although its lease is extended, if that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// Since when it works by older files than those that stand there, because their reload was refused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<Stuck>,
    /// Its queues were given on the command line, which overrides the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queues_given: bool,
}

/// Since when something cannot be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// Since when, by the clock of the instance, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Why, for people.
    pub why: String,
}

impl Serialize for InstanceRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Any program may have written it.
impl<'de> Deserialize<'de> for InstanceRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = Self::deserialize(deserializer)?;
        record.check().map_err(D::Error::custom)?;
        Ok(record)
    }
}

/// Why a record cannot be one of an instance.
#[derive(Debug, thiserror::Error)]
enum OutOfBounds {
    #[error("its id is empty")]
    NoId,
    #[error("it claims {0} processors, more than {MAX_PROCESSORS}")]
    Processors(usize),
    #[error("it claims {0} lists of queues for {1} processors, which are too many")]
    Workers(usize, usize),
    #[error("its lease is {0} ms, which is too short or too long")]
    Lease(u64),
}

impl InstanceRecord {
    /// Is it within the bounds?
    fn check(&self) -> Result<(), OutOfBounds> {
        let (processors, lists) = (self.processors, self.former_queues.len().saturating_add(1));
        if self.id.is_empty() {
            return Err(OutOfBounds::NoId);
        }
        if processors > MAX_PROCESSORS {
            return Err(OutOfBounds::Processors(processors));
        }
        if lists > MAX_QUEUE_LISTS || processors.saturating_mul(lists) > MAX_WORKER_NAMES {
            return Err(OutOfBounds::Workers(lists, processors));
        }
        if !LEASES_MS.contains(&self.lease_ms) {
            return Err(OutOfBounds::Lease(self.lease_ms));
        }
        Ok(())
    }

    /// A new instance's id: 64 random bits in hexadecimal.
    #[must_use]
    pub fn new_id() -> String {
        let mut bits = [0; 8];
        // Ids must be unique, so there is no substitute for the system's randomness; it never fails on Linux.
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

    /// Changes the queues under which workers are registered from now on; the former queues are remembered.
    pub fn change_queues(&mut self, queues: String) {
        if queues == self.queues {
            return;
        }
        self.former_queues.retain(|former| *former != queues);
        self.former_queues.push(std::mem::replace(&mut self.queues, queues));
        // The record must stay within the bounds of reading; the oldest lists are forgotten first.
        let most = MAX_QUEUE_LISTS.min(MAX_WORKER_NAMES / self.processors.max(1)).saturating_sub(1);
        let surplus = self.former_queues.len().saturating_sub(most);
        self.former_queues.drain(..surplus);
    }

    /// Its workers may have numbers up to this one from now on, as far as the record stays within the bounds of reading.
    pub fn raise_processors(&mut self, most: usize) {
        let bound = MAX_PROCESSORS.min(MAX_WORKER_NAMES / self.former_queues.len().saturating_add(1));
        self.processors = self.processors.max(most.min(bound));
    }

    /// Tells which tasks it has loaded and which it skips, as far as the record is to grow.
    pub fn tell_tasks<'a>(&mut self, tasks: &[String], skipped: impl Iterator<Item = &'a str>) {
        let length: usize = tasks.iter().map(String::len).sum();
        self.tasks = (length <= MAX_TOLD_BYTES).then(|| tasks.to_vec());
        self.skipped = skipped.take(MAX_SKIPPED).map(str::to_owned).collect();
    }

    /// Does it declare this periodic task?
    #[must_use]
    pub fn declares(&self, task: &TaskName) -> bool {
        self.periodic.iter().any(|name| name == task.as_str())
    }
}

#[cfg(test)]
mod tests;
