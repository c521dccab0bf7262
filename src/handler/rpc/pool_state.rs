//! The state of a child pool: its children, its waiting jobs, and which child gets the next job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff;
use crate::handler::contract::{Invocation, OutcomeSender, Stop};
use crate::job::Outcome;
use crate::task::handler_spec::RpcSpec;

/// The wait after the first failed start, and the longest wait.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A job that waits for a child, or that a child holds.
#[derive(Debug)]
pub(super) struct PerformRequest {
    /// Numbers the runs of this pool.
    pub(super) run_id: u64,
    pub(super) job: Invocation,
    pub(super) outcome: OutcomeSender,
}

impl PerformRequest {
    pub(super) fn complete(self, outcome: Outcome) {
        self.outcome.send(outcome);
    }
}

/// What the pool hands to a child when the child asks for work.
#[derive(Debug, Default)]
pub(super) struct ChildOrders {
    /// Jobs to perform.
    pub(super) requests: Vec<PerformRequest>,
    /// Jobs that should end. Some of them may belong to other children.
    pub(super) stops: Vec<(u64, Stop)>,
}

/// What became of jobs that a child was given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ended {
    /// It answered so many.
    pub(super) answered: usize,
    /// So many did not begin, because the lease may have run out before the child saw them.
    pub(super) unbegun: usize,
}

#[derive(Debug, Default)]
pub(super) struct PoolState {
    pub(super) last_run: u64,
    pub(super) numbers: u64,
    pub(super) waiting: VecDeque<PerformRequest>,
    /// Jobs that were cut off before, kept apart where children hold several jobs.
    pub(super) suspects: VecDeque<PerformRequest>,
    pub(super) children: Vec<PooledChild>,
    /// The instance that started the children.
    pub(super) instance: Option<Arc<str>>,
    /// The runtime that the children run on.
    pub(super) runtime: Option<Handle>,
    /// How many starts failed in a row.
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    /// Set once idle children must go: the inner value is when the last child must be gone.
    pub(super) closing: Option<Option<Instant>>,
}

/// What the task of a new child is given.
#[derive(Debug)]
pub(super) struct ChildParams {
    pub(super) number: u64,
    /// Notified when there is something for the child.
    pub(super) notify: Arc<Notify>,
    /// The instance that starts the child.
    pub(super) instance: Arc<str>,
    /// When it may start.
    pub(super) not_before: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct PooledChild {
    pub(super) number: u64,
    pub(super) phase: ChildPhase,
    /// How many jobs it may hold.
    pub(super) depth: usize,
    /// How many jobs it holds, including those in its orders.
    pub(super) held: usize,
    /// How many jobs it was given in all.
    pub(super) given: u64,
    /// Has it answered any job?
    pub(super) proven: bool,
    /// It holds a job that must have the child for itself.
    pub(super) alone: bool,
    pub(super) orders: ChildOrders,
    pub(super) notify: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildPhase {
    /// Not yet ready.
    Starting,
    /// Serving jobs.
    Ready,
    /// Gets no more jobs.
    Leaving,
}

impl PooledChild {
    /// How many more jobs it can take now.
    pub(super) fn free_places(&self) -> usize {
        if self.phase == ChildPhase::Ready && !self.alone { self.depth.saturating_sub(self.held) } else { 0 }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == ChildPhase::Ready && self.held == 0
    }

    pub(super) fn give(&mut self, request: PerformRequest, max_jobs: Option<u64>) {
        self.held += 1;
        self.given += 1;
        if max_jobs.is_some_and(|most| self.given >= most) {
            self.phase = ChildPhase::Leaving;
        }
        self.orders.requests.push(request);
        self.notify.notify_one();
    }
}

impl PoolState {
    pub(super) fn child(&mut self, number: u64) -> Option<&mut PooledChild> {
        self.children.iter_mut().find(|child| child.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) -> ChildOrders {
        let at = self.children.iter().position(|child| child.number == number);
        at.map(|at| self.children.swap_remove(at).orders).unwrap_or_default()
    }

    /// Makes this instance the owner. Children carry the id of the instance that started them, and the cleanup of a
    /// dead instance kills the processes with its id. Children under the old id therefore leave, and new ones take
    /// their place.
    pub(super) fn belong_to(&mut self, instance: &Arc<str>) {
        if self.instance.as_ref() == Some(instance) {
            return;
        }
        self.instance = Some(Arc::clone(instance));
        for child in &mut self.children {
            child.phase = ChildPhase::Leaving;
            child.notify.notify_one();
        }
    }

    pub(super) fn count_failure(&mut self) -> Duration {
        let delay = backoff::exponential(self.failures, BACKOFF.0, BACKOFF.1, 0.5);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + delay);
        delay
    }

    /// Gives waiting jobs to children with free places.
    pub(super) fn distribute(&mut self, spec: &RpcSpec) {
        let Self { waiting, suspects, children, .. } = self;
        while !suspects.is_empty() {
            let Some(idle) = children.iter_mut().find(|child| child.is_idle()) else { break };
            if let Some(request) = suspects.pop_front() {
                idle.alone = true;
                idle.give(request, spec.max_jobs);
            }
        }
        // The child with the fewest jobs becomes idle first. It gets nothing else until then.
        let mut reserved = None;
        if !suspects.is_empty() {
            let ready = children.iter().filter(|child| child.phase == ChildPhase::Ready && !child.alone);
            reserved = ready.min_by_key(|child| child.held).map(|child| child.number);
        }
        while !waiting.is_empty() {
            let open = children.iter_mut().filter(|child| child.free_places() > 0 && Some(child.number) != reserved);
            // Among equals the first wins.
            let Some(best) =
                open.reduce(|best, next| if next.free_places() > best.free_places() { next } else { best })
            else {
                break;
            };
            if let Some(request) = waiting.pop_front() {
                best.give(request, spec.max_jobs);
            }
        }
    }
}
