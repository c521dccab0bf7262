//! Being told of change instead of asking for it.

use async_trait::async_trait;

use super::error::StoreError;
use super::scheduling::Leadership;
use crate::job::QueueName;

/// What a waker watches.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Queues, for jobs pushed by anyone. What is paused is watched for being resumed instead.
    pub queues: Vec<QueueName>,
    /// The set of known queues, for queues that appear.
    pub queue_names: bool,
    /// The delayed jobs, for one that is due earlier than the earliest.
    pub delayed: bool,
    /// Leaderships, for one that becomes free.
    pub leaderships: Vec<Leadership>,
}

/// What a waker saw in the moment it was armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// A watched queue that is not paused has jobs.
    pub ready: bool,
    /// All known queues in code-unit order, if asked for.
    pub queue_names: Option<Vec<QueueName>>,
    /// The earliest delayed second, if asked for and there is one.
    pub next_due_s: Option<i64>,
    /// The store's time in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Whether one of the watched leaderships is free.
    pub leadership_free: bool,
}

/// A connection that is told when something watched has changed.
#[async_trait]
pub trait Waker: Send + Sync {
    /// Looks at everything watched and arms: the next change after this look, by anybody, ends
    /// [`woken`](Self::woken). Replaces what was armed before.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    async fn arm(&self, watch: &Watch) -> Result<Seen, StoreError>;

    /// Waits until something changed since the last arming, or might have (a lost connection came
    /// back). A change between arming and this call ends it at once. May end without cause.
    async fn woken(&self);

    /// Makes sure that it would have been told: an error if what is watched may have changed without its knowing.
    ///
    /// # Errors
    /// Fails when the store cannot be reached over the connection that is armed.
    async fn check(&self) -> Result<(), StoreError>;
}
