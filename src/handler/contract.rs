//! The contract of a handler: it takes a job and gives an outcome.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::lease_watch::LeaseWatch;
#[cfg(feature = "otel")]
use crate::job::trace::RunTrace;
use crate::job::{ClaimToken, Identity, Outcome, QueueName};
use crate::task::TaskDefinition;

/// One run of a job, as a handler sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// The task.
    pub task: Arc<TaskDefinition>,
    /// The queue the job came from.
    pub queue: QueueName,
    /// The arguments as one JSON array, as the producer wrote them; inputs that it left out have their defaults.
    pub args: Bytes,
    /// For when the job was scheduled (RFC 3339): the occurrence of the `[[schedule]]` that enqueued it, or the due time of the
    /// present tick of a periodic task. `None` for other jobs.
    pub scheduled_at: Option<Arc<str>>,
    /// The identity of the job, the same in all its runs.
    pub identity: Identity,
    /// Which run this is: the fencing token.
    pub claim: ClaimToken,
    /// The instance that runs it; children carry it in their environment.
    pub instance: Arc<str>,
    /// The lease under which it was claimed. A handler that lets a job wait asks it right before the job begins.
    pub lease: LeaseWatch,
    /// The spans of this run, if it is traced.
    #[cfg(feature = "otel")]
    pub trace: Option<Arc<RunTrace>>,
}

impl Invocation {
    /// The first run of a job with `args`, one JSON array. Tests of a handler start from it.
    #[must_use]
    pub fn new(task: Arc<TaskDefinition>, args: impl Into<Bytes>) -> Self {
        let claim = ClaimToken::new("0", 0, 1, 0);
        Self {
            queue: task.queue.clone(),
            task,
            args: args.into(),
            scheduled_at: None,
            identity: Identity::first(&claim),
            claim,
            instance: Arc::from("0"),
            lease: LeaseWatch::default(),
            #[cfg(feature = "otel")]
            trace: None,
        }
    }
}

/// How urgently a run should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Stop {
    /// Not at all: go on.
    #[default]
    No,
    /// End soon: TERM to the process group.
    Terminate,
    /// End now: KILL to the process group.
    Kill,
}

/// Waits until a stop more urgent than `than` is asked for, and returns it. Never returns if the sender is dropped,
/// because then no stop can come. Cancel safe.
pub async fn stopped(stop: &mut watch::Receiver<Stop>, than: Stop) -> Stop {
    let asked = stop.wait_for(|asked| *asked > than).await.ok().map(|asked| *asked);
    match asked {
        Some(asked) => asked,
        None => std::future::pending().await,
    }
}

/// A run that was started.
#[non_exhaustive]
pub enum StartedRun {
    /// It is over already. Use it for handlers that neither wait nor compute for long: such a run never leaves the
    /// thread of the core.
    Ended(Outcome),
    /// It continues on the handlers' runtime. The future ends soon after `stop` asks for it, with the outcome that the
    /// run had by then. When the future has ended, nothing of the run is left.
    Running(BoxFuture<'static, Outcome>),
}

/// Reports the outcome of a run. Dropping it reports that the run was cut off.
pub struct OutcomeSender(Option<Box<dyn FnOnce(Outcome) + Send>>);

impl OutcomeSender {
    /// `receive` is called once, on the thread where the run ends.
    pub fn new(receive: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Box::new(receive)))
    }

    /// Reports the outcome of the run.
    pub fn send(mut self, outcome: Outcome) {
        if let Some(receive) = self.0.take() {
            receive(outcome);
        }
    }
}

impl Drop for OutcomeSender {
    fn drop(&mut self) {
        if let Some(receive) = self.0.take() {
            receive(Outcome::Interrupted);
        }
    }
}

impl std::fmt::Debug for OutcomeSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OutcomeSender")
    }
}

/// A run that its [`RunOwner`] manages.
pub trait OwnedRun: Send {
    /// Asks the run to end. Each call is at least as urgent as the one before.
    fn stop(&self, stop: Stop);
}

/// A handler that manages its runs itself, so that they need no task each. A run then costs one entry in a list, and
/// two threads hand over many runs at a time, once in each direction.
pub trait RunOwner {
    /// Starts a run, whose end is reported to `outcome`. Must not block. Tasks that it spawns belong on `runtime`.
    fn start(&self, job: Invocation, outcome: OutcomeSender, runtime: &Handle) -> Box<dyn OwnedRun>;
}

/// A way to perform jobs.
pub trait Handler: Send + Sync {
    /// Begins a run. Must not block. `stop` only ever grows more urgent.
    fn begin(&self, job: Invocation, stop: watch::Receiver<Stop>) -> StartedRun;

    /// The handler as the owner of its runs, if it is one. A run with plugins around it still goes through
    /// [`begin`](Self::begin).
    fn run_owner(&self) -> Option<&dyn RunOwner> {
        None
    }

    /// Releases what is kept between runs, such as processes: at once if nothing runs, otherwise when the runs have
    /// ended. Runs that begin later are performed all the same. The future ends when nothing is left, which should be
    /// by `end`. Handlers that keep nothing need not override it.
    fn retire(&self, end: Instant) -> BoxFuture<'static, ()> {
        let _ = end;
        Box::pin(std::future::ready(()))
    }
}
