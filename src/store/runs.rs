//! Finished runs that are kept: written in the step that ends a claim, read by people.
//!
//! A list holds the last runs of one task, or of one of its `[[schedule]]` entries. It has a bound, and a lapse that each
//! run renews, so that it goes by itself when its task is gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::{Admin, arrow};
use super::unreadable::Unreadable;
use crate::job::{Failure, FinishedRun, KeptResult, RunOutcome, TaskName};

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
    /// How many are kept there: older ones go. 0: the run is not kept there.
    pub most: u16,
    /// How many seconds the list stays without another run.
    pub lasts_s: u64,
    /// The run. If the store decides that it is tried again, its outcome is [`Retried`](crate::job::RunOutcome::Retried).
    pub run: FinishedRun,
    /// What its job led to, if that is kept. Nothing is kept of a run after which the job runs again.
    pub result: Option<KeepResult>,
}

/// What a job led to, to be kept under its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepResult {
    /// The id of the job.
    pub job: String,
    /// For how many seconds it is kept.
    pub lasts_s: u64,
    /// What its handler gave back.
    pub result: Option<String>,
}

/// Does a job run again after such an end?
pub(super) fn runs_again(outcome: &RunOutcome) -> bool {
    matches!(outcome, RunOutcome::Retried | RunOutcome::Later | RunOutcome::CutOff)
}

impl KeepRun {
    /// The job fails with this in place of what was to become of it.
    pub fn fail(&mut self, failure: &Failure) {
        self.run.outcome = RunOutcome::Failed;
        self.run.error = Some(failure.to_string());
        if let Some(kept) = &mut self.result {
            kept.result = None;
        }
    }
}

/// What is known of a job by its id.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct FindJob {
    /// Its id.
    pub id: String,
}

arrow!(FindJob, "find_job", Reads -> FoundJob; Admin);

/// What is known of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundJob {
    /// What its producer tracks, if that was not long ago.
    pub tracked: Option<TrackedJob>,
    /// What it led to, if that is kept.
    pub result: Option<KeptResult>,
}

/// What was put on a queue under an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedJob {
    /// The queue.
    pub queue: String,
    /// The class.
    pub class: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// For how long is known that a job is tracked, and what it led to if its task does not say otherwise.
pub const TRACKED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// The longest record of a tracked job.
pub(super) const LONGEST_TRACKED: usize = 2048;

impl TrackedJob {
    /// The record.
    #[must_use]
    pub(super) fn encode(&self) -> Vec<u8> {
        // It holds texts and a number.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record.
    #[must_use]
    pub(super) fn parse(record: &[u8]) -> Option<Self> {
        let is_object = record.len() <= LONGEST_TRACKED && record.first() == Some(&b'{');
        serde_json::from_slice(record).ok().filter(|_| is_object)
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
