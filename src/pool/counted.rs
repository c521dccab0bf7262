//! How jobs that end here are counted: once the store has decided what becomes of them, and not if their claims were lost.

use std::sync::Arc;

use super::core::Core;
use super::report::Untold;
use super::slots::Job;
use crate::event::tally::Series;
use crate::job::RunEnd;

/// A job was dropped at its gates.
pub(super) fn dropped(core: &Core, job: &Job) {
    core.counter.count(job.task().map(|task| &task.name), &job.queue, RunEnd::Dropped, None);
}

/// What is told and counted of a job when the store has taken its end.
#[derive(Default)]
pub(super) struct Afterwards {
    pub(super) untold: Option<Box<Untold>>,
    pub(super) counted: Option<Counted>,
}

/// A job that is to be counted when the store has taken its end.
pub(super) struct Counted {
    series: Arc<Series>,
    /// What becomes of it, unless it is tried again.
    end: RunEnd,
    /// How long its run took in milliseconds, if it ran.
    ran_ms: Option<u64>,
}

impl Counted {
    pub(super) fn new(core: &Core, job: &Job, end: RunEnd, ran_ms: Option<u64>) -> Self {
        let series = core.counter.series(job.task().map(|task| &task.name), &job.queue);
        Self { series, end, ran_ms }
    }

    /// It fails in place of what was to become of it.
    pub(super) fn fail(&mut self) {
        self.end = RunEnd::Failed;
    }

    /// The store took its end. `repeated`: it failed and runs again.
    pub(super) fn count(&self, repeated: bool) {
        self.series.count(if repeated { RunEnd::Retried } else { self.end }, self.ran_ms);
    }
}
