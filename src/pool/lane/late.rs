//! Claimed jobs that are not to begin now, and are put off uncounted: their task cannot begin here at present, or another job
//! that was cut off often runs.

use std::sync::Arc;
use std::time::Duration;

use super::LaneTask;
use crate::event::Event;
use crate::job::{Args, Failure, Outcome, PayloadView, TaskName, WorkerName};
use crate::plugin::ending::{self, Run};
use crate::pool::counted::{Afterwards, Counted};
use crate::pool::elsewhere::Whereabouts;
use crate::pool::holdups::{Cause, Fate, WITHOUT_END};
use crate::pool::slots::Job;
use crate::pool::{perform, report};
use crate::store::queueing::Claim;
use crate::task::TaskDefinition;

/// How long a job waits while the store is asked who has its task.
const LOOK_MS: u64 = 200;
/// How long a job that was cut off often waits for the one of that kind that runs.
const POISON_WAIT_MS: u64 = 5000;
/// What is added to the failure of a job that came after its task was withdrawn.
const WITHDRAWN: &str = "it was a periodic task until it was withdrawn, because no instance had it for 10 minutes; this job came \
                         later, so that it is no tick";
/// Failures of jobs that never began.
const NOT_BEGUN: [&str; 3] = ["ArgumentError", "SpawnError", "PluginSpawnError"];

impl LaneTask {
    /// Can no job of this one's task begin now?
    pub(super) fn is_held_up(&self, job: &Job) -> bool {
        job.task().is_some_and(|task| self.core.holdups.waits(&task.name))
    }

    /// Puts off a job whose task waits, without a try.
    pub(super) fn put_off_again(&mut self, number: usize, worker: &WorkerName, job: Job) {
        let wait = job.task().and_then(|task| self.core.holdups.wait(&task.name));
        // It holds no lock yet.
        self.put_off_by(number, worker, job, None, wait.unwrap_or(1));
    }

    /// A job of a class that no task here has.
    pub(super) fn unknown(&mut self, number: usize, worker: &WorkerName, job: Job, class: &TaskName) {
        let patience = self.core.settings.config().unknown;
        let (mut cause, mut why, mut patience) = (Cause::Unknown, String::new(), patience);
        let mut was_periodic = false;
        if self.core.settings.may_be_skipped(class) {
            (cause, patience) = (Cause::Skipped, WITHOUT_END);
        } else if !patience.is_zero() {
            match self.core.elsewhere.of(class, &job.queue) {
                None => return self.put_off_by(number, worker, job, None, LOOK_MS),
                Some(Whereabouts::Instance(label)) => (cause, why, patience) = (Cause::Elsewhere, label, WITHOUT_END),
                Some(Whereabouts::Undeclared) => {
                    (cause, patience) = (Cause::Undeclared, WITHOUT_END);
                    if is_like_a_tick(&job.payload) {
                        self.core.elsewhere.waits(class, &job.identity.id);
                    }
                }
                Some(Whereabouts::Withdrawn) if self.core.elsewhere.waited(class, &job.identity.id) => {
                    return self.drop_tick(number, worker, job, class);
                }
                Some(Whereabouts::Withdrawn) => was_periodic = true,
                Some(Whereabouts::Nowhere) => {}
            }
        }
        match self.hold_up(class, cause, &why, patience, Duration::ZERO) {
            Fate::Waits(ms) => self.put_off_by(number, worker, job, None, ms),
            Fate::Fails => {
                if let Some(advice) = self.core.holdups.unknown.count(&job.queue) {
                    self.core.warn(advice);
                }
                let mut failure = perform::unknown_class(&job.payload);
                if was_periodic {
                    failure = failure.with_backtrace(vec![WITHDRAWN.to_owned()]);
                }
                self.end(number, worker, job, Outcome::Failure(failure));
            }
        }
    }

    /// The tick of a periodic task that was withdrawn meanwhile, because no instance declares it. The withdrawal removes all
    /// that waits as this one did, and missed it while it was claimed.
    fn drop_tick(&mut self, number: usize, worker: &WorkerName, job: Job, class: &TaskName) {
        self.core.bus.emit(Event::Notice {
            text: format!(
                "dropped a tick of {:?}: the periodic task was withdrawn, because no instance has it",
                class.as_str()
            ),
        });
        let ending = ending::dropped();
        let counted = Some(Counted::new(&self.core, &job, ending.end, None));
        self.settle(number, worker, job, ending, Afterwards { untold: None, counted }, None);
    }

    /// A run is over: did it ever begin? One that did not is put off for as long as its task may wait, and then fails.
    pub(super) fn begun(
        &mut self,
        number: usize,
        worker: &WorkerName,
        job: Job,
        outcome: Outcome,
    ) -> Option<(Job, Outcome)> {
        let task = job.known.as_ref().map(|(task, _)| Arc::clone(task));
        let outcome = match (outcome, task) {
            (Outcome::Unstarted { failure, wait }, Some(task)) => {
                let patience = self.core.settings.config().unstarted;
                match self.hold_up(&task.name, Cause::Unstarted, &failure.error, patience, wait) {
                    Fate::Waits(ms) => {
                        let why = format!("put off, because it could not begin: {}", failure.error);
                        report::vetoed(&self.core.bus, &job, why);
                        self.put_off_by(number, worker, job, Some(&task), ms);
                        return None;
                    }
                    Fate::Fails => Outcome::Failure(failure),
                }
            }
            (outcome, Some(task)) if has_begun(&outcome) => {
                if let Some(news) = self.core.holdups.begun(&task.name, job.began) {
                    self.core.bus.emit(Event::Notice { text: news });
                }
                outcome
            }
            (outcome, _) => outcome,
        };
        Some((job, outcome))
    }

    fn hold_up(&self, task: &TaskName, cause: Cause, why: &str, patience: Duration, at_least: Duration) -> Fate {
        let (fate, news) = self.core.holdups.met(task, cause, why, patience, at_least);
        if let Some(news) = news {
            self.core.warn(news);
        }
        fate
    }

    /// Puts off a job that was cut off often, because another one of that kind runs here: if one of them ends this daemon,
    /// it must be known which.
    pub(super) fn put_off(&mut self, number: usize, worker: &WorkerName, claim: Claim) {
        let mut job = perform::unread(claim);
        let payload = job.payload.clone();
        perform::describe(&self.core, worker, &mut job, || perform::class_of(&payload));
        let why = "put off, because it was cut off often and another such job runs here";
        report::vetoed(&self.core.bus, &job, why.to_owned());
        self.put_off_by(number, worker, *job, None, POISON_WAIT_MS);
    }

    /// `holds`: its task, if it may hold locks.
    fn put_off_by(&mut self, number: usize, worker: &WorkerName, job: Job, holds: Option<&TaskDefinition>, ms: u64) {
        let run = Run { worker, queue: &job.queue, payload: &job.payload, identity: &job.identity, ms: None };
        let ending = ending::put_off(holds, run, ms);
        self.settle(number, worker, job, ending, Afterwards::default(), None);
    }
}

/// Has it the arguments that ticks have? No task here has its class, so that nothing more can be told.
fn is_like_a_tick(payload: &[u8]) -> bool {
    let args = PayloadView::parse(payload).ok().and_then(|view| Args::of(&view).ok());
    args.is_some_and(|args| args.are_periodic())
}

/// Does the time since the job began count as the duration of a run?
pub(super) fn may_have_run(job: &Job, outcome: &Outcome) -> bool {
    job.has_begun && (has_begun(outcome) || *outcome == Outcome::Interrupted)
}

/// Does this outcome show that the task's program was started?
fn has_begun(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Success { .. } | Outcome::Later { .. } | Outcome::Stopped { .. } | Outcome::Crashed(_) => true,
        Outcome::Cancelled { .. } => true,
        Outcome::Failure(Failure { exception, .. }) => !NOT_BEGUN.contains(&exception.as_str()),
        Outcome::Interrupted | Outcome::NotStarted(_) | Outcome::ClaimDoubted | Outcome::Unstarted { .. } => false,
    }
}
