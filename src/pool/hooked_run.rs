//! A run with plugins of the task's own around it, on the handlers' runtime.
//!
//! ```text
//!   before_perform ──> run ──> after_perform
//!         │ denies: vetoed, and no plugin is called afterwards
//!         │ fails: the run fails ──────▲
//!         │ finds no descriptor, process or memory to ask with: the job is given back
//!         │ its program cannot be started: the job is put off
//!         │ the lease may have run out meanwhile: the job is given back, if it is still ours
//! ```
//!
//! The task's `timeout` counts for `before_perform` and the run together, and again for `after_perform`. An order to end
//! also goes to a plugin before the run. A plugin after the run goes on until it is to end at once, because the run is
//! over and its outcome is known. After a run that was cut off no plugin is called, as after a crash.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use super::slots::urge;
use super::watched::watched;
use crate::handler::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use crate::job::{Failure, Outcome};
use crate::plugin::hook::{Cancelled, HookJob};
use crate::plugin::hooks::{Hooks, Refusal};

/// A run about to begin.
pub struct HookedRun {
    /// The plugins before and after it.
    pub hooks: Hooks,
    /// What runs.
    pub handler: Arc<dyn Handler>,
    /// The job.
    pub invocation: Invocation,
    /// How long a run that took too long may take to end before it is killed.
    pub grace: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Performed {
    /// It ran, or tried to.
    Ran(Outcome),
    /// A plugin said no before it began.
    Vetoed(Refusal),
    /// An order to end came before it began, while a plugin was called.
    NotBegun,
}

impl HookedRun {
    /// Calls the plugins before the run, runs, and calls the plugins after it.
    pub async fn perform(self, mut stop: watch::Receiver<Stop>) -> Performed {
        let Self { hooks, handler, invocation, grace } = self;
        let timeout = invocation.task.timeout;
        let (cancel, cancelled) = Cancelled::channel();
        let job = view(&invocation, cancelled);
        // A run that takes too long is stopped by an order of its own, which does not stop the plugins after it.
        let own = watch::Sender::new(Stop::No);
        let (mut passed, mut veto, mut begun) = (0, None, false);
        let run = async {
            let asking = hooks.before_perform(&job, &mut passed);
            match until_stopped(asking, &cancel, own.subscribe()).await {
                None => Outcome::Interrupted,
                Some(Err(failed)) if failed.error.short => Outcome::NotStarted(failed.to_string()),
                Some(Err(failed)) if failed.error.unstarted => Outcome::unstarted(failed.failure()),
                Some(Err(failed)) => Outcome::Failure(failed.failure()),
                Some(Ok(Some(refusal))) => {
                    veto = Some(refusal);
                    Outcome::Interrupted
                }
                // The plugins may have taken long.
                Some(Ok(None)) if invocation.lease.may_have_lapsed() => Outcome::ClaimDoubted,
                Some(Ok(None)) => {
                    begun = true;
                    match handler.begin(invocation, own.subscribe()) {
                        StartedRun::Ended(outcome) => outcome,
                        StartedRun::Running(run) => run.await,
                    }
                }
            }
        };
        let outcome = tokio::select! {
            outcome = watched(run.boxed(), &own, timeout, grace) => outcome,
            never = pass_on(stop.clone(), &own) => match never {},
        };
        if let Some(refusal) = veto {
            return Performed::Vetoed(refusal);
        }
        if outcome == Outcome::Interrupted && !begun {
            return Performed::NotBegun;
        }
        if outcome.is_cut_off() || !hooks.any_after(passed) {
            return Performed::Ran(outcome);
        }
        let job = HookJob { cancelled: Cancelled::default(), ..job };
        let known = outcome.clone();
        Performed::Ran(tokio::select! {
            outcome = within(timeout, hooks.after_perform(&job, outcome, passed)) => {
                outcome.unwrap_or_else(|limit| too_late(known, limit))
            }
            // A success does not count yet, because a plugin after the run may still turn it into a failure.
            _ = stopped(&mut stop, Stop::Terminate) => match known {
                Outcome::Success { .. } => Outcome::Interrupted,
                known => known,
            },
        })
    }
}

fn view(invocation: &Invocation, cancelled: Cancelled) -> HookJob {
    HookJob {
        task: invocation.task.name.clone(),
        queue: invocation.queue.clone(),
        args: invocation.args.clone(),
        scheduled_at: invocation.scheduled_at.clone(),
        identity: Some(invocation.identity.clone()),
        claim: Some(invocation.claim.clone()),
        instance: Some(Arc::clone(&invocation.instance)),
        options: Arc::from("{}"),
        cancelled,
    }
}

/// Passes every order to stop on.
async fn pass_on(mut from: watch::Receiver<Stop>, to: &watch::Sender<Stop>) -> std::convert::Infallible {
    let mut asked = Stop::No;
    loop {
        asked = stopped(&mut from, asked).await;
        urge(to, asked);
    }
}

/// Awaits a plugin's answer. `None` if an order to stop comes first: the plugin is told, and dropped if the order becomes
/// urgent.
async fn until_stopped<T>(
    asking: impl Future<Output = T>,
    cancel: &watch::Sender<bool>,
    mut stop: watch::Receiver<Stop>,
) -> Option<T> {
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = &mut asking => return Some(answer),
        _ = stopped(&mut stop, Stop::No) => {}
    }
    cancel.send_replace(true);
    tokio::select! {
        _ = &mut asking => {}
        _ = stopped(&mut stop, Stop::Terminate) => {}
    }
    None
}

async fn within<T>(limit: Option<Duration>, asking: impl Future<Output = T>) -> Result<T, Duration> {
    match limit {
        None => Ok(asking.await),
        Some(limit) => tokio::time::timeout(limit, asking).await.map_err(|_| limit),
    }
}

fn too_late(known: Outcome, limit: Duration) -> Outcome {
    let error = format!("after_perform timed out after {}", humantime::format_duration(limit));
    match known {
        Outcome::Failure(mut failure) => {
            failure.backtrace.push(error);
            Outcome::Failure(failure)
        }
        _ => Outcome::Failure(Failure::new("Timeout", error)),
    }
}

#[cfg(test)]
mod tests;
