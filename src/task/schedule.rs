//! `[[schedule]]`: a task enqueued with arguments whenever a calendar says. ActionHero's job schedules.

use std::time::Duration;

use super::calendar::Calendar;
use crate::job::payload::encode_scheduled;
use crate::job::{Args, QueueName, TaskName};

/// What makes a task periodic.
#[derive(Debug, Clone, PartialEq)]
pub enum Cadence {
    /// `frequency`: this long after the run before was due; whole seconds, at least one.
    Every(Duration),
    /// `schedule`: whenever the calendar says.
    Calendar(Calendar),
}

/// One schedule of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSchedule {
    /// Who it is among all schedules of all instances: the task's name and what the file calls it, or a digest of
    /// what it says.
    pub id: String,
    /// When its jobs are enqueued.
    pub calendar: Calendar,
    /// Where to.
    pub queue: QueueName,
    /// With which arguments.
    pub args: Args,
    /// How late an occurrence may be that nobody was there for, in seconds; `None`: however late.
    pub missed_max_age_s: Option<u64>,
}

impl JobSchedule {
    /// The job of an occurrence (unix seconds).
    #[must_use]
    pub fn payload(&self, task: &TaskName, occurrence: i64) -> bytes::Bytes {
        encode_scheduled(task.as_str(), self.queue.as_str(), &self.args, &scheduled_at(occurrence))
    }
}

/// An occurrence as `scheduled_at` says it.
#[must_use]
pub fn scheduled_at(occurrence: i64) -> String {
    let time = chrono::DateTime::from_timestamp(occurrence, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
