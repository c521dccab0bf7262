//! Why something could not be shown or corrected.

use crate::client::request::RequestError;
use crate::job::NameError;
use crate::store::error::StoreError;

/// A refused or failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no such thing.
    #[error("there is no {what} {name:?}{}", suggestion.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default())]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// What it was called.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// No failed job has this position or id. The words are node-resque's.
    #[error("This job is not in failed queue: {0:?}")]
    NotFailed(String),
    /// Several things have this name.
    #[error("{name:?} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// A failed job cannot be put back on a queue. Its record stays.
    #[error("failed job {id} cannot be retried: {reason}; its record stays")]
    NotRetriable {
        /// Its id.
        id: String,
        /// What is missing.
        reason: String,
    },
    /// The thing changed during every attempt.
    #[error("{what} changed while it was being handled; nothing was done")]
    Changed {
        /// What kept changing.
        what: String,
    },
    /// A queue holds another number of jobs than its deletion expected.
    #[error(
        "queue {queue:?} holds {found} jobs instead of {expected}; {}",
        if *deleted == 0 { "nothing was deleted".to_owned() } else { format!("{deleted} that held locks were deleted, and the rest stays") }
    )]
    OtherCount {
        /// The queue.
        queue: String,
        /// How many were expected.
        expected: u64,
        /// How many there are.
        found: u64,
        /// How many were deleted before that was seen.
        deleted: u64,
    },
    /// A worker may be alive, and must not be removed then.
    #[error("worker {worker:?} {reason}; nothing was done")]
    Alive {
        /// The worker.
        worker: String,
        /// What tells that it lives, or that nothing tells.
        reason: String,
    },
    /// The store is in use and must not be.
    #[error("{what}")]
    Busy {
        /// Who uses it, and what to do.
        what: String,
    },
    /// Two addresses that must name two stores name one.
    #[error("{from} and {to} are the same store: give two different stores")]
    SameStore {
        /// The first address.
        from: String,
        /// The second address.
        to: String,
    },
    /// A text that is neither a position nor an id.
    #[error("{0}")]
    BadAddress(String),
    /// An invalid name.
    #[error("{text:?}: {error}")]
    Name {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// What a mended job would take is not what its task takes.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The store failed.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
}
