//! Wakers: they are told of changes, so that nobody has to poll.

use std::sync::Arc;
use std::time::Duration;

use super::role::arrow;
use super::scheduling::Leadership;
use crate::config::element::queues::{QueuePatterns, ResolvedQueues};
use crate::job::QueueName;

/// What a waker watches. The arrow looks at it once: see [`Waker::arm`](super::handle::Waker::arm).
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Queues, for new jobs. A paused queue is watched for being resumed.
    pub queues: Vec<QueueName>,
    /// The set of known queues, for new queues that match.
    pub patterns: Option<Arc<QueuePatterns>>,
    /// The set of known queues, for any new one.
    pub names: bool,
    /// The delayed jobs, for one that becomes the earliest.
    pub delayed: bool,
    /// Leaderships that may become free.
    pub leaderships: Vec<Leadership>,
    /// The instance whose runs people may wish something of.
    pub wishes_for: Option<Arc<str>>,
    /// After how long the waker wakes if the store does not tell of changes. `None`: [`POLL`].
    pub poll: Option<Duration>,
}

/// Up to so many queues each claim looks at all of them. Of more it looks at those that had jobs, and at some of the others in turn.
pub const FEW_QUEUES: usize = 1000;

/// How often a store that does not tell of changes is looked at, unless the watch says otherwise.
pub const POLL: Duration = Duration::from_secs(5);

arrow!(Watch, "watch", Reads -> ArmedState);

/// What a waker saw when it was armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArmedState {
    /// A watched queue that is not paused has jobs.
    pub ready: bool,
    /// If more than [`FEW_QUEUES`] are watched: those of them, in their order.
    pub busy: Vec<QueueName>,
    /// What the patterns stand for, if asked for.
    pub resolved: Option<Arc<ResolvedQueues>>,
    /// The earliest delayed second, if asked for and there is one.
    pub next_due_s: Option<i64>,
    /// The store's time in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Whether one of the watched leaderships is free.
    pub leadership_free: bool,
    /// There are wishes for the watched instance.
    pub wishes: bool,
    /// The store does not tell of changes: the waker wakes after the poll of the watch.
    pub polled: bool,
}

/// Checks that the waker is still told of changes: see [`Waker::check`](super::handle::Waker::check).
#[derive(Debug, Clone, Copy)]
pub struct CheckWaker;

arrow!(CheckWaker, "check_waker", Reads -> bool);
