//! Plugins in code: hooks around enqueue and perform.
//!
//! Order and errors follow node-resque: hooks are called in the order in which the task lists its plugins, the first
//! refusal ends the calls, and an error before the run fails the job. Two things differ. After a run, every plugin
//! that was passed before the run is called, and no other. An error after an enqueue is reported beside the result and
//! does not replace it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::job::{ClaimToken, Identity, Outcome, QueueName, TaskName};
pub use crate::task::hook_point::{HookPoint, HookPoints};

/// A job as a hook sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HookJob {
    /// The task.
    pub task: TaskName,
    /// The queue that it goes to or came from.
    pub queue: QueueName,
    /// The arguments as one JSON array.
    pub args: Bytes,
    /// For when the job was scheduled (RFC 3339), as its handler is told.
    pub scheduled_at: Option<Arc<str>>,
    /// The identity of the job; `None` while it is being enqueued.
    pub identity: Option<Identity>,
    /// Which run this is; `None` while it is being enqueued.
    pub claim: Option<ClaimToken>,
    /// The instance that runs it; `None` while it is being enqueued. Children carry it in their environment.
    pub instance: Option<Arc<str>>,
    /// The options that the task gives this plugin, as a JSON object.
    pub options: Arc<str>,
    /// Tells when the answer is no longer waited for.
    pub cancelled: Cancelled,
}

impl HookJob {
    /// A job that is being enqueued, with `args` as one JSON array and without options. Tests of a hook start from it.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # fn job() -> Result<HookJob, Box<dyn std::error::Error>> {
    /// let mut job = HookJob::new(TaskName::new("greet")?, QueueName::new("default")?, "[\"Ada\"]");
    /// job.options = "{\"limit\":3}".into();
    /// # Ok(job)
    /// # }
    /// # assert_eq!(&job().unwrap().args[..], b"[\"Ada\"]");
    /// ```
    #[must_use]
    pub fn new(task: TaskName, queue: QueueName, args: impl Into<Bytes>) -> Self {
        Self {
            task,
            queue,
            args: args.into(),
            scheduled_at: None,
            identity: None,
            claim: None,
            instance: None,
            options: Arc::from("{}"),
            cancelled: Cancelled::default(),
        }
    }
}

/// Tells when an answer is no longer waited for, because the run must end. A hook that ignores it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Cancelled(Option<watch::Receiver<bool>>);

impl Cancelled {
    /// Makes a pair; sending `true` cancels.
    #[must_use]
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(Some(receiver)))
    }

    /// Waits until it is cancelled, which may never happen. Cancel safe.
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
#[non_exhaustive]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse: the enqueue is refused, or the claimed job is dropped. The caller and the log get the reason.
    Deny {
        /// The reason, as text.
        reason: String,
    },
}

impl Decision {
    /// A refusal for this reason.
    #[must_use]
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny { reason: reason.into() }
    }
}

/// A hook that could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct HookError {
    /// The class of the error, which becomes the exception of a job that fails with it.
    pub exception: String,
    /// The error's message.
    pub error: String,
    /// The backtrace, one line each.
    pub backtrace: Vec<String>,
    /// It was not asked at all, because this machine is short of a resource: file descriptors, processes, memory. Before
    /// a run this is no failure: the job is given back uncounted.
    pub short: bool,
    /// It was not asked at all, because its program could not be started. Before a run the job is put off uncounted; only
    /// if that lasts, it fails with this error.
    pub unstarted: bool,
    /// Its process was killed by SIGKILL, and it is not known who sent it.
    pub killed: bool,
}

impl HookError {
    /// An error of the class `PluginError`.
    #[must_use]
    pub fn new(error: impl Into<String>) -> Self {
        let exception = "PluginError".to_owned();
        Self { exception, error: error.into(), backtrace: Vec::new(), short: false, unstarted: false, killed: false }
    }

    /// The same error under this class.
    #[must_use]
    pub fn with_exception(self, exception: impl Into<String>) -> Self {
        Self { exception: exception.into(), ..self }
    }
}

/// A plugin. Every hook is optional.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Where the hook is called: everywhere by default. A task whose plugins are not called around a run pays nothing
    /// for them there.
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
    /// The error is reported to the caller; the job stays enqueued.
    async fn after_enqueue(&self, job: &HookJob) -> Result<(), HookError> {
        let _ = job;
        Ok(())
    }

    /// Before the job's run.
    ///
    /// # Errors
    /// The job fails with the error; if it is [`short`](HookError::short), the job is given back.
    async fn before_perform(&self, job: &HookJob) -> Result<Decision, HookError> {
        let _ = job;
        Ok(Decision::Allow)
    }

    /// After the job's run, with its outcome; the returned outcome replaces it. Not called for a run that was cut off.
    ///
    /// # Errors
    /// The job fails with the error, or with the one it had before.
    async fn after_perform(&self, job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        let _ = job;
        Ok(outcome)
    }
}
