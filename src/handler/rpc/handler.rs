//! The handler: passes runs to the child pool, and asks them to end.
//!
//! Most runs are managed by the child pool alone. A run with plugins around it is a task that waits for the outcome.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::child;
use super::child_pool::ChildPool;
use crate::event::Bus;
use crate::handler::contract::{Handler, Invocation, OutcomeSender, OwnedRun, RunOwner, StartedRun, Stop, stopped};
use crate::handler::kept_output::KeptOutputs;
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
    /// Makes the handler that `[run]` of this task describes. The output of children goes to the bus, or is kept.
    #[must_use]
    pub(crate) fn new(spec: RpcSpec, task: TaskName, bus: Bus, kept: Option<KeptOutputs>) -> Self {
        Self { owner: Arc::new(Owner(Arc::new(ChildPool::new(spec, task, bus, kept, child::begin)))) }
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> Arc<ChildPool> {
        Arc::clone(&self.owner.0)
    }
}

impl Handler for Rpc {
    fn begin(&self, job: Invocation, stop: watch::Receiver<Stop>) -> StartedRun {
        StartedRun::Running(Box::pin(run(Arc::clone(&self.owner), job, stop)))
    }

    fn run_owner(&self) -> Option<&dyn RunOwner> {
        Some(self)
    }

    fn retire(&self, end: Instant) -> BoxFuture<'static, ()> {
        let pool = Arc::clone(&self.owner.0);
        pool.close(Some(end));
        Box::pin(async move { pool.emptied().await })
    }
}

impl RunOwner for Rpc {
    fn start(&self, job: Invocation, outcome: OutcomeSender, runtime: &Handle) -> Box<dyn OwnedRun> {
        let owner = Arc::clone(&self.owner);
        let run_id = owner.0.perform(job, outcome, runtime);
        Box::new(RpcRun { owner, run_id })
    }
}

/// A run that the child pool manages.
struct RpcRun {
    owner: Arc<Owner>,
    run_id: u64,
}

impl OwnedRun for RpcRun {
    fn stop(&self, stop: Stop) {
        self.owner.0.stop_run(self.run_id, stop);
    }
}

async fn run(owner: Arc<Owner>, job: Invocation, mut stop: watch::Receiver<Stop>) -> Outcome {
    if *stop.borrow() > Stop::No {
        return Outcome::Interrupted;
    }
    let (sender, receiver) = oneshot::channel();
    // A dropped receiver means that the run is over and needs no outcome.
    let report = OutcomeSender::new(move |outcome| drop(sender.send(outcome)));
    let run_id = owner.0.perform(job, report, &Handle::current());
    let mut wait = Wait { pool: &owner.0, run_id, outcome: Some(receiver) };
    let mut asked = Stop::No;
    loop {
        tokio::select! {
            biased;
            outcome = wait.outcome() => return outcome,
            urgency = stopped(&mut stop, asked) => {
                asked = urgency;
                owner.0.stop_run(run_id, urgency);
            }
        }
    }
}

/// A run that waits for its outcome. Dropping it kills the run.
struct Wait<'f> {
    pool: &'f ChildPool,
    run_id: u64,
    outcome: Option<oneshot::Receiver<Outcome>>,
}

impl Wait<'_> {
    async fn outcome(&mut self) -> Outcome {
        let Some(receiver) = &mut self.outcome else { return Outcome::Interrupted };
        let outcome = receiver.await;
        self.outcome = None;
        outcome.unwrap_or(Outcome::Interrupted)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.pool.stop_run(self.run_id, Stop::Kill);
        }
    }
}
