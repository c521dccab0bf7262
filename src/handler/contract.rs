//! What a handler is: a job goes in, an outcome comes out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::job::{ClaimToken, Identity, Outcome, QueueName};
use crate::task::TaskDefinition;

/// One run of a job, as a handler sees it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The task.
    pub task: Arc<TaskDefinition>,
    /// The queue the job came from.
    pub queue: QueueName,
    /// The arguments as one JSON array, exactly as the producer wrote them.
    pub args: Bytes,
    /// The occurrence of the schedule that enqueued the job (RFC 3339), if one did.
    pub scheduled_at: Option<Arc<str>>,
    /// Who the job is over all its runs.
    pub identity: Identity,
    /// Which run this is: the fencing token.
    pub claim: ClaimToken,
    /// The instance that runs it; children carry it in their environment.
    pub instance: Arc<str>,
}

/// How urgently a run should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Not at all: go on.
    #[default]
    No,
    /// End soon: TERM to the process group.
    Terminate,
    /// End now: KILL to the process group.
    Kill,
}

/// Waits until a stop more urgent than `than` is asked for, and returns it. Whoever dropped the
/// sender will not ask: then this never returns. Cancel safe.
pub async fn stopped(stop: &mut watch::Receiver<Stop>, than: Stop) -> Stop {
    let asked = stop.wait_for(|asked| *asked > than).await.ok().map(|asked| *asked);
    match asked {
        Some(asked) => asked,
        None => std::future::pending().await,
    }
}

/// A run that began.
pub enum Begun {
    /// It is over already. For handlers that neither wait nor compute for long: this path never
    /// leaves the core's thread.
    Ended(Outcome),
    /// It goes on, on the handlers' runtime. The future ends soon after `stop` says so, with
    /// whatever outcome the run then had; when it has ended, nothing of the run is left behind.
    Running(BoxFuture<'static, Outcome>),
}

/// Who waits for a run's end. Dropped without a word it says that the run was cut off.
pub struct Done(Option<Box<dyn FnOnce(Outcome) + Send>>);

impl Done {
    /// This is called once, on whatever thread the run ends.
    pub fn new(told: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// The run has ended.
    pub fn tell(mut self, outcome: Outcome) {
        if let Some(told) = self.0.take() {
            told(outcome);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Outcome::Interrupted);
        }
    }
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Done")
    }
}

/// A run in somebody's keeping.
pub trait Kept: Send {
    /// It should end. Never less urgently than before.
    fn urge(&self, stop: Stop);
}

/// A handler that keeps its runs itself, beside what they have in common, so that they need no task each: a run costs
/// a place in a list then, and two threads hand it over once in either direction, many at a time.
pub trait Keeper {
    /// Begins a run, whose end is told to `done`. Must not block. What it starts belongs on this runtime.
    fn keep(&self, job: Invocation, done: Done, runtime: &Handle) -> Box<dyn Kept>;
}

/// A way to perform jobs.
pub trait Handler: Send + Sync {
    /// Begins a run. Must not block. `stop` only ever grows more urgent.
    fn begin(&self, job: Invocation, stop: watch::Receiver<Stop>) -> Begun;

    /// How it keeps runs itself, if it does. [`begin`](Self::begin) is asked all the same where plugins stand around a
    /// run.
    fn keeper(&self) -> Option<&dyn Keeper> {
        None
    }

    /// Lets go of what is kept between runs, such as processes: at once where nothing runs, else when that has ended.
    /// What begins later is performed all the same. The future ends when nothing is left, and until `end` it should.
    /// Handlers that keep nothing need not do anything.
    fn retire(&self, end: Instant) -> BoxFuture<'static, ()> {
        let _ = end;
        Box::pin(std::future::ready(()))
    }
}
