//! Moves everything that waits in one store to another, batch by batch, each batch exactly once.
//!
//! There are three steps, each atomic in its store. The source sets a batch aside: it leaves its queues and gets a number.
//! The target takes it in and remembers the number. The source lets it go. If the move is interrupted, the next call
//! continues: the batch that is set aside is offered again, and a target that has it already says so. Every item is always
//! in one of the stores. No job can run in both, because a batch that is set aside is in no queue.
//!
//! A number alone does not name a batch: a source that fell back to an older snapshot gives its numbers again, to other
//! jobs. So each batch also has a random token, made when it is set aside. A digest of the items would not do, because
//! two batches of equal jobs have the same. A batch names the store for which it was set aside, because another one does
//! not know whether that store has taken it in.
//!
//! A move can be undone: the target declines the batch for ever, and then the source puts it back.

use bytes::Bytes;

use super::periodic::PeriodicEntry;
use super::role::{Admin, Mover, arrow};
use crate::job::{Identity, LockKey, QueueName};
use crate::text::shell::command;

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

/// Names a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchId {
    /// The id of the source: random, made when it first set a batch aside.
    pub source: String,
    /// Grows by one with each batch of the source, from 1.
    pub number: u64,
    /// Random, made when the batch was set aside. `None`: by a version that made none.
    pub token: Option<String>,
}

/// The store for which a batch is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its own id, which [`Identify`] returns.
    pub id: String,
    /// How a command names it, for people.
    pub address: String,
}

/// What a source has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which batch it is.
    pub id: BatchId,
    /// For which store. `None`: a version set it aside that did not write this down.
    pub target: Option<Target>,
    /// What is in it, in order.
    pub items: Vec<Waiting>,
}

/// A look at what is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// How many items.
    pub items: u64,
    /// For which store, if that is known.
    pub target: Option<Target>,
}

impl Aside {
    /// The commands that end the move from the store at this address: to finish it, and to undo it.
    #[must_use]
    pub fn commands(&self, from: &str) -> (String, String) {
        let to = self.target.as_ref().map_or("TO", |target| target.address.as_str());
        (command("store copy", &[from, to]), command("store copy --undo", &[from, to]))
    }

    /// What people are told who look at the store at this address.
    #[must_use]
    pub fn text(&self, from: &str) -> String {
        let (finish, undo) = self.commands(from);
        let (items, are) = (self.items, if self.items == 1 { "item is" } else { "items are" });
        format!(
            "{items} {are} set aside by a `store copy` that was not finished, and no worker gets them; \
             to finish it: {finish}; to put them back: {undo}"
        )
    }
}

/// How an item is taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeInTarget {
    /// For a queued job: the QueueLock to take if it is free, and for how many seconds.
    pub lock: Option<(LockKey, u64)>,
    /// For a periodic task's job: leave it out if a copy is queued or delayed in the target already.
    pub once: bool,
}

/// Returns the store's own id, which is made if it has none, the mark that stands in it, and the batch that it set aside last.
/// With a mark, that replaces the one that stands there.
///
/// Two addresses name the same store if a mark that was written through one of them is read through the other. The ids do
/// not tell this, because a copy of a store has the same id.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Identify {
    /// Becomes the id of a store that has none.
    pub fresh: String,
    /// A random mark to write.
    pub mark: Option<String>,
}

arrow!(Identify, "identify", Repeatable -> StoreIdentity; Mover);

/// Which store it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Its own id: random, and never changed.
    pub id: String,
    /// The last mark that was written.
    pub mark: Option<String>,
    /// The batch that it set aside last, whether or not it still stands there. `None`: there was none, or a version set it
    /// aside that did not write its target down.
    pub last: Option<LastAside>,
}

/// The batch that a store set aside last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAside {
    /// Its number ([`BatchId`]).
    pub number: u64,
    /// For which store.
    pub target: Target,
}

/// Sets at most `limit` items aside as the next batch for `target`: first queued jobs, then delayed jobs, failed jobs,
/// periodic entries and counters. If a batch is set aside already, it is returned unchanged, with its own target. `None`:
/// nothing is left.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// The largest number of items.
    pub limit: usize,
    /// Who is to take it in.
    pub target: Target,
}

arrow!(SetAside, "set_aside", Repeatable -> Option<Batch>; Mover);

/// Looks whether something is set aside.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadAside;

arrow!(ReadAside, "read_aside", Reads -> Option<Aside>; Mover, Admin);

/// Takes a batch in, each item as its target says, unless it was taken in or declined before. If the target already has
/// an entry of a periodic task or schedule, it keeps its own, except that a stopped task becomes stopped.
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

arrow!(TakeIn, "take_in", Repeatable -> TakenIn; Mover);

/// What a store answers to a batch that it is to take in or to decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenIn {
    /// It is taken in now.
    Yes,
    /// It was taken in before.
    Before,
    /// It is declined, now or before: it is never taken in.
    Declined,
    /// Another batch of the source was taken in under this number or a later one: the source fell back to an older state.
    /// Nothing was changed.
    Conflict {
        /// The number of the last batch that was taken in or declined.
        last: u64,
    },
}

/// Declines a batch: if it was not taken in before, it never is.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct Decline {
    /// The batch.
    pub id: BatchId,
}

arrow!(Decline, "decline", Repeatable -> TakenIn; Mover);

/// Forgets the batch that is set aside, if it is this one.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct LetGo {
    /// The batch.
    pub id: BatchId,
}

arrow!(LetGo, "let_go", Repeatable -> (); Mover);

/// Puts the batch that is set aside back to its places, if it is this one: jobs to the heads of their queues and failure
/// records to the head of the failed list, in order. The rest is put as [`TakeIn`] puts it. False if it is not set aside.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated. After any other error nothing was put back.
#[derive(Debug, Clone)]
pub struct PutBack {
    /// The batch.
    pub batch: Batch,
    /// How each item is put back.
    pub targets: Vec<TakeInTarget>,
}

arrow!(PutBack, "put_back", Repeatable -> bool; Mover);

/// Gives a source that fell back a new id, with which its batches are new to every target; only while this batch is set
/// aside. False if it is not.
///
/// # Errors
/// Fails when the store cannot be reached; may be repeated.
#[derive(Debug, Clone)]
pub struct RenewSource {
    /// The batch.
    pub id: BatchId,
    /// The new id of the source.
    pub fresh: String,
}

arrow!(RenewSource, "renew_source", Repeatable -> bool; Mover);
