//! What people look at and correct. Nothing here runs by itself.

use async_trait::async_trait;
use bytes::Bytes;

use super::effect::Admission;
use super::error::StoreError;
use super::scheduling::Leadership;
use crate::job::QueueName;

/// A queue and how many jobs it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLength {
    /// The queue.
    pub queue: QueueName,
    /// Its jobs.
    pub length: u64,
}

/// Jobs to be deleted from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Their bytes.
    pub payload: Bytes,
    /// How many at most; `None`: all.
    pub count: Option<u64>,
}

/// From which end of a queue jobs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueEnd {
    /// From the next to run on.
    Head,
    /// From the last to run on.
    Tail,
}

/// What claims nothing at present, for whoever works on the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    /// Everything is paused.
    pub all: bool,
    /// Queues that are paused by themselves, in code-unit order.
    pub queues: Vec<QueueName>,
}

/// The counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs done, ever.
    pub processed: u64,
    /// Jobs failed, ever.
    pub failed: u64,
    /// (worker name, processed, failed) of every registered worker.
    pub workers: Vec<(String, u64, u64)>,
}

/// What became of a retry from the failed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// The record is gone and its job at the end of its queue.
    Yes,
    /// The record is not (or no longer) there; nothing was done.
    Gone,
    /// A plugin refused; the record stays.
    Refused {
        /// The plugin's name.
        plugin: &'static str,
    },
}

/// A delayed second and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedSecond {
    /// The unix second.
    pub second: i64,
    /// How many jobs are due then.
    pub length: u64,
}

/// A lock somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    /// Its key, without namespace.
    pub key: String,
    /// Its value.
    pub value: String,
    /// How long it is still held, in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
}

/// The part of a store that the command line and other surfaces for people hold.
#[async_trait]
pub trait Inspection: Send + Sync {
    /// All queues with their lengths, in code-unit order.
    ///
    /// # Errors
    /// All methods here fail when the store cannot be reached.
    async fn queues(&self) -> Result<Vec<QueueLength>, StoreError>;

    /// The jobs at positions `start` to `stop` of a queue, both inclusive; negative positions count
    /// from the end, as Redis counts.
    async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError>;

    /// Deletes jobs of exactly these bytes from a queue, as `LREM` counts: at most `count` from the head, from the
    /// tail if it is negative, all for 0; tells how many there were. Their locks stay.
    async fn delete_jobs(&self, queue: &QueueName, payload: &Bytes, count: i64) -> Result<u64, StoreError>;

    /// Removes jobs of several different bytes in one atomic step, those nearest to `from` first; tells how many. No
    /// bytes stand twice in `doomed`. Takes one walk through the queue, however many there are.
    async fn delete_each(&self, queue: &QueueName, doomed: &[Doomed], from: QueueEnd) -> Result<u64, StoreError>;

    /// Deletes a queue and its jobs; tells how many there were.
    async fn delete_queue(&self, queue: &QueueName) -> Result<u64, StoreError>;

    /// Pauses a queue, or everything: from the moment this returns nobody's exchange claims from it, until it is
    /// resumed. Enqueueing and promotion go on. On Redis everything means Ruby's workers too, for the key is theirs.
    /// A queue need not exist, and its pause outlives its deletion. False if it was paused before.
    async fn pause(&self, queue: Option<&QueueName>) -> Result<bool, StoreError>;

    /// Resumes what [`pause`](Self::pause) paused and wakes waiting workers; false if it was not paused. Resuming
    /// everything leaves queues paused that are paused by themselves.
    async fn resume(&self, queue: Option<&QueueName>) -> Result<bool, StoreError>;

    /// What is paused.
    async fn paused(&self) -> Result<Paused, StoreError>;

    /// How many failed jobs there are.
    async fn failed_count(&self) -> Result<u64, StoreError>;

    /// The failure records at positions `start` to `stop`, both inclusive, oldest first.
    async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError>;

    /// Removes the first record with exactly these bytes; false if there is none.
    async fn remove_failed(&self, record: &Bytes) -> Result<bool, StoreError>;

    /// Removes all failure records; tells how many there were.
    async fn clear_failed(&self) -> Result<u64, StoreError>;

    /// Failed -> queue: removes the record and enqueues its job in one atomic step.
    async fn retry_failed(
        &self,
        record: &Bytes,
        queue: &QueueName,
        payload: &Bytes,
        admissions: &[Admission],
    ) -> Result<Retried, StoreError>;

    /// The counters.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// The delayed seconds from `from` on, ascending, at most `limit`.
    async fn delayed_seconds(&self, from: i64, limit: usize) -> Result<Vec<DelayedSecond>, StoreError>;

    /// The jobs due at a second, in order, from position `start` to `stop`, both inclusive.
    async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError>;

    /// The seconds at which a job of exactly these bytes is due, ascending.
    async fn scheduled_at(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError>;

    /// Removes every delayed job of exactly these bytes, and seconds left empty; tells the seconds,
    /// ascending.
    async fn delete_delayed(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError>;

    /// The locks that plugins hold.
    async fn locks(&self) -> Result<Vec<HeldLock>, StoreError>;

    /// Deletes a lock by its key without namespace; false if there is none.
    async fn delete_lock(&self, key: &str) -> Result<bool, StoreError>;

    /// Who holds a leadership.
    async fn leader(&self, which: Leadership) -> Result<Option<String>, StoreError>;
}
