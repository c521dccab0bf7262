//! The children of a task: which exist, how many jobs each holds, and which jobs wait.
//!
//! A job goes to the child with the most free places. The pool starts another child when a job arrives and no child is
//! idle, up to `processes`. A child that is being replaced gets no more jobs, and counts until it is gone, so the
//! number of children never exceeds `processes`.
//!
//! Where children hold several jobs, a job that was cut off before gets a child for itself. If the job caused the
//! crash, no other job is cut off with it again. If it did not, it now runs undisturbed.
//!
//! A failed start gives back the jobs that wait for it, and delays the next start. One lock guards all state. It is taken
//! once for each new job and once for each batch of responses, and never held across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pool_state::{ChildOrders, ChildParams, ChildPhase, Ended, PerformRequest, PoolState, PooledChild};
use crate::event::children::{Gone, TaskChildren};
use crate::event::{Bus, Event};
use crate::handler::contract::{Invocation, OutcomeSender, Stop};
use crate::handler::kept_output::KeptOutputs;
use crate::job::{Failure, Outcome, TaskName};
use crate::task::handler_spec::{OutputMode, RpcSpec};
use crate::text::count::counted;

/// How a child ended. The start of the next child depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildEnd {
    /// As it was asked to.
    Asked,
    /// In any other way: the next start is delayed.
    Unasked,
}

/// Why a child never served a job. What becomes of the jobs that wait for it depends on it: none of them began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailedStart {
    /// The machine is short of a resource: they are given back.
    Short,
    /// Its program is missing, or ended before it was ready, or never became so: they are put off.
    Unstarted,
    /// The task cannot be served as it is written: they fail.
    Wrong,
}

impl FailedStart {
    /// The outcome of a job that waited for the child. None of its task begins before `wait` is over.
    fn outcome(self, failure: &Failure, wait: Duration) -> Outcome {
        let failure = failure.clone();
        match self {
            Self::Short => Outcome::NotStarted(failure.error),
            Self::Unstarted => Outcome::Unstarted { failure, wait },
            Self::Wrong => Outcome::Failure(failure),
        }
    }
}

/// The children of a task.
#[derive(Debug)]
pub(super) struct ChildPool {
    pub(super) spec: RpcSpec,
    pub(super) task: TaskName,
    pub(super) bus: Bus,
    /// Where the output of its jobs is kept, if it is.
    pub(super) kept: Option<KeptOutputs>,
    /// Starts the task of a child on a runtime.
    begin: fn(Arc<Self>, ChildParams, &Handle),
    state: Mutex<PoolState>,
    /// Where its children are counted.
    counted: Arc<TaskChildren>,
    /// Notified when a child is gone.
    gone: Notify,
}

impl ChildPool {
    pub(super) fn new(
        spec: RpcSpec,
        task: TaskName,
        bus: Bus,
        kept: Option<KeptOutputs>,
        begin: fn(Arc<Self>, ChildParams, &Handle),
    ) -> Self {
        let kept = kept.filter(|_| spec.output == OutputMode::File);
        let counted = bus.figures().children_of(&task);
        Self { spec, task, bus, kept, begin, state: Mutex::default(), counted, gone: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // A panic under the lock leaves a whole state, because every change is a few assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job and returns the number by which it can be stopped. Children are started on the runtime.
    pub(super) fn perform(self: &Arc<Self>, job: Invocation, outcome: OutcomeSender, runtime: &Handle) -> u64 {
        let mut state = self.lock();
        state.belong_to(&job.instance);
        state.last_run += 1;
        let run_id = state.last_run;
        let all_busy = !state.children.iter().any(PooledChild::is_idle);
        let suspect = self.is_suspect(&job);
        let request = PerformRequest { run_id, job, outcome };
        if suspect { &mut state.suspects } else { &mut state.waiting }.push_back(request);
        state.distribute(&self.spec);
        if state.runtime.is_none() {
            state.runtime = Some(runtime.clone());
        }
        self.start_children(&mut state, all_busy);
        run_id
    }

    /// Must this job have a child for itself?
    fn is_suspect(&self, job: &Invocation) -> bool {
        self.spec.depth > 1 && job.identity.redelivered > 0
    }

    /// Asks a job to end. A job that still waits ends here.
    pub(super) fn stop_run(&self, run_id: u64, stop: Stop) {
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

    /// Lets idle children go from now on. With `end`, no child should be left after it.
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
            // Registered before the check, so that no notification is missed in between.
            gone.as_mut().enable();
            if self.lock().children.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// When the last child must be gone, if a time is set.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().closing.flatten()
    }

    /// Marks a child as ready for `depth` jobs.
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

    /// Is a child that is not ready yet no longer wanted?
    pub(super) fn is_unwanted(&self, number: u64) -> bool {
        let mut state = self.lock();
        let idle = state.waiting.is_empty() && state.suspects.is_empty();
        let closing = state.closing.is_some();
        state.child(number).is_none_or(|child| child.phase == ChildPhase::Leaving) || (closing && idle)
    }

    /// Records what became of a child's jobs since the last report, and takes its orders. Returns false when the child
    /// should go: it holds no job and gets no more.
    pub(super) fn report(&self, number: u64, Ended { answered, unbegun }: Ended, orders: &mut ChildOrders) -> bool {
        let mut state = self.lock();
        let mut proven = false;
        let ended = answered + unbegun;
        if let Some(child) = state.child(number).filter(|_| ended > 0) {
            child.held = child.held.saturating_sub(ended);
            child.alone &= child.held > 0;
            proven = answered > 0 && !std::mem::replace(&mut child.proven, true);
        }
        if proven {
            (state.failures, state.not_before) = (0, None);
        }
        if ended > 0 {
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

    /// Gives a child no more jobs.
    pub(super) fn retire(&self, number: u64) {
        if let Some(child) = self.lock().child(number) {
            child.phase = ChildPhase::Leaving;
            child.notify.notify_one();
        }
    }

    /// Removes a child that has ended. Jobs that it was given and never saw go to others.
    pub(super) fn child_ended(self: &Arc<Self>, number: u64, unseen: Vec<PerformRequest>, child_end: ChildEnd) {
        let mut state = self.lock();
        let why = if child_end == ChildEnd::Unasked { Gone::Died } else { Gone::Asked };
        let orders = self.remove(&mut state, number, why);
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

    /// Removes a child whose start failed. The waiting jobs end with it, unless another child may serve them.
    pub(super) fn failed_start(self: &Arc<Self>, number: u64, failure: &Failure, why: FailedStart) {
        let mut state = self.lock();
        self.remove(&mut state, number, Gone::FailedStart);
        let delay = state.count_failure();
        let mut ended = 0;
        if !state.children.iter().any(|child| child.phase != ChildPhase::Leaving) {
            let PoolState { waiting, suspects, .. } = &mut *state;
            for request in suspects.drain(..).chain(waiting.drain(..)) {
                ended += 1;
                request.complete(why.outcome(failure, delay));
            }
        }
        self.start_children(&mut state, false);
        drop(state);
        self.gone.notify_waiters();
        let (error, wait) = (&failure.error, humantime::format_duration(delay));
        let fate = match (why == FailedStart::Wrong, ended) {
            (true, 1) => "fails",
            (true, _) => "fail",
            (false, 1) => "is given back",
            (false, _) => "are given back",
        };
        self.warn(format!(
            "{error}; {} {fate}; the next start is in {wait} at the earliest",
            counted(ended, "job that waited for it", "jobs that waited for it")
        ));
    }

    /// Removes a child whose task was dropped with all its jobs, because its runtime shut down.
    pub(super) fn child_lost(&self, number: u64) {
        self.remove(&mut self.lock(), number, Gone::Died);
        self.gone.notify_waiters();
    }

    fn remove(&self, state: &mut PoolState, number: u64, why: Gone) -> ChildOrders {
        if state.child(number).is_some() {
            self.counted.ended(why);
        }
        state.remove(number)
    }

    pub(super) fn warn(&self, text: String) {
        self.bus.emit(Event::Warning { text });
    }

    /// Starts children for waiting jobs, and one more if a job arrived while `all_busy`.
    fn start_children(self: &Arc<Self>, state: &mut PoolState, all_busy: bool) {
        loop {
            let starting = state.children.iter().filter(|child| child.phase == ChildPhase::Starting);
            let (starting, coming) = starting.fold((0, 0), |(count, places), child| (count + 1, places + child.depth));
            let queued = state.waiting.len() + state.suspects.len();
            let wanted = if starting == 0 {
                queued > 0 || (all_busy && state.closing.is_none())
            } else {
                // After a failed start, only one child starts at a time.
                queued > coming && state.failures == 0
            };
            if !wanted || state.children.len() >= self.spec.processes {
                return;
            }
            let (Some(instance), Some(runtime)) = (state.instance.clone(), state.runtime.clone()) else { return };
            state.numbers += 1;
            let (number, notify) = (state.numbers, Arc::new(Notify::new()));
            self.counted.started();
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
