//! The children of a task: who is there, who holds how many jobs, and which jobs wait.
//!
//! A job goes to the child with the most free places; a further child is started when a job comes and none is idle, up
//! to `processes`. A child that is to be replaced gets nothing more and counts until it is gone, so that there are
//! never more than that.
//!
//! Where children hold several jobs, one that was cut off before gets a child for itself: if it was its doing, others do
//! not pay for it again, and if it was not, it gets through.
//!
//! A start that comes to nothing fails the jobs that wait for it, and delays the next one. All state is behind one lock,
//! taken once for a job that comes and once for each batch of answers, and never held across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pool_state::{ChildOrders, ChildParams, ChildPhase, PerformRequest, PoolState, PooledChild};
use crate::event::{Bus, Event};
use crate::handler::contract::{Done, Invocation, Stop};
use crate::job::{Failure, Outcome, TaskName};
use crate::task::handler_spec::RpcSpec;

/// How a child's life ended, as far as the next one's start is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildEnd {
    /// As it was asked to.
    Asked,
    /// In any other way: the next one waits.
    Unasked,
}

/// The children of a task.
#[derive(Debug)]
pub(super) struct ChildPool {
    pub(super) spec: RpcSpec,
    pub(super) task: TaskName,
    pub(super) bus: Bus,
    /// Starts a child's life on a runtime.
    begin: fn(Arc<Self>, ChildParams, &Handle),
    state: Mutex<PoolState>,
    /// Rung when a child is gone.
    gone: Notify,
}

impl ChildPool {
    pub(super) fn new(spec: RpcSpec, task: TaskName, bus: Bus, begin: fn(Arc<Self>, ChildParams, &Handle)) -> Self {
        Self { spec, task, bus, begin, state: Mutex::default(), gone: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // Whoever panicked under it left nothing half done: every change is a few assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job comes; the number by which it can be stopped. Children are started on the runtime.
    pub(super) fn perform(self: &Arc<Self>, job: Invocation, done: Done, runtime: &Handle) -> u64 {
        let mut state = self.lock();
        state.belong_to(&job.instance);
        state.last_run += 1;
        let run_id = state.last_run;
        let all_busy = !state.children.iter().any(PooledChild::is_idle);
        let suspect = self.is_suspect(&job);
        let request = PerformRequest { run_id, job, done };
        if suspect { &mut state.suspects } else { &mut state.waiting }.push_back(request);
        state.distribute(&self.spec);
        if state.runtime.is_none() {
            state.runtime = Some(runtime.clone());
        }
        self.start_children(&mut state, all_busy);
        run_id
    }

    /// Must this job be alone in its child?
    fn is_suspect(&self, job: &Invocation) -> bool {
        self.spec.depth > 1 && job.identity.redelivered > 0
    }

    /// A job should end. One that still waits ends here.
    pub(super) fn urge(&self, run_id: u64, stop: Stop) {
        let mut state = self.lock();
        let PoolState { waiting, suspects, children, .. } = &mut *state;
        for queue in [waiting, suspects] {
            if let Some(at) = queue.iter().position(|request| request.run_id == run_id) {
                if let Some(request) = queue.remove(at) {
                    request.complete(Outcome::Interrupted);
                }
                return;
            }
        }
        for child in children {
            child.orders.stops.push((run_id, stop));
            child.notify.notify_one();
        }
    }

    /// Keeps no child any more that has nothing to do. By `end`, if that is given, none should be left.
    pub(super) fn close(&self, end: Option<Instant>) {
        let mut state = self.lock();
        state.closing = Some(end.or(state.closing.flatten()));
        for child in &state.children {
            child.notify.notify_one();
        }
    }

    /// Waits until no child is left.
    pub(super) async fn emptied(&self) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            // Before the look, so that nobody goes unseen in between.
            gone.as_mut().enable();
            if self.lock().children.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// When the last child must be gone, if that is said.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().closing.flatten()
    }

    /// A child is ready for so many jobs.
    pub(super) fn ready(&self, number: u64, depth: usize) {
        let mut state = self.lock();
        if let Some(child) = state.child(number) {
            child.depth = depth;
            if child.phase == ChildPhase::Starting {
                child.phase = ChildPhase::Ready;
            }
        }
        state.distribute(&self.spec);
    }

    /// Is a child that is not yet ready not wanted any more?
    pub(super) fn is_unwanted(&self, number: u64) -> bool {
        let mut state = self.lock();
        let idle = state.waiting.is_empty() && state.suspects.is_empty();
        let closing = state.closing.is_some();
        state.child(number).is_none_or(|child| child.phase == ChildPhase::Leaving) || (closing && idle)
    }

    /// A child has answered so many jobs, and takes what there is for it. False when it should go: it holds nothing,
    /// and nothing more will come.
    pub(super) fn report(&self, number: u64, answered: usize, orders: &mut ChildOrders) -> bool {
        let mut state = self.lock();
        let mut proven = false;
        if let Some(child) = state.child(number).filter(|_| answered > 0) {
            child.held = child.held.saturating_sub(answered);
            child.alone &= child.held > 0;
            proven = !std::mem::replace(&mut child.proven, true);
        }
        if proven {
            (state.failures, state.not_before) = (0, None);
        }
        if answered > 0 {
            state.distribute(&self.spec);
        }
        let idle = state.waiting.is_empty() && state.suspects.is_empty();
        let closing = state.closing.is_some();
        let Some(child) = state.child(number) else { return false };
        std::mem::swap(&mut child.orders, orders);
        if closing && idle && child.held == 0 {
            child.phase = ChildPhase::Leaving;
        }
        child.phase != ChildPhase::Leaving || child.held > 0
    }

    /// How many jobs children hold.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lock().children.iter().filter(|child| child.phase == ChildPhase::Ready).map(|child| child.held).sum()
    }

    /// A child gets nothing more.
    pub(super) fn retire(&self, number: u64) {
        if let Some(child) = self.lock().child(number) {
            child.phase = ChildPhase::Leaving;
            child.notify.notify_one();
        }
    }

    /// A child is gone. What it was given and never saw goes to others.
    pub(super) fn child_ended(self: &Arc<Self>, number: u64, unseen: Vec<PerformRequest>, child_end: ChildEnd) {
        let mut state = self.lock();
        let orders = state.remove(number);
        for request in unseen.into_iter().chain(orders.requests).rev() {
            if self.is_suspect(&request.job) { &mut state.suspects } else { &mut state.waiting }.push_front(request);
        }
        if child_end == ChildEnd::Unasked {
            state.count_failure();
        }
        state.distribute(&self.spec);
        self.start_children(&mut state, false);
        self.gone.notify_waiters();
    }

    /// A child came to nothing before it was ready. Unless others may serve them, those that wait fail with it.
    pub(super) fn failed_start(self: &Arc<Self>, number: u64, failure: &Failure) {
        let mut state = self.lock();
        state.remove(number);
        let delay = state.count_failure();
        let mut failed = 0;
        if !state.children.iter().any(|child| child.phase != ChildPhase::Leaving) {
            let PoolState { waiting, suspects, .. } = &mut *state;
            for request in suspects.drain(..).chain(waiting.drain(..)) {
                failed += 1;
                request.complete(Outcome::Failure(failure.clone()));
            }
        }
        self.start_children(&mut state, false);
        drop(state);
        self.gone.notify_waiters();
        let (error, wait) = (&failure.error, humantime::format_duration(delay));
        self.warn(format!("{error}; {failed} jobs that waited for it fail, and the next start is not before {wait}"));
    }

    /// A child's task was dropped with all that it held: its runtime goes down.
    pub(super) fn child_lost(&self, number: u64) {
        self.lock().remove(number);
        self.gone.notify_waiters();
    }

    pub(super) fn warn(&self, text: String) {
        self.bus.emit(Event::Warning { text });
    }

    /// Starts children for jobs that wait, and one more if a job came while `all_busy`.
    fn start_children(self: &Arc<Self>, state: &mut PoolState, all_busy: bool) {
        loop {
            let starting = state.children.iter().filter(|child| child.phase == ChildPhase::Starting);
            let (starting, coming) = starting.fold((0, 0), |(count, places), child| (count + 1, places + child.depth));
            let queued = state.waiting.len() + state.suspects.len();
            let wanted = if starting == 0 {
                queued > 0 || (all_busy && state.closing.is_none())
            } else {
                // After a failure one at a time.
                queued > coming && state.failures == 0
            };
            if !wanted || state.children.len() >= self.spec.processes {
                return;
            }
            let (Some(instance), Some(runtime)) = (state.instance.clone(), state.runtime.clone()) else { return };
            state.numbers += 1;
            let (number, notify) = (state.numbers, Arc::new(Notify::new()));
            state.children.push(PooledChild {
                number,
                phase: ChildPhase::Starting,
                depth: self.spec.depth,
                held: 0,
                given: 0,
                proven: false,
                alone: false,
                orders: ChildOrders::default(),
                notify: Arc::clone(&notify),
            });
            let params = ChildParams { number, notify, instance, not_before: state.not_before };
            (self.begin)(Arc::clone(self), params, &runtime);
        }
    }
}
