//! What ran: kept by minute, ten minutes and hour, for each task and for all together.
//!
//! Instances count by themselves and hand over what has been counted since with an extension of their lease
//! ([`Extend`](super::instance::Extend)), so that history costs no step of its own, and nothing while nothing runs. The store
//! adds it to the buckets of its own present. Old buckets end by themselves.
//!
//! A batch is counted once, however often it is sent: it has a sequence, and the store keeps the last one of each instance
//! for as long as the instance is registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::role::{Admin, arrow};
use crate::event::tally::{ALL, OTHER, is_reserved};
use crate::job::{RunCounts, TaskName};

/// How many tasks have counts of their own in a bucket. The rest count as [`OTHER`].
pub const MOST_TASKS: usize = 100;
/// How many buckets are read at once with all their tasks.
pub const MOST_BUCKETS: usize = 24;

/// The longest name of a task and the longest counts that are read of a bucket, in bytes.
pub(super) const LONGEST_NAME: usize = 512;
/// See [`LONGEST_NAME`].
pub(super) const LONGEST_COUNTS: usize = 4096;

/// Adds up what ran of tasks in several buckets. In each bucket so many tasks have counts of their own as there is room for,
/// no matter who wrote it; the rest count as [`OTHER`].
#[derive(Debug, Default)]
pub(super) struct TaskSums {
    tasks: BTreeMap<TaskName, RunCounts>,
    in_bucket: usize,
}

impl TaskSums {
    /// What is added from here on stands in another bucket.
    pub(super) fn next_bucket(&mut self) {
        self.in_bucket = 0;
    }

    /// Adds what ran of a task.
    pub(super) fn add(&mut self, task: TaskName, counts: &RunCounts) {
        let has_room = is_reserved(task.as_str()) || self.in_bucket < MOST_TASKS;
        self.in_bucket += usize::from(!is_reserved(task.as_str()));
        let task = if has_room { task } else { TaskName::as_stored(OTHER) };
        self.tasks.entry(task).or_default().add(counts);
    }

    /// The sums in the order of the tasks' names.
    pub(super) fn into_tasks(self) -> Vec<(TaskName, RunCounts)> {
        self.tasks.into_iter().collect()
    }
}

/// What ran since the last batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Grows from batch to batch of an instance, from 1.
    pub sequence: u64,
    /// The counts of each task; each task once.
    pub tasks: Arc<[(TaskName, RunCounts)]>,
}

impl Ran {
    /// All tasks together.
    pub(super) fn all(&self) -> (TaskName, RunCounts) {
        let mut all = RunCounts::default();
        self.tasks.iter().for_each(|(_, counts)| all.add(counts));
        (TaskName::as_stored(ALL), all)
    }
}

/// How long a bucket of history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HistoryStep {
    /// One minute, kept for three hours.
    Minute,
    /// Ten minutes, kept for three days.
    TenMinutes,
    /// One hour, kept for thirty days.
    Hour,
}

impl HistoryStep {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::TenMinutes, Self::Hour];

    /// How many minutes a bucket is long.
    #[must_use]
    pub fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::TenMinutes => 10,
            Self::Hour => 60,
        }
    }

    /// For how many minutes a bucket is kept after its end.
    #[must_use]
    pub fn kept_minutes(self) -> i64 {
        match self {
            Self::Minute => 3 * 60,
            Self::TenMinutes => 3 * 24 * 60,
            Self::Hour => 30 * 24 * 60,
        }
    }

    /// The minute, counted from the Unix epoch, at which the bucket of a time begins.
    #[must_use]
    pub fn bucket_at(self, now_ms: i64) -> i64 {
        now_ms.div_euclid(60_000).div_euclid(self.minutes()) * self.minutes()
    }
}

/// A row of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// How long each is.
    pub step: HistoryStep,
    /// The minute, counted from the Unix epoch, at which the first one begins.
    pub from: i64,
    /// How many there are.
    pub count: usize,
}

impl Buckets {
    /// The minutes at which they begin.
    pub fn begins(self) -> impl Iterator<Item = i64> {
        let at =
            move |n| self.from.saturating_add(i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(self.step.minutes()));
        (0..self.count).map(at)
    }

    /// As many as are read at once with all their tasks.
    pub(super) fn bounded(self) -> Self {
        Self { count: self.count.min(MOST_BUCKETS), ..self }
    }
}

/// What ran of one task, or of [all](ALL): the counts of each bucket in which something did, with the minute at which it
/// begins, the earliest first. Counts that cannot be read are passed over.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadHistory {
    /// The task.
    pub task: TaskName,
    /// Which buckets.
    pub buckets: Buckets,
}

arrow!(ReadHistory, "history", Reads -> Vec<(i64, RunCounts)>; Admin);

/// What ran of each task in some buckets together, at most the first [`MOST_BUCKETS`] of them, in the order of the tasks'
/// names. Counts that cannot be read are passed over.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadTaskHistory {
    /// Which buckets.
    pub buckets: Buckets,
}

arrow!(ReadTaskHistory, "task_history", Reads -> Vec<(TaskName, RunCounts)>; Admin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_at_a_whole_step() {
        let at = |now_ms| HistoryStep::ALL.map(|step| step.bucket_at(now_ms));
        assert_eq!(at(0), [0, 0, 0]);
        assert_eq!(at(79 * 60_000 + 59_999), [79, 70, 60]);
        assert_eq!(at(-1), [-1, -10, -60]);
        let buckets = Buckets { step: HistoryStep::TenMinutes, from: 70, count: 3 };
        assert_eq!(buckets.begins().collect::<Vec<_>>(), [70, 80, 90]);
    }
}
