//! From a claim to a running handler.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::core::{Core, Finished};
use super::hooked_run::{HookedRun, Performed};
use super::slots::{Job, Slot, Started};
use super::watched::{panicked, watched};
use crate::event::kind::{JobInfo, LONGEST_TEXT};
use crate::event::{Event, EventKind};
use crate::handler::contract::{Handler, Invocation, OutcomeSender, OwnedRun, RunOwner, StartedRun};
use crate::handler::lease_watch::LeaseWatch;
use crate::job::failure::UNPARSEABLE;
#[cfg(feature = "otel")]
use crate::job::trace::RunTrace;
use crate::job::{Args, ClaimToken, Failure, Outcome, PayloadView, TaskName, WorkerName};
use crate::plugin::chain::Chain;
use crate::plugin::hook::{HookPoint, HookPoints};
use crate::plugin::hooks::Hooks;
use crate::store::effect::Gate;
use crate::store::queueing::Claim;
use crate::supervise::scope::{contained, named};
use crate::task::inputs;
use crate::text::cut::cut;

/// A claimed job after it was read.
pub(super) enum PreparedJob {
    /// It cannot be performed; it fails with this.
    Refused(Box<Job>, Failure),
    /// No task here has its class.
    Unknown(Box<Job>, TaskName),
    /// It must pass gates first.
    AtGates(Box<Job>, Vec<Gate>),
    /// It can begin.
    Ready(Box<Job>),
}

/// A claimed job as it came.
pub(super) fn unread(claim: Claim) -> Box<Job> {
    Box::new(Job {
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
        cancelled_by: None,
        has_begun: false,
        limit: None,
    })
}

/// Reads a claimed job: finds its task, and the gates before its run.
pub(super) fn ready(core: &Core, worker: &WorkerName, claim: Claim) -> PreparedJob {
    let mut job = unread(claim);
    let payload = job.payload.clone();
    let view = match PayloadView::parse(&payload) {
        Ok(view) => view,
        Err(bad) => {
            describe(core, worker, &mut job, || TaskName::as_stored(UNPARSEABLE));
            return PreparedJob::Refused(job, Failure::new("Error", bad.to_string()));
        }
    };
    job.args = match view.args() {
        Cow::Borrowed("[]") => Bytes::from_static(b"[]"),
        Cow::Borrowed(args) => payload.slice_ref(args.as_bytes()),
        Cow::Owned(args) => Bytes::from(args),
    };
    job.scheduled_at = view.scheduled_at.as_deref().map(Arc::from);
    let dispatch = core.settings.dispatch();
    let found = dispatch.get(&view.class);
    describe(core, worker, &mut job, || match found {
        Some((task, _)) => task.name.clone(),
        // Any producer may have written it.
        None => TaskName::as_stored(&cut(&view.class, LONGEST_TEXT)),
    });
    let Some((task, handler)) = found else {
        return PreparedJob::Unknown(job, TaskName::as_stored(&cut(&view.class, LONGEST_TEXT)));
    };
    job.known = Some((Arc::clone(task), Arc::clone(handler)));
    let chain = Chain::of(task);
    if !chain.may_have_gates() {
        return PreparedJob::Ready(job);
    }
    match Args::of(&view) {
        Ok(args) => {
            job.held = chain.held_locks(&job.queue, &args);
            let gates = chain.gates(&job.queue, &args, &job.identity);
            // The job of a periodic task that is no tick may have none.
            if gates.is_empty() { PreparedJob::Ready(job) } else { PreparedJob::AtGates(job, gates) }
        }
        Err(bad) => PreparedJob::Refused(job, Failure::new("Error", bad.to_string())),
    }
}

/// The failure of a job whose class no task here has.
pub(super) fn unknown_class(payload: &[u8]) -> Failure {
    let view = PayloadView::parse(payload).ok();
    Failure::unknown_class(view.as_ref().map_or("", |view| &view.class))
}

/// The class of a job that is not performed now, as events show it.
pub(super) fn class_of(payload: &[u8]) -> TaskName {
    let view = PayloadView::parse(payload).ok();
    TaskName::as_stored(&cut(view.as_ref().map_or(UNPARSEABLE, |view| &view.class), LONGEST_TEXT))
}

/// Builds what events say of the job, if a listener wants them.
pub(super) fn describe(core: &Core, worker: &WorkerName, job: &mut Job, class: impl FnOnce() -> TaskName) {
    let kinds = [
        EventKind::Job,
        EventKind::Success,
        EventKind::Failure,
        EventKind::Retry,
        EventKind::Later,
        EventKind::ReEnqueue,
    ];
    if kinds.into_iter().any(|kind| core.bus.wants(kind)) {
        let (args, id) = (JobInfo::args_of(&job.args), Arc::clone(&job.identity.id));
        #[cfg_attr(not(feature = "otel"), expect(unused_mut, reason = "nothing is traced"))]
        let mut info = JobInfo::new(worker.clone(), job.queue.clone(), class(), args, id);
        #[cfg(feature = "otel")]
        if let Some(sampler) = core.settings.sampler() {
            let trace = RunTrace::begin(&job.identity, &job.claim, sampler, core.bus.now_ms());
            info.trace = Some(Arc::new(trace));
        }
        job.info = Some(Arc::new(info));
    }
}

/// Begins a job's run. One that does not end at once runs on the handlers' runtime, or its handler owns it.
pub(super) fn begin(core: &Core, slot: &Slot, job: &mut Job) -> Started {
    let Some((task, handler)) = &job.known else {
        // Jobs of unknown classes were refused before.
        return Started::Ended(Outcome::Failure(Failure::new("Error", "no handler is known for this job")));
    };
    if let Some(info) = job.info.as_ref().filter(|_| core.bus.wants(EventKind::Job)) {
        core.bus.emit(Event::Job { job: Arc::clone(info) });
    }
    job.began = Instant::now();
    job.has_begun = true;
    #[cfg(feature = "otel")]
    let trace = job.info.as_ref().and_then(|info| info.trace.clone());
    #[cfg(feature = "otel")]
    if let Some(trace) = &trace {
        trace.has_begun(core.bus.now_ms());
    }
    if job.identity.is_tracked() {
        // Who waits for it wants to see all of it, and it may be over before a wish comes.
        core.watches.heed(&job.claim, 0, core.bus.live());
    }
    let invocation = Invocation {
        task: Arc::clone(task),
        queue: job.queue.clone(),
        args: inputs::fill(&task.inputs, &job.args).unwrap_or_else(|| job.args.clone()),
        scheduled_at: job.scheduled_at.clone(),
        identity: job.identity.clone(),
        claim: job.claim.clone(),
        instance: Arc::clone(&core.instance),
        lease: core.lease.watch(),
        #[cfg(feature = "otel")]
        trace,
    };
    if Hooks::any(task, &core.plugins, HookPoints::PERFORM) {
        return begin_hooked(core, slot, Arc::clone(handler), invocation);
    }
    if let Some(owner) = handler.run_owner() {
        return match contained(|| start_owned(core, slot, owner, invocation)) {
            Ok(run) => {
                job.limit =
                    task.timeout.map(|timeout| core.timeouts.watch(job.began + timeout, slot.number(), &job.claim));
                Started::Running(Some(run))
            }
            Err(panic) => Started::Ended(Outcome::Failure(panicked(&*panic))),
        };
    }
    let stop = slot.stopper().subscribe();
    match contained(|| handler.begin(invocation, stop)) {
        Ok(StartedRun::Ended(outcome)) => Started::Ended(outcome),
        Ok(StartedRun::Running(run)) => {
            let (stop, timeout, grace) = (Arc::clone(slot.stopper()), task.timeout, core.settings.kill_grace());
            let report = reporter(core, slot, job.claim.clone());
            let run = async move { Performed::Ran(watched(run, &stop, timeout, grace).await) };
            let run = begun_in_time(core.lease.watch(), run);
            core.handlers.spawn(named("a job's run", async move { report(run.await) }));
            Started::Running(None)
        }
        Err(panic) => Started::Ended(Outcome::Failure(panicked(&*panic))),
    }
}

/// Starts a run that its handler manages.
fn start_owned(core: &Core, slot: &Slot, owner: &dyn RunOwner, invocation: Invocation) -> Box<dyn OwnedRun> {
    let report = reporter(core, slot, invocation.claim.clone());
    let outcome = OutcomeSender::new(move |outcome| report(Performed::Ran(outcome)));
    owner.start(invocation, outcome, &core.handlers)
}

/// Begins a run with plugins of the task's own before and after it. Plugins and handler run on the handlers' runtime.
fn begin_hooked(core: &Core, slot: &Slot, handler: Arc<dyn Handler>, invocation: Invocation) -> Started {
    let stop = slot.stopper().subscribe();
    let hooks = match Hooks::of(&invocation.task, &core.plugins, HookPoint::BeforePerform, &core.bus) {
        Ok(hooks) => hooks,
        Err(missing) => return Started::Ended(Outcome::Failure(missing.failure())),
    };
    let report = reporter(core, slot, invocation.claim.clone());
    let hooked = HookedRun { hooks, handler, invocation, grace: core.settings.kill_grace() };
    let run = begun_in_time(core.lease.watch(), hooked.perform(stop));
    core.handlers.spawn(named("a job's run with plugins", async move { report(run.await) }));
    Started::Running(None)
}

/// Reports the end of a run to the slot's lane.
fn reporter(core: &Core, slot: &Slot, claim: ClaimToken) -> impl FnOnce(Performed) + Send + 'static {
    let (number, lane) = (slot.number(), core.finished[slot.lane()].clone());
    move |performed| {
        // A lane that has ended has nothing to settle any more.
        let _ = lane.send(Finished { number, claim, performed });
    }
}

/// Awaits a run from its first step, unless it is too late for that: the process stood still between the claim and now, and
/// another instance may run the job by now.
async fn begun_in_time(lease: LeaseWatch, run: impl Future<Output = Performed>) -> Performed {
    if lease.may_have_lapsed() { Performed::Ran(Outcome::ClaimDoubted) } else { run.await }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::handler::lease_watch::WatchedLease;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_gets_its_first_turn_after_the_lease_does_not_begin() {
        for (late, expected) in [(false, Outcome::Interrupted), (true, Outcome::ClaimDoubted)] {
            let begun = std::cell::Cell::new(false);
            let lease = WatchedLease::new(Arc::new(ManualClock::at(0)), Duration::from_secs(1));
            let run = begun_in_time(lease.watch(), async {
                begun.set(true);
                Performed::Ran(Outcome::Interrupted)
            });
            tokio::time::advance(Duration::from_millis(if late { 1000 } else { 900 })).await;
            assert_eq!(run.await, Performed::Ran(expected));
            assert_eq!(begun.get(), !late);
        }
    }
}
