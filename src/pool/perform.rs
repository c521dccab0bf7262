//! From a claim to a running handler.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::core::{Core, Finished};
use super::hooked::{Hooked, Performed};
use super::roster::{Job, Slot, State, urge};
use crate::event::kind::JobInfo;
use crate::event::{Event, EventKind};
use crate::handler::contract::{Begun, Done, Handler, Invocation, Keeper, Kept, Stop};
use crate::job::{Args, Failure, Outcome, PayloadView, TaskName, WorkerName};
use crate::plugin::chain::Chain;
use crate::plugin::hook::{HookPoint, HookPoints};
use crate::plugin::hooks::Hooks;
use crate::store::effect::Gate;
use crate::store::queueing::Claim;
use crate::supervise::scope::{contained, contained_future, message, named};

/// A claimed job, looked at.
pub(super) enum Readied {
    /// It cannot be performed; it fails with this.
    Refused(Box<Job>, Failure),
    /// It passes gates first.
    AtGates(Box<Job>, Vec<Gate>),
    /// It can begin.
    Ready(Box<Job>),
}

/// Looks at a claimed job: whose is it, and does anything stand before its run?
pub(super) fn ready(core: &Core, worker: &WorkerName, claim: Claim) -> Readied {
    let mut job = Box::new(Job {
        claim: claim.token,
        queue: claim.queue,
        payload: claim.payload,
        args: Bytes::from_static(b"[]"),
        identity: claim.identity,
        scheduled_at: None,
        known: None,
        held: Vec::new(),
        info: None,
        began: Instant::now(),
        limit: None,
    });
    let payload = job.payload.clone();
    let view = match PayloadView::parse(&payload) {
        Ok(view) => view,
        Err(bad) => {
            describe(core, worker, &mut job, crate::job::failure::UNPARSEABLE);
            return Readied::Refused(job, Failure::new("Error", bad.to_string()));
        }
    };
    job.args = match view.args() {
        Cow::Borrowed("[]") => Bytes::from_static(b"[]"),
        Cow::Borrowed(args) => payload.slice_ref(args.as_bytes()),
        Cow::Owned(args) => Bytes::from(args),
    };
    job.scheduled_at = view.scheduled_at.as_deref().map(Arc::from);
    describe(core, worker, &mut job, &view.class);
    let dispatch = core.dispatch.borrow();
    let Some((task, handler)) = dispatch.get(&view.class) else {
        core.unknown_class(&job);
        return Readied::Refused(job, Failure::unknown_class(&view.class));
    };
    job.known = Some((Arc::clone(task), Arc::clone(handler)));
    let chain = Chain::of(task);
    if !chain.has_gates() {
        return Readied::Ready(job);
    }
    match Args::of(&view) {
        Ok(args) => {
            job.held = chain.held_locks(&job.queue, &args);
            let gates = chain.gates(&job.queue, &args, &job.identity, core.clock.now_ms());
            Readied::AtGates(job, gates)
        }
        Err(bad) => Readied::Refused(job, Failure::new("Error", bad.to_string())),
    }
}

/// Builds what events say of the job, if anybody listens to them.
fn describe(core: &Core, worker: &WorkerName, job: &mut Job, class: &str) {
    let kinds = [EventKind::Job, EventKind::Success, EventKind::Failure, EventKind::ReEnqueue];
    if kinds.into_iter().any(|kind| core.bus.wants(kind)) {
        job.info = Some(Arc::new(JobInfo {
            worker: worker.clone(),
            queue: job.queue.clone(),
            class: TaskName::as_stored(class),
            args: job.args.clone(),
            id: Arc::clone(&job.identity.id),
        }));
    }
}

/// A run that began.
pub(super) enum Started {
    /// It is over.
    Ended(Outcome),
    /// It goes on, and will report to its lane.
    Running(Running),
}

/// Proof that something is under way which will report to the lane; only this file can make one.
pub(super) struct Running {
    kept: Option<Box<dyn Kept>>,
}

impl Running {
    /// Puts the job into its slot, where it stays until the report comes.
    pub(super) fn occupy(self, slot: &mut Slot, job: Box<Job>) {
        slot.kept = self.kept;
        slot.state = State::Running(job);
    }
}

/// Begins a job's run: on the handlers' runtime, or in its handler's keeping, where it does not end at once.
pub(super) fn begin(core: &Core, slot: &mut Slot, job: &mut Job) -> Started {
    let Some((task, handler)) = &job.known else {
        // Jobs of unknown classes are refused before this.
        return Started::Ended(Outcome::Failure(Failure::new("Error", "no handler is known for this job")));
    };
    if let Some(info) = job.info.as_ref().filter(|_| core.bus.wants(EventKind::Job)) {
        core.bus.emit(Event::Job { job: Arc::clone(info) });
    }
    job.began = Instant::now();
    if *slot.stop.borrow() != Stop::No {
        slot.stop.send_replace(Stop::No);
    }
    let invocation = Invocation {
        task: Arc::clone(task),
        queue: job.queue.clone(),
        args: job.args.clone(),
        scheduled_at: job.scheduled_at.clone(),
        identity: job.identity.clone(),
        claim: job.claim.clone(),
        instance: Arc::clone(&core.instance),
    };
    if Hooks::any(task, &core.plugins, HookPoints::PERFORM) {
        return begin_hooked(core, slot, Arc::clone(handler), invocation);
    }
    if let Some(keeper) = handler.keeper() {
        return match contained(|| begin_kept(core, slot, keeper, invocation)) {
            Ok(kept) => {
                job.limit =
                    task.timeout.map(|timeout| core.timeouts.watch(job.began + timeout, slot.number, &job.claim));
                Started::Running(Running { kept: Some(kept) })
            }
            Err(panic) => Started::Ended(Outcome::Failure(panicked(&*panic))),
        };
    }
    let stop = slot.stop.subscribe();
    match contained(|| handler.begin(invocation, stop)) {
        Ok(Begun::Ended(outcome)) => Started::Ended(outcome),
        Ok(Begun::Running(run)) => {
            let (number, claim, timeout) = (slot.number, job.claim.clone(), task.timeout);
            let (stop, grace) = (Arc::clone(&slot.stop), core.kill_grace.get());
            let report = core.finished[slot.lane()].clone();
            core.handlers.spawn(named("a job's run", async move {
                let performed = Performed::Ran(watched(run, &stop, timeout, grace).await);
                // A lane that is gone has nothing to settle any more.
                let _ = report.send(Finished { number, claim, performed });
            }));
            Started::Running(Running { kept: None })
        }
        Err(panic) => Started::Ended(Outcome::Failure(panicked(&*panic))),
    }
}

/// Begins a run that its handler keeps.
fn begin_kept(core: &Core, slot: &Slot, keeper: &dyn Keeper, invocation: Invocation) -> Box<dyn Kept> {
    let (number, claim) = (slot.number, invocation.claim.clone());
    let report = core.finished[slot.lane()].clone();
    let done = Done::new(move |outcome| {
        // A lane that is gone has nothing to settle any more.
        let _ = report.send(Finished { number, claim, performed: Performed::Ran(outcome) });
    });
    keeper.keep(invocation, done, &core.handlers)
}

/// Begins a run that the task's own plugins stand around: all of it is theirs and the handler's, off this thread.
fn begin_hooked(core: &Core, slot: &Slot, handler: Arc<dyn Handler>, invocation: Invocation) -> Started {
    let stop = slot.stop.subscribe();
    let hooks = match Hooks::of(&invocation.task, &core.plugins, HookPoint::BeforePerform, &core.bus) {
        Ok(hooks) => hooks,
        Err(missing) => return Started::Ended(Outcome::Failure(missing.failure())),
    };
    let (number, claim) = (slot.number, invocation.claim.clone());
    let report = core.finished[slot.lane()].clone();
    let hooked = Hooked { hooks, handler, invocation, grace: core.kill_grace.get() };
    core.handlers.spawn(named("a job's run with plugins", async move {
        let performed = hooked.perform(stop).await;
        // A lane that is gone has nothing to settle any more.
        let _ = report.send(Finished { number, claim, performed });
    }));
    Started::Running(Running { kept: None })
}

/// Awaits a run; stops it when it takes too long; turns a panic into a failure.
pub(super) async fn watched(
    run: BoxFuture<'_, Outcome>,
    stop: &watch::Sender<Stop>,
    timeout: Option<Duration>,
    grace: Duration,
) -> Outcome {
    let mut run = pin!(contained_future(run));
    let flatten = |ended: std::thread::Result<Outcome>| match ended {
        Ok(outcome) => outcome,
        Err(panic) => Outcome::Failure(panicked(&*panic)),
    };
    let Some(limit) = timeout else { return flatten(run.await) };
    if let Ok(ended) = tokio::time::timeout(limit, run.as_mut()).await {
        return flatten(ended);
    }
    urge(stop, Stop::Terminate);
    if tokio::time::timeout(grace, run.as_mut()).await.is_err() {
        urge(stop, Stop::Kill);
        let _ = run.await;
    }
    timed_out(limit)
}

/// What becomes of a run that took too long, whatever it says.
pub(super) fn timed_out(limit: Duration) -> Outcome {
    Outcome::Failure(Failure::new("Timeout", format!("timed out after {}", humantime::format_duration(limit))))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::new("Panic", format!("the handler panicked: {}", message(panic)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_takes_too_long_is_stopped_and_fails() {
        for (yields_to, wanted) in [(Stop::Terminate, Stop::Terminate), (Stop::Kill, Stop::Kill)] {
            let stop = watch::Sender::new(Stop::No);
            let mut told = stop.subscribe();
            let run = async move {
                told.wait_for(|now| *now >= yields_to).await.expect("the sender must live");
                Outcome::Success { result: None }
            };
            let seconds = Duration::from_secs;
            let outcome = watched(run.boxed(), &stop, Some(seconds(60)), seconds(5)).await;
            let Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
            assert_eq!((failure.exception.as_str(), failure.error.as_str()), ("Timeout", "timed out after 1m"));
            assert_eq!(*stop.borrow(), wanted);
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_the_job_alone() {
        let stop = watch::Sender::new(Stop::No);
        let outcome = watched(async { panic!("boom") }.boxed(), &stop, None, Duration::ZERO).await;
        assert!(matches!(outcome, Outcome::Failure(failure) if failure.error.ends_with("boom")));
    }
}
