//! The arrow by which an instance goes on in a store that was emptied under it.
//!
//! A store has a birth mark: a random text that the first instance to join it writes, and that stays as long as the store
//! keeps its data. An instance whose registration is gone tells by it whether it was buried (the mark stands) or the store
//! lost everything (there is no mark, or another one).

use bytes::Bytes;

use super::instance::{InstanceRecord, LockRenewal};
use super::role::{Pool, arrow};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName};

/// Registers an instance again in a store that lost everything, and puts its claimed jobs on record again, so that they
/// can be settled. Nothing is done in the store from which the instance was removed. A repetition changes nothing.
///
/// Several instances may do this one after another: each brings back only its own records, and all but the first keep the
/// mark that the first one wrote.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct Rejoin {
    /// The instance. It keeps its id, because its claims begin with it.
    pub record: InstanceRecord,
    /// The mark of the store in which it was registered.
    pub lost: String,
    /// The mark that the store gets if it has none.
    pub birth: String,
    /// Its workers, which are registered.
    pub workers: Vec<WorkerName>,
    /// Its lanes, each with the number of the last exchange that was answered.
    pub lanes: Vec<(u8, u64)>,
    /// Its jobs.
    pub jobs: Vec<HeldJob>,
    /// The locks of its jobs, which are taken if they are free.
    pub locks: Vec<LockRenewal>,
}

arrow!(Rejoin, "rejoin", Repeatable -> Rejoined; Pool);

/// A claimed job as only its instance knows it.
#[derive(Debug, Clone)]
pub struct HeldJob {
    /// The worker that has it.
    pub worker: WorkerName,
    /// Its claim.
    pub claim: ClaimToken,
    /// The queue it was taken from.
    pub queue: QueueName,
    /// Who it is.
    pub identity: Identity,
    /// When its run began, for people.
    pub run_at: String,
    /// Its bytes.
    pub payload: Bytes,
}

/// What became of a [`Rejoin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejoined {
    /// The instance is registered, and its jobs are on record.
    Yes {
        /// The mark of the store.
        birth: String,
        /// Indexes of locks that another holds.
        lost_locks: Vec<usize>,
    },
    /// The store has lost nothing: somebody declared the instance dead. Nothing was written.
    Buried,
    /// Another instance holds its name. Nothing was written.
    NameTaken,
}
