//! Plugins in code: hooks around enqueue and perform.
//!
//! The order and what an error means are node-resque's where it has an answer: hooks are asked in the order in which
//! the task lists its plugins, the first that denies ends the asking, and an error in front of the run fails the job.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::job::{Identity, Outcome, QueueName, TaskName};

/// A job as a hook sees it.
#[derive(Debug, Clone)]
pub struct HookJob {
    /// The task.
    pub task: TaskName,
    /// The queue it goes to, or came from.
    pub queue: QueueName,
    /// The arguments as one JSON array.
    pub args: Bytes,
    /// Who the job is; `None` while it is being enqueued.
    pub identity: Option<Identity>,
    /// The options that the task gives this plugin, as a JSON object.
    pub options: Arc<str>,
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
#[error("{0}")]
pub struct HookError(pub String);

/// A plugin. Every hook is optional.
#[async_trait]
pub trait Hook: Send + Sync {
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

    /// After the job's run, with its outcome, which becomes what is returned.
    ///
    /// # Errors
    /// The job fails with the error.
    async fn after_perform(&self, job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        let _ = job;
        Ok(outcome)
    }
}
