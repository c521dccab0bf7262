//! Finished runs that are kept: written in the step that ends a claim, read by people.
//!
//! A list holds the last runs of one task, or of one of its `[[schedule]]` entries. It has a bound, and a lapse that each
//! run renews, so that it goes by itself when its task is gone.

use super::role::{Admin, arrow};
use super::unreadable::Unreadable;
use crate::job::{Failure, FinishedRun, RunOutcome, TaskName};

/// Why something in a list of runs is passed over.
pub(super) const NO_RECORD: &str = "no run with an outcome and a time, or too long";

/// Whose runs are kept together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunList {
    /// A task's.
    Task(TaskName),
    /// Those of the jobs that a `[[schedule]]` enqueued, by its id. Each has a list of its own, because one that comes every
    /// minute would push out the runs of one that comes once a night.
    Schedule(String),
}

impl RunList {
    /// The name of the task or the id of the schedule.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Task(task) => task.as_str(),
            Self::Schedule(id) => id,
        }
    }
}

/// A run to be kept. What is refused of it stops nothing: the end of a claim is recorded without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepRun {
    /// Where.
    pub list: RunList,
    /// How many are kept there: older ones go.
    pub most: u16,
    /// How many seconds the list stays without another run.
    pub lasts_s: u64,
    /// The run. If the store decides that it is tried again, its outcome is [`Retried`](crate::job::RunOutcome::Retried).
    pub run: FinishedRun,
}

impl KeepRun {
    /// The job fails with this in place of what was to become of it.
    pub fn fail(&mut self, failure: &Failure) {
        self.run.outcome = RunOutcome::Failed;
        self.run.error = Some(failure.to_string());
    }
}

/// The last runs of some lists, in order; of each at most `last`, the newest first. What stands there and is no record is
/// passed over.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadRuns {
    /// The lists.
    pub lists: Vec<RunList>,
    /// The largest number of runs of each.
    pub last: usize,
}

arrow!(ReadRuns, "read_runs", Reads -> Vec<KeptRuns>; Admin);

/// The runs of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptRuns {
    /// The runs, the newest first.
    pub runs: Vec<FinishedRun>,
    /// What was passed over, if anything was.
    pub unreadable: Option<Unreadable>,
}
