//! Runs whose claims are lost, or may be: their instance was declared dead.

use super::{LaneTask, Round};
use crate::job::{Failure, Identity, Outcome};
use crate::pool::slots::Job;

impl LaneTask {
    /// A run whose processes another instance may have killed did not fail: it was cut off.
    pub(super) fn doubted(&self, job: &Job, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failure(failure) if failure.killed && self.core.lease.may_have_killed(job.began) => {
                let error = "killed after the lease of this instance had run out: another instance may have done it, to \
                             give the job out again";
                Outcome::Crashed(Failure::new("Interrupted", error).with_backtrace(failure.backtrace))
            }
            outcome => outcome,
        }
    }

    /// The instance is dead: nothing is written any more, and slots without a run become idle. `unsettled` is the round
    /// that the store did not take.
    pub(super) fn forget(&mut self, unsettled: Option<&Round>) {
        let ended = self.settlements.iter().chain(self.undone.each()).map(|(settled, _)| settled);
        for settled in ended.chain(unsettled.into_iter().flat_map(|round| &round.settled)) {
            self.tell_lost(&settled.identity);
        }
        self.settlements.clear();
        self.undone.clear();
        self.enters.clear();
        self.core.slots.forget(self.index);
    }

    /// A run has ended that nobody asks for any more.
    pub(super) fn tell_lost(&self, identity: &Identity) {
        self.core.warn(format!("the run of job {} has ended; its claim was lost before", identity.id));
    }
}
