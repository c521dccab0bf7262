//! How jobs that end here are counted: once the store has decided what becomes of them, and not if their claims were lost.

use std::sync::Arc;

use super::core::Core;
use super::report::Untold;
use super::slots::Job;
use crate::event::tally::Series;
use crate::job::RunEnd;
use crate::store::effect::Verdict;

/// A job was dropped at its gates.
pub(super) fn dropped(core: &Core, job: &Job) {
    Counted::new(core, job, RunEnd::Dropped, None).series.count(RunEnd::Dropped, None);
}

/// What is told and counted of a job when the store has taken its end.
pub(super) type Afterwards = (Option<Box<Untold>>, Option<Counted>);

/// A job that is to be counted when the store has taken its end.
pub(super) struct Counted {
    series: Arc<Series>,
    /// What became of it, where the verdict does not say.
    otherwise: RunEnd,
    /// What it is called if it goes to the failed list.
    failure: RunEnd,
    /// How long its run took in milliseconds, if it ran.
    ran_ms: Option<u64>,
}

impl Counted {
    pub(super) fn new(core: &Core, job: &Job, otherwise: RunEnd, ran_ms: Option<u64>) -> Self {
        let series = core.counter.series(job.task().map(|task| &task.name), &job.queue);
        Self { series, otherwise, failure: RunEnd::Failed, ran_ms }
    }

    /// Somebody cancelled it.
    pub(super) fn cancelled(self) -> Self {
        Self { failure: RunEnd::Cancelled, ..self }
    }

    /// The store took this verdict. `repeated`: the job failed and runs again.
    pub(super) fn count(&self, verdict: &Verdict, repeated: bool) {
        let end = match verdict {
            Verdict::Done | Verdict::DoneAtLast { .. } => RunEnd::Done,
            Verdict::Failed { .. } => self.failure,
            Verdict::Attempted(_) if repeated => RunEnd::Retried,
            // Noop takes the failure for done.
            Verdict::Attempted(retry) if retry.last.is_none() => RunEnd::Done,
            Verdict::Attempted(_) => self.failure,
            Verdict::Delayed { .. } | Verdict::Requeued { .. } | Verdict::Vetoed { .. } => self.otherwise,
        };
        self.series.count(end, self.ran_ms);
    }
}
