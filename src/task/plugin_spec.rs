//! Which plugins a task has, with their options. node-resque's names, defaults and units.

/// A plugin with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSpec {
    /// At most one job of the same arguments waits in the queue.
    QueueLock {
        /// How long the lock is held at most, in seconds (3600).
        lock_timeout_s: u64,
        /// A key of the task's own, used without namespace.
        key: Option<String>,
    },
    /// A job of the same arguments that is delayed keeps others out of the queue.
    DelayQueueLock,
    /// At most one job of the same arguments runs.
    JobLock {
        /// How long the lock is held without renewal, in seconds (3600).
        lock_timeout_s: u64,
        /// How long a job that finds it held waits before it is enqueued again, in milliseconds (1001).
        enqueue_timeout_ms: u64,
        /// Is such a job enqueued again at all, or dropped (true; false for periodic tasks)?
        re_enqueue: bool,
        /// A key of the task's own, used without namespace.
        key: Option<String>,
    },
}

impl PluginSpec {
    /// The plugin's name as task files write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::QueueLock { .. } => "QueueLock",
            Self::DelayQueueLock => "DelayQueueLock",
            Self::JobLock { .. } => "JobLock",
        }
    }
}
