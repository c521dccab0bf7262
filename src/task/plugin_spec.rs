//! Which plugins a task has, with their options. node-resque's names, defaults and units.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::hook_point::HookPoints;

/// The names that plugins of one's own cannot take.
pub const BUILT_IN: [&str; 5] = ["QueueLock", "DelayQueueLock", "JobLock", "Retry", "Noop"];

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
    /// A failed run is repeated later.
    Retry(RetrySpec),
    /// A failure is told in the log and otherwise taken for done.
    Noop,
    /// One that is none of ours: asked around enqueue and run.
    Custom(CustomPlugin),
}

/// A plugin of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomPlugin {
    /// Its name, as refusals and errors carry it.
    pub name: Arc<str>,
    /// The options that the task gives it, as one JSON object.
    pub options: Arc<str>,
    /// What is asked.
    pub source: CustomPluginSource,
}

/// Where a plugin of one's own comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomPluginSource {
    /// A program, run once for each hook and job.
    Program(Arc<PluginProgram>),
    /// Registered in code under the plugin's name.
    Code,
}

/// A program that is a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginProgram {
    /// The program by its whole path, and its arguments as they stand.
    pub argv: Vec<String>,
    /// The working directory: the folder of the task file.
    pub cwd: PathBuf,
    /// How long one answer may take.
    pub timeout: Duration,
    /// Where it is asked.
    pub points: HookPoints,
}

/// Retry's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySpec {
    /// How many attempts there are in all: node-resque's `retryLimit` (1, which is no retry), or `max_attempts`.
    pub attempts: u32,
    /// How long to wait before each.
    pub backoff: Backoff,
    /// By how much a wait is prolonged at most, in thousandths of itself (0).
    pub jitter_permille: u32,
}

/// How long Retry waits before each attempt, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backoff {
    /// Always so long: node-resque's `retryDelay` (5000).
    Fixed {
        /// The wait.
        delay_ms: u64,
    },
    /// One after the other, the last one again and again: node-resque's `backoffStrategy`.
    List {
        /// The waits; not empty.
        delays_ms: Vec<u64>,
    },
    /// Each so many times the one before.
    Exponential {
        /// The first wait.
        base_ms: u64,
        /// By how much it grows.
        factor: u32,
        /// The longest wait.
        cap_ms: u64,
    },
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { attempts: 1, backoff: Backoff::Fixed { delay_ms: 5000 }, jitter_permille: 0 }
    }
}

impl PluginSpec {
    /// The plugin's name as task files write it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::QueueLock { .. } => "QueueLock",
            Self::DelayQueueLock => "DelayQueueLock",
            Self::JobLock { .. } => "JobLock",
            Self::Retry(_) => "Retry",
            Self::Noop => "Noop",
            Self::Custom(plugin) => &plugin.name,
        }
    }
}
