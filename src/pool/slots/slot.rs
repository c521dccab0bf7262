//! One processor's slot, and the job that it holds.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::kind::JobInfo;
use crate::handler::contract::{Handler, OwnedRun, Stop};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName};
use crate::plugin::chain::HeldLock;
use crate::plugin::kept_run::{self, EndedRun};
use crate::store::effect::Gate;
use crate::store::runs::KeepRun;
use crate::task::TaskDefinition;
use crate::task::schedule::scheduled_at;

/// How many lanes there are: two calls in flight keep the store busy while we turn a reply into
/// work; more gained nothing when measured.
pub(in crate::pool) const LANES: usize = 2;

/// A claimed job.
pub(in crate::pool) struct Job {
    pub(in crate::pool) claim: ClaimToken,
    pub(in crate::pool) queue: QueueName,
    pub(in crate::pool) payload: Bytes,
    /// The arguments as one JSON array, as the producer wrote them.
    pub(in crate::pool) args: Bytes,
    pub(in crate::pool) identity: Identity,
    /// The occurrence of the schedule that enqueued it, or for a tick the second for which it was due.
    pub(in crate::pool) scheduled_at: Option<Arc<str>>,
    /// `None` for classes that no task here defines.
    pub(in crate::pool) known: Option<(Arc<TaskDefinition>, Arc<dyn Handler>)>,
    /// The locks that it holds once it has passed its gates.
    pub(in crate::pool) held: Vec<HeldLock>,
    /// Shared with events; only built if a listener wants them.
    pub(in crate::pool) info: Option<Arc<JobInfo>>,
    pub(in crate::pool) began: Instant,
    /// Who cancelled it, if somebody did.
    pub(in crate::pool) cancelled_by: Option<Arc<str>>,
    /// Its run was begun.
    pub(in crate::pool) has_begun: bool,
    /// When its run takes too long, if `overdue` watches it.
    pub(in crate::pool) limit: Option<Limit>,
}

/// When a run takes too long.
#[derive(Clone, Copy)]
pub(in crate::pool) struct Limit {
    /// When it is asked to end, or killed if it has been asked.
    pub(in crate::pool) due: Instant,
    /// It has been asked to end.
    pub(in crate::pool) over: bool,
}

impl Job {
    pub(in crate::pool) fn task(&self) -> Option<&TaskDefinition> {
        self.known.as_ref().map(|(task, _)| &**task)
    }

    /// Is something of its runs kept, or of what it leads to?
    pub(in crate::pool) fn keeps_runs(&self) -> bool {
        self.task().is_some_and(|task| kept_run::keeps(task, Some(&self.identity)))
    }

    /// Its run, which has ended now.
    pub(in crate::pool) fn ended<'a>(&'a self, worker: &'a WorkerName, ms: Option<u64>, now_ms: i64) -> EndedRun<'a> {
        EndedRun {
            worker,
            queue: &self.queue,
            payload: &self.payload,
            identity: Some(&self.identity),
            claim: Some(&self.claim),
            scheduled_at: self.scheduled_at.as_deref(),
            ended_ms: now_ms,
            ms,
        }
    }

    /// The run that is kept if its gates drop it.
    pub(in crate::pool) fn dropped_run(
        &self,
        worker: &WorkerName,
        gates: &[Gate],
        now_ms: i64,
    ) -> Option<Box<KeepRun>> {
        let task = self.task().filter(|_| self.keeps_runs() && gates.iter().any(Gate::drops))?;
        self.ended(worker, None, now_ms).dropped(task)
    }

    /// It is a tick, and this is its second. What its producer wrote into its bytes is not changed.
    pub(in crate::pool) fn is_due(&mut self, due_s: i64) {
        let cadence = self.known.as_ref().and_then(|(task, _)| task.cadence.as_ref());
        if let Some(cadence) = cadence.filter(|_| self.scheduled_at.is_none()) {
            let second = cadence.scheduled_s(due_s, self.identity.is_first_run());
            self.scheduled_at = Some(Arc::from(scheduled_at(second)));
        }
    }
}

/// What a slot holds.
pub(in crate::pool) enum State {
    /// Nothing.
    Idle,
    /// Nothing yet: a claim for it is in flight.
    Claiming,
    /// A job at its gates.
    Entering(Box<Job>),
    /// A job that runs.
    Running(Box<Job>),
    /// A job that still runs although its claim was lost: it is being stopped, and nothing will be written for it.
    Lost(Box<Job>),
    /// A job that ended and is not yet settled, so that it is still on record.
    Settling { claim: ClaimToken, may_be_poison: bool },
}

/// One processor. Only [`Slots`](super::Slots) changes it.
pub(in crate::pool) struct Slot {
    pub(super) number: usize,
    pub(super) worker: WorkerName,
    pub(super) state: State,
    /// It is to leave: it claims nothing more.
    pub(super) retiring: bool,
    /// A reload has given it another name: it claims nothing more until it has that name.
    pub(super) stale: bool,
    /// It is between two names: registered under neither, or not for sure.
    pub(super) nameless: bool,
    /// Tells its run to stop; reset before each run.
    pub(super) stop: Arc<watch::Sender<Stop>>,
    /// Its run, if its handler manages it.
    pub(super) owned: Option<Box<dyn OwnedRun>>,
}

impl Slot {
    pub(super) fn new(number: usize, worker: WorkerName) -> Self {
        let stop = Arc::new(watch::Sender::new(Stop::No));
        Self { number, worker, state: State::Idle, retiring: false, stale: false, nameless: false, stop, owned: None }
    }

    /// Its number, from 1; free numbers are used again.
    pub(in crate::pool) fn number(&self) -> usize {
        self.number
    }

    pub(in crate::pool) fn worker(&self) -> &WorkerName {
        &self.worker
    }

    pub(in crate::pool) fn state(&self) -> &State {
        &self.state
    }

    /// Whether the store may know it by its name.
    pub(in crate::pool) fn is_registered(&self) -> bool {
        !self.nameless
    }

    /// The lane that claims and settles for it.
    pub(in crate::pool) fn lane(&self) -> usize {
        lane_of(self.number)
    }

    /// Tells the next run to stop.
    pub(in crate::pool) fn stopper(&self) -> &Arc<watch::Sender<Stop>> {
        &self.stop
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle | State::Claiming)
    }

    /// Whether it has a run.
    pub(in crate::pool) fn is_at_work(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Whether it holds a job that was cut off often, which may be what ends its daemons.
    pub(in crate::pool) fn may_hold_poison(&self) -> bool {
        match &self.state {
            State::Entering(job) | State::Running(job) | State::Lost(job) => job.identity.may_be_poison(),
            State::Settling { may_be_poison, .. } => *may_be_poison,
            State::Idle | State::Claiming => false,
        }
    }

    /// Whether the manager waits for it to become idle.
    pub(super) fn is_waited_for(&self) -> bool {
        self.retiring || self.stale
    }

    /// Whether its run has this claim.
    pub(super) fn runs(&self, claim: &ClaimToken) -> bool {
        matches!(&self.state, State::Running(job) | State::Lost(job) if job.claim == *claim)
    }

    /// Its claim is lost: the run is killed, and nothing will be written for it.
    pub(super) fn lose(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Running(job) => {
                self.stop(Stop::Kill);
                State::Lost(job)
            }
            other => other,
        };
    }

    /// Tells its run to stop; an order never becomes less urgent.
    pub(super) fn stop(&self, how: Stop) {
        if urge(&self.stop, how)
            && let Some(run) = &self.owned
        {
            run.stop(how);
        }
    }
}

/// Raises a stop order; it never becomes less urgent. True if it has become more urgent.
pub(in crate::pool) fn urge(stop: &watch::Sender<Stop>, how: Stop) -> bool {
    stop.send_if_modified(|now| {
        let urgent = how > *now;
        if urgent {
            *now = how;
        }
        urgent
    })
}

/// The lane of the processor with this number.
pub(in crate::pool) fn lane_of(number: usize) -> usize {
    (number + LANES - 1) % LANES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_alternate_between_the_lanes() {
        assert_eq!((1..=4).map(lane_of).collect::<Vec<_>>(), [0, 1, 0, 1]);
    }

    #[test]
    fn a_stop_order_never_becomes_less_urgent() {
        let stop = watch::Sender::new(Stop::No);
        urge(&stop, Stop::Kill);
        urge(&stop, Stop::Terminate);
        assert_eq!(*stop.borrow(), Stop::Kill);
    }
}
