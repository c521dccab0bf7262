//! Arrows for people, who look at the store and correct it. None runs by itself; all fail when the store cannot be reached.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::effect::Admission;
use super::error::StoreError;
use super::role::{Admin, Mover, Scheduler, arrow};
use crate::job::{Identity, LockKey, QueueName};

/// How many names of queues a look reads, unless more are wanted. Nobody bounds how many there are.
pub const NAMES_LOOKED_AT: usize = 10_000;

/// How many queues a sample of them has at most of which it is not known that they hold jobs.
pub const SAMPLED_OTHERS: usize = 1000;

/// The known queues with their lengths in code-unit order, the first `limit` of them. If more are known than `limit` and
/// [`NAMES_LOOKED_AT`], beside those that hold jobs [`SAMPLED_OTHERS`] of those that the store names first.
#[derive(Debug, Clone)]
pub struct Queues {
    /// The largest number of queues.
    pub limit: usize,
    /// Those of which it is known that they matter. If not all names are read, those of them that hold jobs go before others.
    pub first: Vec<QueueName>,
}

arrow!(Queues, "queues", Reads -> QueuesFound; Admin);

/// Some of the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuesFound {
    /// The queues, in code-unit order.
    pub queues: Vec<QueueLength>,
    /// How many queues are known, if not all of their names were read; at least so many.
    pub sampled_of: Option<u64>,
    /// Names that are no text, and what mends them; of those that were read.
    pub unnamed: Option<String>,
    /// Why queues count as empty although something stands in their places.
    pub unread: Vec<StoreError>,
}

/// A queue and how many jobs it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLength {
    /// The queue.
    pub queue: QueueName,
    /// Its jobs.
    pub length: u64,
}

/// How many queues are known, counted up to `most` where that takes time.
#[derive(Debug, Clone, Copy)]
pub struct CountQueues {
    /// From how many on the exact number does not matter.
    pub most: u64,
}

arrow!(CountQueues, "count_queues", Reads -> u64; Admin);

/// One queue with its length; `None` if it is not known.
#[derive(Debug, Clone)]
pub struct FindQueue {
    /// The queue.
    pub queue: QueueName,
}

arrow!(FindQueue, "find_queue", Reads -> Option<QueueLength>; Admin);

/// How many jobs each of these queues holds, in order; 0 also for those that are not known. One round trip.
#[derive(Debug, Clone)]
pub struct QueueLengths {
    /// The queues. The caller bounds how many.
    pub queues: Vec<QueueName>,
}

arrow!(QueueLengths, "queue_lengths", Reads -> Vec<u64>; Admin);

/// Deletes jobs of exactly these bytes from a queue, and returns how many were deleted. As with `LREM`, at most `count`
/// are deleted from the head, from the tail if it is negative, all if it is 0.
#[derive(Debug, Clone)]
pub struct DeleteJobs {
    /// The queue.
    pub queue: QueueName,
    /// The jobs' bytes.
    pub payload: Bytes,
    /// How many, and from which end.
    pub count: i64,
    /// Their QueueLocks, which are freed in the step that deletes one of them. The caller knows that none of them stays.
    pub locks: Vec<LockKey>,
}

arrow!(DeleteJobs, "delete_jobs", Once -> u64; Admin);

/// Deletes jobs of several different bytes, those nearest to `from` first, and returns how many were deleted. Each entry
/// of `to_delete` has other bytes. One walk through the queue serves all entries, in bounded steps. Each step is atomic, so
/// a job is either claimed or deleted.
///
/// Other programs may work on the queue between the steps. A job that is pushed meanwhile may be deleted or stay; it
/// counts if it is deleted, so at most `count` jobs are deleted. Claims between the steps do not make the walk miss a
/// job. If another program deletes a job from the middle of the queue, the walk may miss a job behind it.
#[derive(Debug, Clone)]
pub struct DeleteEach {
    /// The queue.
    pub queue: QueueName,
    /// What to delete.
    pub to_delete: Vec<JobsToDelete>,
    /// Which go first.
    pub from: QueueEnd,
}

arrow!(DeleteEach, "delete_each", Once -> u64; Admin);

/// Jobs to be deleted from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsToDelete {
    /// Their bytes.
    pub payload: Bytes,
    /// How many at most; `None`: all.
    pub count: Option<u64>,
    /// Their QueueLocks, which are freed in the step that deletes one of them. The caller knows that none of them stays.
    pub locks: Vec<LockKey>,
}

/// From which end of a queue jobs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueEnd {
    /// From the next to run on.
    Head,
    /// From the last to run on.
    Tail,
}

/// Deletes a queue and its jobs, and returns how many there were. If there are more than `most`, nothing is deleted.
#[derive(Debug, Clone)]
pub struct DeleteQueue {
    /// The queue.
    pub queue: QueueName,
    /// How many jobs it may hold.
    pub most: u64,
}

arrow!(DeleteQueue, "delete_queue", Repeatable -> u64; Admin);

/// Moves jobs of a queue to the end of another one, at most `most` in their order; the name is forgotten with the last of
/// them. The name is bytes, because this is for names that are no text, whose jobs nobody claims. No identities, locks or
/// waits are known of such jobs.
#[derive(Debug, Clone)]
pub struct RenameQueue {
    /// The name.
    pub name: Bytes,
    /// The other queue.
    pub to: QueueName,
    /// How many jobs are moved at most; fewer once they have [`RENAMED_BYTES`], but at least one.
    pub most: usize,
}

/// How many bytes of jobs a step of a renaming moves before it ends.
pub const RENAMED_BYTES: usize = 1 << 20;

arrow!(RenameQueue, "rename_queue", Repeatable -> Renamed; Admin);

/// What a step of a renaming did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed {
    /// Was there such a queue?
    pub known: bool,
    /// How many jobs were moved.
    pub moved: u64,
    /// Are there more?
    pub more: bool,
}

/// Pauses a queue, or all queues: when this returns, no exchange claims from it until it is resumed. Enqueueing and
/// promotion continue. On Redis, pausing all queues also stops Ruby's workers, because they use the same key. The queue
/// need not exist, and the pause stays when the queue is deleted. False if it was paused before.
#[derive(Debug, Clone)]
pub struct Pause {
    /// The queue; `None`: all queues.
    pub queue: Option<QueueName>,
}

arrow!(Pause, "pause", Repeatable -> bool; Admin, Mover);

/// Resumes what [`Pause`] paused, and wakes waiting workers. False if it was not paused. Resuming all queues does not
/// resume queues that were paused one by one.
#[derive(Debug, Clone)]
pub struct Resume {
    /// The queue; `None`: all queues.
    pub queue: Option<QueueName>,
}

arrow!(Resume, "resume", Repeatable -> bool; Admin, Mover);

/// What is paused.
#[derive(Debug, Clone, Copy)]
pub struct ReadPaused;

arrow!(ReadPaused, "paused", Reads -> Paused; Admin, Mover);

/// The pauses that are in force for all programs on the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    /// All queues are paused.
    pub all: bool,
    /// Queues that were paused one by one, in code-unit order.
    pub queues: Vec<QueueName>,
}

/// How many failed jobs there are.
#[derive(Debug, Clone, Copy)]
pub struct FailedCount;

arrow!(FailedCount, "failed_count", Reads -> u64; Scheduler, Admin);

/// A failure record, by its bytes. Of equal ones any is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRecord {
    /// The record.
    pub record: Bytes,
    /// Where it was seen. It may stand elsewhere by now; the position only helps to find it.
    pub position: Option<i64>,
}

impl From<&Bytes> for FailedRecord {
    fn from(record: &Bytes) -> Self {
        Self { record: record.clone(), position: None }
    }
}

/// Removes one record for each of these, in one atomic step. Returns whether there was one, in order; fewer answers than
/// records if the store refuses to remove the next one.
///
/// The caller bounds how many there are: [`FAILED_BATCH`].
#[derive(Debug, Clone)]
pub struct RemoveFailed {
    /// The records.
    pub records: Vec<FailedRecord>,
}

arrow!(RemoveFailed, "remove_failed", Once -> Vec<bool>; Admin);

/// How many failed jobs one step removes or retries at most, and how many bytes their records may have together unless
/// it is one.
pub const FAILED_BATCH: usize = 250;
/// See [`FAILED_BATCH`].
pub const FAILED_BATCH_BYTES: usize = 512 * 1024;

/// Removes all failure records, and returns how many there were.
#[derive(Debug, Clone, Copy)]
pub struct ClearFailed;

arrow!(ClearFailed, "clear_failed", Repeatable -> u64; Admin);

/// A failed job that goes back to a queue.
#[derive(Debug, Clone)]
pub struct FailedJob {
    /// Its record.
    pub failed: FailedRecord,
    /// Where its job goes.
    pub queue: QueueName,
    /// The job's bytes.
    pub payload: Bytes,
    /// Conditions, in the order of the plugins that state them.
    pub admissions: Vec<Admission>,
    /// The identity of the job from then on, if its record has one.
    pub identity: Option<Identity>,
    /// What goes to the queue in place of the job's bytes. The conditions hold for it; the state of Retry is that of the job
    /// as it was.
    pub mended: Option<Bytes>,
}

impl FailedJob {
    /// The bytes that go to the queue.
    #[must_use]
    pub fn goes(&self) -> &Bytes {
        self.mended.as_ref().unwrap_or(&self.payload)
    }
}

/// Failed -> queue, for some jobs, each judged on its own, in order: removes the record and enqueues its job. The state of
/// Retry for the job is deleted. All of it is one atomic step. Returns the outcomes, in order; fewer than jobs if the store
/// refuses the next one.
///
/// The caller bounds how many there are: [`FAILED_BATCH`].
#[derive(Debug, Clone)]
pub struct RetryFailed {
    /// The jobs.
    pub jobs: Vec<FailedJob>,
}

arrow!(RetryFailed, "retry_failed", Once -> Vec<Retried>; Scheduler, Admin);

/// The outcome of a retry from the failed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// The record is removed, and its job is at the end of its queue.
    Yes,
    /// There is no such record (any more); nothing was done.
    Gone,
    /// A plugin refused; the record stays.
    Refused {
        /// The plugin's name.
        plugin: &'static str,
    },
}

/// The counters, with those of the first `limit` workers by their ids.
#[derive(Debug, Clone, Copy)]
pub struct ReadStats {
    /// The largest number of workers.
    pub limit: usize,
}

arrow!(ReadStats, "stats", Reads -> Stats; Admin);

/// The counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// All jobs that succeeded so far.
    pub processed: u64,
    /// All jobs that failed so far.
    pub failed: u64,
    /// (worker name, processed, failed) of registered workers.
    pub workers: Vec<(String, u64, u64)>,
}

/// Locks that plugins hold, from a place on, at most `limit`. Long values are cut.
#[derive(Debug, Clone)]
pub struct Locks {
    /// Where to begin.
    pub from: LockPlace,
    /// The largest number of locks.
    pub limit: usize,
    /// On Redis no index names the locks, so that all keys of the server are looked at: about so many of them at most.
    pub keys: usize,
}

arrow!(Locks, "locks", Reads -> LocksFound; Admin);

/// A place among the locks of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockPlace {
    /// The server's cursor of a part of its keys; empty: the first part.
    pub part: String,
    /// How many locks of that part are passed over.
    pub passed: usize,
}

/// Some of the locks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocksFound {
    /// The locks. There may be none although there are more.
    pub locks: Vec<LockEntry>,
    /// Where the rest begins; `None`: these were the last.
    pub next: Option<LockPlace>,
}

/// A lock that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockEntry {
    /// Its key, without namespace.
    pub key: String,
    /// Its value.
    pub value: String,
    /// How long it is still held, in milliseconds; `None`: for ever.
    pub ttl_ms: Option<u64>,
}

/// Deletes a lock by its key without namespace; false if there is none.
#[derive(Debug, Clone)]
pub struct DeleteLock {
    /// Its key without namespace.
    pub key: String,
    /// Is it a key that a task chose, which stands outside of the namespace?
    pub verbatim: bool,
}

arrow!(DeleteLock, "delete_lock", Repeatable -> bool; Admin);
