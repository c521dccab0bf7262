//! The handler: passes runs to the child pool, and asks them to end.
//!
//! The child pool alone keeps most runs. A run with plugins around it is a task that waits for the outcome.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::child;
use super::child_pool::ChildPool;
use crate::event::Bus;
use crate::handler::contract::{Begun, Done, Handler, Invocation, Keeper, Kept, Stop, stopped};
use crate::job::{Outcome, TaskName};
use crate::task::handler_spec::RpcSpec;

/// The handler of a task with `rpc = [...]`. Its children are started when the first job comes, and end when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Rpc {
    owner: Arc<Owner>,
}

/// Children end when neither the handler nor a run of it is left.
#[derive(Debug)]
struct Owner(Arc<ChildPool>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

impl Rpc {
    /// Makes the handler that `[run]` of this task describes. The output of children goes to the bus.
    #[must_use]
    pub(crate) fn new(spec: RpcSpec, task: TaskName, bus: Bus) -> Self {
        Self { owner: Arc::new(Owner(Arc::new(ChildPool::new(spec, task, bus, child::begin)))) }
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> Arc<ChildPool> {
        Arc::clone(&self.owner.0)
    }
}

impl Handler for Rpc {
    fn begin(&self, job: Invocation, stop: watch::Receiver<Stop>) -> Begun {
        Begun::Running(Box::pin(run(Arc::clone(&self.owner), job, stop)))
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        Some(self)
    }

    fn retire(&self, end: Instant) -> BoxFuture<'static, ()> {
        let pool = Arc::clone(&self.owner.0);
        pool.close(Some(end));
        Box::pin(async move { pool.emptied().await })
    }
}

impl Keeper for Rpc {
    fn keep(&self, job: Invocation, done: Done, runtime: &Handle) -> Box<dyn Kept> {
        let owner = Arc::clone(&self.owner);
        let run_id = owner.0.perform(job, done, runtime);
        Box::new(KeptRun { owner, number: run_id })
    }
}

/// A run that the child pool keeps.
struct KeptRun {
    owner: Arc<Owner>,
    number: u64,
}

impl Kept for KeptRun {
    fn urge(&self, stop: Stop) {
        self.owner.0.urge(self.number, stop);
    }
}

async fn run(owner: Arc<Owner>, job: Invocation, mut stop: watch::Receiver<Stop>) -> Outcome {
    if *stop.borrow() > Stop::No {
        return Outcome::Interrupted;
    }
    let (reply, answer) = oneshot::channel();
    // A dropped receiver means that the run is over and needs no outcome.
    let done = Done::new(move |outcome| drop(reply.send(outcome)));
    let run_id = owner.0.perform(job, done, &Handle::current());
    let mut wait = Wait { pool: &owner.0, run_id, answer: Some(answer) };
    let mut asked = Stop::No;
    loop {
        tokio::select! {
            biased;
            outcome = wait.answered() => return outcome,
            urgency = stopped(&mut stop, asked) => {
                asked = urgency;
                owner.0.urge(run_id, urgency);
            }
        }
    }
}

/// A run that waits for its outcome. Dropping it kills the run.
struct Wait<'f> {
    pool: &'f ChildPool,
    run_id: u64,
    answer: Option<oneshot::Receiver<Outcome>>,
}

impl Wait<'_> {
    async fn answered(&mut self) -> Outcome {
        let Some(answer) = &mut self.answer else { return Outcome::Interrupted };
        let outcome = answer.await;
        self.answer = None;
        outcome.unwrap_or(Outcome::Interrupted)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.pool.urge(self.run_id, Stop::Kill);
        }
    }
}
