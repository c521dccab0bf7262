//! Who is in a fleet, and who gets the next job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff;
use crate::handler::contract::{Done, Invocation, Stop};
use crate::job::Outcome;
use crate::task::handler_spec::RpcSpec;

/// The wait after the first start that came to nothing, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A job that wants to be performed.
#[derive(Debug)]
pub(super) struct PerformRequest {
    /// Its number among all of this fleet.
    pub(super) run_id: u64,
    pub(super) job: Invocation,
    pub(super) done: Done,
}

impl PerformRequest {
    pub(super) fn complete(self, outcome: Outcome) {
        self.done.tell(outcome);
    }
}

/// What a child finds when it looks for orders.
#[derive(Debug, Default)]
pub(super) struct ChildOrders {
    /// Jobs to perform.
    pub(super) requests: Vec<PerformRequest>,
    /// Jobs that should end; not all of them need be this child's.
    pub(super) stops: Vec<(u64, Stop)>,
}

#[derive(Debug, Default)]
pub(super) struct PoolState {
    pub(super) last_run: u64,
    pub(super) numbers: u64,
    pub(super) waiting: VecDeque<PerformRequest>,
    /// Jobs that were cut off before, where that matters.
    pub(super) suspects: VecDeque<PerformRequest>,
    pub(super) children: Vec<PooledChild>,
    /// Whose children these are.
    pub(super) instance: Option<Arc<str>>,
    /// Where they live.
    pub(super) runtime: Option<Handle>,
    /// How many children in a row came to nothing.
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    /// Nobody is kept who has nothing to do, and when the last one must be gone.
    pub(super) closing: Option<Option<Instant>>,
}

/// By what a child is known in its fleet.
#[derive(Debug)]
pub(super) struct ChildParams {
    pub(super) number: u64,
    /// Rung when there is something for it.
    pub(super) notify: Arc<Notify>,
    /// The instance that starts it.
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
    /// How many it holds, or has waiting in its orders.
    pub(super) held: usize,
    /// How many it was ever given.
    pub(super) given: u64,
    /// Has it answered any?
    pub(super) proven: bool,
    /// Holds a job that must be alone.
    pub(super) alone: bool,
    pub(super) orders: ChildOrders,
    pub(super) notify: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildPhase {
    /// Not yet ready.
    Starting,
    /// At work.
    Ready,
    /// Gets nothing more.
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

    /// Children carry the id of the instance that started them, and whoever buries that instance kills them: under a
    /// new id there must be new ones.
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

    /// Gives jobs that wait to children that have places.
    pub(super) fn distribute(&mut self, spec: &RpcSpec) {
        let Self { waiting, suspects, children, .. } = self;
        while !suspects.is_empty() {
            let Some(idle) = children.iter_mut().find(|child| child.is_idle()) else { break };
            if let Some(request) = suspects.pop_front() {
                idle.alone = true;
                idle.give(request, spec.max_jobs);
            }
        }
        // The one that will be idle first gets nothing else until then.
        let mut reserved = None;
        if !suspects.is_empty() {
            let ready = children.iter().filter(|child| child.phase == ChildPhase::Ready && !child.alone);
            reserved = ready.min_by_key(|child| child.held).map(|child| child.number);
        }
        while !waiting.is_empty() {
            let open = children.iter_mut().filter(|child| child.free_places() > 0 && Some(child.number) != reserved);
            // Of equals the first.
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
