//! Plugins in code: hooks around enqueue and perform.
//!
//! The order and what an error means are node-resque's where it has an answer: hooks are asked in the order in which
//! the task lists its plugins, the first that denies ends the asking, and an error in front of the run fails the job.
//! What differs: after a run only those plugins are asked whose turn before it was passed, each of them, and an error
//! behind an enqueue is told beside it and not instead of it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::job::{ClaimToken, Identity, Outcome, QueueName, TaskName};
pub use crate::task::hook_point::{HookPoint, HookPoints};

/// A job as a hook sees it.
#[derive(Debug, Clone)]
pub struct HookJob {
    /// The task.
    pub task: TaskName,
    /// The queue it goes to, or came from.
    pub queue: QueueName,
    /// The arguments as one JSON array.
    pub args: Bytes,
    /// The occurrence of the schedule that enqueued the job (RFC 3339), if one did.
    pub scheduled_at: Option<Arc<str>>,
    /// Who the job is; `None` while it is being enqueued.
    pub identity: Option<Identity>,
    /// Which run this is; `None` while it is being enqueued.
    pub claim: Option<ClaimToken>,
    /// The instance that runs it; `None` while it is being enqueued. Children carry it in their environment.
    pub instance: Option<Arc<str>>,
    /// The options that the task gives this plugin, as a JSON object.
    pub options: Arc<str>,
    /// Says when the answer will not be waited for much longer.
    pub cancelled: Cancelled,
}

/// Says when an answer will not be waited for much longer: the run is to end. Whoever does not heed it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Cancelled(Option<watch::Receiver<bool>>);

impl Cancelled {
    /// A way to say it, with `true`.
    #[must_use]
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(Some(receiver)))
    }

    /// Waits until it is said, which may be never. Cancel safe.
    pub async fn wait(&self) {
        if let Some(said) = &self.0
            && said.clone().wait_for(|said| *said).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// A hook's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Do not: the enqueue is refused, the claimed job is dropped. The reason is told to the caller and the log.
    Deny {
        /// Why, in words.
        reason: String,
    },
}

/// A hook that could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct HookError {
    /// The error's class, which a job that fails of it carries.
    pub exception: String,
    /// The error's message.
    pub error: String,
    /// What led to it, a line each.
    pub backtrace: Vec<String>,
}

impl HookError {
    /// An error of the class `PluginError`.
    #[must_use]
    pub fn new(error: impl Into<String>) -> Self {
        Self { exception: "PluginError".to_owned(), error: error.into(), backtrace: Vec::new() }
    }
}

/// A plugin. Every hook is optional.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Where it is asked: everywhere, if it does not say otherwise. A task whose plugins are not asked around a run pays
    /// nothing for them there.
    fn points(&self) -> HookPoints {
        HookPoints::ALL
    }

    /// Before anything is written for an enqueue.
    ///
    /// # Errors
    /// The enqueue fails with the error; nothing is written.
    async fn before_enqueue(&self, job: &HookJob) -> Result<Decision, HookError> {
        let _ = job;
        Ok(Decision::Allow)
    }

    /// After the job is on its queue.
    ///
    /// # Errors
    /// The caller is told; the job stays enqueued.
    async fn after_enqueue(&self, job: &HookJob) -> Result<(), HookError> {
        let _ = job;
        Ok(())
    }

    /// Before the job's run.
    ///
    /// # Errors
    /// The job fails with the error.
    async fn before_perform(&self, job: &HookJob) -> Result<Decision, HookError> {
        let _ = job;
        Ok(Decision::Allow)
    }

    /// After the job's run, with its outcome, which becomes what is returned. A run that was cut off asks nobody.
    ///
    /// # Errors
    /// The job fails with the error, or with the one it had before.
    async fn after_perform(&self, job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        let _ = job;
        Ok(outcome)
    }
}
