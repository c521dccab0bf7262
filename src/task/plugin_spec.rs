//! The plugins of a task with their options. Names, defaults and units are those of node-resque.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::hook_point::HookPoints;
use crate::file::trust::Owners;
use crate::process::Confines;

/// The names of built-in plugins, which custom plugins cannot have.
pub const BUILT_IN: [&str; 5] = ["QueueLock", "DelayQueueLock", "JobLock", "Retry", "Noop"];

/// A plugin with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginSpec {
    /// At most one job of the same arguments waits in the queue.
    QueueLock {
        /// How long the lock is held at most, in seconds (3600).
        lock_timeout_s: u64,
        /// A custom key, used without namespace.
        key: Option<String>,
    },
    /// A job is refused while a job with the same arguments is delayed.
    DelayQueueLock,
    /// At most one job of the same arguments runs.
    JobLock {
        /// How long the lock is held without renewal, in seconds (3600).
        lock_timeout_s: u64,
        /// How long a job that finds it held waits before it is enqueued again, in milliseconds (1001).
        enqueue_timeout_ms: u64,
        /// Is such a job enqueued again (true), or dropped (false, the default of periodic tasks)?
        re_enqueue: bool,
        /// A custom key, used without namespace.
        key: Option<String>,
    },
    /// A failed run is repeated later.
    Retry(RetrySpec),
    /// A failure is logged, and the job counts as done.
    Noop,
    /// A custom plugin, called around enqueue and run.
    Custom(CustomPlugin),
}

/// A custom plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomPlugin {
    /// Its name in refusals and errors.
    pub name: Arc<str>,
    /// The options that the task gives it, as one JSON object.
    pub options: Arc<str>,
    /// Its implementation.
    pub source: CustomPluginSource,
}

/// The implementation of a custom plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CustomPluginSource {
    /// A program, run once for each hook and job.
    Program(Arc<PluginProgram>),
    /// Registered in code under the plugin's name.
    Code,
}

/// A program that is a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginProgram {
    /// The absolute path of the program, and its literal arguments.
    pub argv: Vec<String>,
    /// The working directory: the folder of the task file.
    pub cwd: PathBuf,
    /// The time limit of one call.
    pub timeout: Duration,
    /// The hook points at which it is called.
    pub points: HookPoints,
    /// Who may change it; `None`: anybody.
    pub trusted: Option<Arc<Owners>>,
    /// The user and group of the task's program, if it has any. Where Windlass runs as root, the plugin runs as them too.
    pub account: Option<Arc<Confines>>,
}

/// Retry's options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySpec {
    /// How many attempts there are in all: node-resque's `retryLimit` (1, which is no retry), or `max_attempts`.
    pub attempts: u32,
    /// How long to wait before each.
    pub backoff: Backoff,
    /// The largest random addition to a wait, in thousandths of the wait (0).
    pub jitter_permille: u32,
}

/// How long Retry waits before each attempt, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// A constant wait: node-resque's `retryDelay` (5000).
    Fixed {
        /// The wait.
        delay_ms: u64,
    },
    /// The waits in order; the last one repeats: node-resque's `backoffStrategy`.
    List {
        /// The waits; not empty.
        delays_ms: Vec<u64>,
    },
    /// Each wait is the previous one times a factor.
    Exponential {
        /// The first wait.
        base_ms: u64,
        /// The factor.
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
    /// Makes a program that is a plugin run as the user and group of the task's program.
    pub(crate) fn run_as(&mut self, task: &Confines) {
        if task.user.is_none() && task.group.is_none() {
            return;
        }
        if let Self::Custom(CustomPlugin { source: CustomPluginSource::Program(program), .. }) = self {
            let Confines { user, group, no_new_privs, .. } = task.clone();
            let account = Confines { user, group, no_new_privs, ..Confines::default() };
            Arc::make_mut(program).account = Some(Arc::new(account));
        }
    }

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
