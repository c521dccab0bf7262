//! Decides what happens to the job of a working record whose owner is dead.

use std::sync::Arc;

use super::ending::{CrashPolicy, Ending, Run, ending, release};
use super::kept_run::{EndedRun, LastWords};
use crate::config::element::crash_policy::OnCrash;
use crate::event::kind::{JobInfo, LONGEST_TEXT};
use crate::job::failure::UNPARSEABLE;
use crate::job::{Failure, Identity, Outcome, PayloadView, QueueName, RunEnd, TaskName, WorkerName};
use crate::store::effect::Verdict;
use crate::store::wishes::{Wish, canceller};
use crate::store::workers::Recovery;
use crate::store::working::WorkingRecord;
use crate::task::TaskDefinition;
use crate::text::cut::cut;

/// The queue of a record without one.
const NO_QUEUE: &str = "default";

/// What happens to a cut-off job, and what to report about it.
#[derive(Debug, Clone)]
pub(crate) struct CutOff {
    /// For the store.
    pub recovery: Recovery,
    /// The job, for events.
    pub job: Arc<JobInfo>,
    /// Its task, if it is known here.
    pub task: Option<TaskName>,
    /// The failure, if it goes to the failed list.
    pub failure: Option<Failure>,
    /// How it is counted once it is recovered. How long the run took nobody knows.
    pub end: RunEnd,
    /// The reason, as text.
    pub why: String,
}

impl CutOff {
    /// The job fails with this in place of what was to become of it.
    pub(crate) fn fail(&mut self, failure: Failure, now_ms: i64) {
        let Recovery { record, queue, payload, verdict, run, .. } = &mut self.recovery;
        let record = failure.record(record.worker.name(), queue.as_str(), payload, now_ms);
        *verdict = Verdict::Failed { record };
        if let Some(run) = run {
            run.fail(&failure);
        }
        (self.end, self.failure) = (RunEnd::Failed, Some(failure));
    }
}

/// What ended the owner of a run?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame<'a> {
    /// It does not matter: this run was to end anyway, because this person had cancelled it.
    Cancelled(&'a str),
    /// Perhaps this run, which fails if it was cut off too often.
    Possible,
    /// Another run ([`poison`](super::poison)), so that this one does not fail for it.
    Another,
}

impl<'a> Blame<'a> {
    /// This, unless somebody had cancelled the run of this record.
    pub(crate) fn or_cancelled(self, wishes: &'a [Wish], record: &WorkingRecord) -> Self {
        let claim = record.claim.as_ref();
        claim.and_then(|claim| canceller(wishes, claim)).map_or(self, Self::Cancelled)
    }
}

/// The job of a record, for events.
pub(crate) fn job_of(
    worker: &WorkerName,
    queue: &QueueName,
    view: Option<&PayloadView<'_>>,
    id: &Arc<str>,
) -> Arc<JobInfo> {
    let class = TaskName::as_stored(&cut(view.map_or(UNPARSEABLE, |view| &view.class), LONGEST_TEXT));
    let args = view.map(|view| JobInfo::args_of(view.args().as_bytes())).unwrap_or_default();
    Arc::new(JobInfo::new(worker.clone(), queue.clone(), class, args, Arc::clone(id)))
}

/// Treats a record as a run that was cut off. `instance` is its dead owner with the counter at which it was seen dead;
/// `find` finds the task of a class.
pub(crate) fn cut_off<'a>(
    record: WorkingRecord,
    instance: Option<(String, u64)>,
    find: impl Fn(&str) -> Option<&'a TaskDefinition>,
    policy: CrashPolicy,
    blame: Blame<'_>,
    now_ms: i64,
) -> CutOff {
    let worker = record.worker.clone();
    let queue = record.queue.clone().unwrap_or_else(|| QueueName::as_stored(NO_QUEUE));
    let payload = record.payload.clone().unwrap_or_else(|| record.raw.clone());
    let identity = record.identity.clone().unwrap_or_else(|| Identity {
        id: worker.id().into(),
        attempt: 1,
        redelivered: 0,
        later: 0,
    });
    let view = PayloadView::parse(&payload).ok();
    let task = view.as_ref().and_then(|view| find(&view.class));
    let job = job_of(&worker, &queue, view.as_ref(), &identity.id);
    let run = Run { worker: &worker, queue: &queue, payload: &payload, identity: &identity, ms: None };
    let requeues = task.and_then(|task| task.on_crash).unwrap_or(policy.on_crash) == OnCrash::Requeue;
    let spared = blame == Blame::Another && requeues;
    // It is counted all the same, because its handler must be told that it may have run before.
    let again = identity.redelivered();
    let ending = if spared {
        release(task, Run { identity: &again, ..run })
    } else {
        let outcome = match blame {
            Blame::Cancelled(by) => Outcome::Cancelled { by: by.to_owned(), tail: Vec::new() },
            Blame::Possible | Blame::Another => Outcome::Interrupted,
        };
        ending(task, policy, run, outcome, now_ms)
    };
    let scheduled_at = view.as_ref().and_then(|view| view.scheduled_at.as_deref());
    let ended = EndedRun::of_record(&record, (&queue, &payload), scheduled_at, now_ms);
    let words = LastWords { why: Some("the run was cut off: its worker is gone".to_owned()), ..LastWords::default() };
    let kept = ended.kept(task, &ending, words);
    let Ending { verdict, free, tick, failure, end } = ending;
    let why = match &verdict {
        Verdict::Requeued { identity } => {
            let beside = if spared { ", beside a job that was cut off often" } else { "" };
            format!("its worker is gone; redelivery {}{beside}", identity.redelivered)
        }
        _ => "its worker is gone".to_owned(),
    };
    let task = task.map(|task| task.name.clone());
    CutOff {
        recovery: Recovery { instance, record, queue, payload, verdict, free, tick, run: kept },
        job,
        task,
        failure,
        end,
        why,
    }
}
