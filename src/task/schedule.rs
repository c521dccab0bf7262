//! `[[schedule]]`: a task enqueued with arguments whenever a calendar says. ActionHero's job schedules.

use std::time::Duration;

use super::calendar::Calendar;
use crate::job::payload::encode_scheduled;
use crate::job::{Args, QueueName, TaskName};

/// When a periodic task runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Cadence {
    /// `frequency`: this long after the run before was due; whole seconds, at least one.
    Every(Duration),
    /// `schedule`: whenever the calendar says.
    Calendar(Calendar),
}

/// One schedule of a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobSchedule {
    /// The id, unique among all schedules of all instances: the name of the task with the name of the schedule, or with
    /// a digest of its settings.
    pub id: String,
    /// When its jobs are enqueued.
    pub calendar: Calendar,
    /// The queue of its jobs.
    pub queue: QueueName,
    /// The arguments of its jobs.
    pub args: Args,
    /// How late a missed occurrence may still be enqueued, in seconds; `None`: however late.
    pub missed_max_age_s: Option<u64>,
}

impl JobSchedule {
    /// The job of an occurrence (unix seconds).
    #[must_use]
    pub fn payload(&self, task: &TaskName, occurrence: i64) -> bytes::Bytes {
        encode_scheduled(task.as_str(), self.queue.as_str(), &self.args, &scheduled_at(occurrence))
    }
}

/// An occurrence in the format of `scheduled_at`.
#[must_use]
pub fn scheduled_at(occurrence: i64) -> String {
    let time = chrono::DateTime::from_timestamp(occurrence, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
