//! Moves everything that waits in one store to another, batch by batch, each batch exactly once.
//!
//! There are three steps, each atomic in its store. The source sets a batch aside: it leaves its queues and gets a number.
//! The target takes it in and remembers the number. The source lets it go. If the move is interrupted, the next call
//! continues: the batch that is set aside is offered again, and a target that has it already says so. Every item is always
//! in one of the stores. No job can run in both, because a batch that is set aside is in no queue.

use bytes::Bytes;

use super::periodic::PeriodicEntry;
use super::role::{Mover, arrow};
use crate::job::{Identity, LockKey, QueueName};

/// Something that waits in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// A job on a queue.
    Queued {
        /// The queue.
        queue: QueueName,
        /// The job's bytes.
        payload: Bytes,
        /// Its identity, if it was run before.
        identity: Option<Identity>,
    },
    /// A job that is delayed.
    Delayed {
        /// When it is due, in unix seconds.
        second: i64,
        /// The job's bytes.
        payload: Bytes,
        /// Its identity, if it was run before.
        identity: Option<Identity>,
    },
    /// A failure record.
    Failed {
        /// Its bytes.
        record: Bytes,
    },
    /// A periodic task's entry.
    Periodic(PeriodicEntry),
    /// The last occurrence of a schedule that enqueues a task with arguments.
    Fired {
        /// The schedule.
        id: String,
        /// The occurrence, in unix seconds.
        last_s: i64,
    },
    /// The counters of jobs done and failed, which are added to the target's.
    Counted {
        /// Jobs done.
        processed: u64,
        /// Jobs failed.
        failed: u64,
    },
}

/// What a source has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The id of the source: random, made when it first set a batch aside.
    pub source: String,
    /// Grows by one with each batch of the source, from 1.
    pub number: u64,
    /// What is in it, in order.
    pub items: Vec<Waiting>,
}

/// How an item is taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeInTarget {
    /// For a queued job: the QueueLock to take if it is free, and for how many seconds.
    pub lock: Option<(LockKey, u64)>,
    /// For a periodic task's job: leave it out if a copy is queued or delayed in the target already.
    pub once: bool,
}

/// Sets at most `limit` items aside as the next batch: first queued jobs, then delayed jobs, failed jobs, periodic entries
/// and counters. If a batch is set aside already, it is returned unchanged. `None`: nothing is left.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone, Copy)]
pub struct SetAside {
    /// The largest number of items.
    pub limit: usize,
}

arrow!(SetAside, "set_aside", Repeatable -> Option<Batch>; Mover);

/// Takes a batch in, each item as its target says. False if this batch was taken in before. If the target already has an
/// entry of a periodic task or schedule, it keeps its own, except that a stopped task becomes stopped.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated. After any other error nothing was taken in.
#[derive(Debug, Clone)]
pub struct TakeIn {
    /// The batch.
    pub batch: Batch,
    /// How each item is taken in.
    pub targets: Vec<TakeInTarget>,
}

arrow!(TakeIn, "take_in", Repeatable -> bool; Mover);

/// Forgets the batch that is set aside, if it has this number.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone, Copy)]
pub struct LetGo {
    /// The batch's number.
    pub number: u64,
}

arrow!(LetGo, "let_go", Repeatable -> (); Mover);
