//! Runs that people cancel: each is asked to end, killed after the grace, and settled as cancelled.
//!
//! The wish stands in the store until its run has been settled, so that the job is not run again if this instance dies
//! meanwhile. A run that succeeds although it was asked to end has done its job, and that is what is recorded.

use std::rc::Rc;

use tokio::task::spawn_local;
use tokio::time::sleep;

use super::core::Core;
use super::slots::Job;
use crate::event::Event;
use crate::job::{ClaimToken, Outcome, Progress};
use crate::store::wishes::{Want, Wish};

/// Heeds the wishes that stand. Those about runs that wait at their gates are heeded when they stand next time.
pub(super) fn heed(core: &Rc<Core>, wishes: &[Wish]) {
    for Wish { claim, want } in wishes {
        core.wishes.add(claim);
        let by = match want {
            Want::Cancel { by } => by,
            Want::Watch { turn } if core.slots.holds(claim) => {
                core.watches.heed(claim, *turn, core.bus.live());
                continue;
            }
            Want::Progress { progress } => {
                tell_progress(core, claim, progress);
                continue;
            }
            Want::Watch { .. } => continue,
        };
        let Some(number) = core.slots.cancel(claim, by) else { continue };
        let grace = core.settings.kill_grace();
        core.bus.emit(Event::Notice { text: format!("the run with claim {claim} is asked to end: cancelled by {by}") });
        // A task of its own, because a run is killed after the grace even if the pool drains by then.
        let (core, run) = (Rc::clone(core), [(number, claim.clone())]);
        spawn_local(async move {
            sleep(grace).await;
            core.slots.kill(&run);
        });
    }
}

/// Somebody who performs the run elsewhere told how far it is. It stands until the run is over, so that it is met again and again.
fn tell_progress(core: &Core, claim: &ClaimToken, told: &str) {
    let Some(told) = Progress::parse(told.as_bytes()).filter(|_| core.slots.holds(claim)) else { return };
    let live = core.bus.live();
    let known = live.find(claim).and_then(|run| run.progress());
    if known.is_none_or(|known| known.at_ms < told.at_ms) {
        live.tell(claim, told);
    }
}

/// The outcome of a run that may have been cancelled.
pub(super) fn judge(job: &Job, outcome: Outcome) -> Outcome {
    let Some(by) = job.cancelled_by.as_deref() else { return outcome };
    let tail = match outcome {
        Outcome::Success { .. } | Outcome::ClaimDoubted | Outcome::Cancelled { .. } => return outcome,
        Outcome::Stopped { tail } | Outcome::Later { tail, .. } => tail,
        Outcome::Failure(failure) | Outcome::Crashed(failure) | Outcome::Unstarted { failure, .. } => failure.backtrace,
        Outcome::Interrupted | Outcome::NotStarted(_) => Vec::new(),
    };
    Outcome::Cancelled { by: by.to_owned(), tail }
}
