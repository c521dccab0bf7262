//! What ran within the last hour, day or month: in time, or task by task.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::AdminError;
use super::known::not_found;
use crate::client::moment::Moment;
use crate::event::tally::{ALL, OTHER, is_reserved};
use crate::job::run_counts::{DURATION_BOUNDS_MS, Percentile};
use crate::job::{RunCounts, RunEnd, TaskName};
use crate::store::handle::Store;
use crate::store::history::{Buckets, HistoryStep, MOST_BUCKETS, ReadHistory, ReadTaskHistory};
use crate::store::role::Admin;
use crate::store::scheduling::ReadTime;
use crate::task::definition::Registry;

/// How many tasks are told of one by one; the rest count as [`OTHER`].
const MOST_TOLD: usize = 1000;

/// How far back to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Thirty days.
    Month,
}

impl Window {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Month => "30d",
        }
    }

    fn minutes(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 24 * 60,
            Self::Month => 30 * 24 * 60,
        }
    }

    /// The buckets of this window up to the present one, which is not over. The first one may begin before the window.
    fn buckets(self, step: HistoryStep, now_ms: i64) -> Buckets {
        let from = step.bucket_at(now_ms.saturating_sub(self.minutes() * 60_000));
        let steps = (step.bucket_at(now_ms) - from) / step.minutes() + 1;
        Buckets { step, from, count: usize::try_from(steps).unwrap_or(0) }
    }
}

/// What ran, in time.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct HistoryView {
    /// The task, or `_all`.
    pub task: String,
    /// How far back this goes, as it is written.
    pub window: &'static str,
    /// How long a time is, in seconds.
    pub step_s: i64,
    /// When the first one begins: RFC 3339.
    pub from: String,
    /// The same in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// All of them together.
    pub total: CountsView,
    /// The times in which something ran, the earliest first.
    pub times: Vec<TimeCounts>,
}

/// What ran in a time.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TimeCounts {
    /// When it begins: RFC 3339.
    pub at: String,
    /// The same in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What ran.
    #[serde(flatten)]
    pub counts: CountsView,
}

/// What ran, task by task.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TaskHistoryView {
    /// How far back this goes, as it is written.
    pub window: &'static str,
    /// From when on: RFC 3339.
    pub from: String,
    /// The same in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// All tasks together.
    pub total: CountsView,
    /// The tasks of which something ran, by name. `_other` are those for which there was no room, `_unknown` classes that no
    /// task has.
    pub tasks: Vec<TaskCounts>,
}

/// What ran of a task.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TaskCounts {
    /// The task.
    pub task: String,
    /// What ran.
    #[serde(flatten)]
    pub counts: CountsView,
}

/// How jobs ended, and how long their runs took.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CountsView {
    /// Jobs that were done.
    pub done: u64,
    /// Jobs that went to the failed list.
    pub failed: u64,
    /// Runs that failed and are repeated.
    pub retried: u64,
    /// Runs that their handlers put off.
    pub later: u64,
    /// Runs that were cut off and are repeated.
    pub cut_off: u64,
    /// Jobs that somebody cancelled.
    pub cancelled: u64,
    /// Jobs that a plugin of their task refused.
    pub vetoed: u64,
    /// Jobs that a rule of their task dropped.
    pub dropped: u64,
    /// The share of failed runs, repeated or not, among those that were done or failed, from 0 to 1. `None` if there were
    /// none.
    pub failure_rate: Option<f64>,
    /// The mean duration of a run in milliseconds. `None` if nothing ran.
    pub mean_ms: Option<u64>,
    /// Half of the runs took at most so many milliseconds. `None` if that is longer than the last bound, or if nothing ran.
    pub p50_ms: Option<u64>,
    /// The same of 95 of 100 runs.
    pub p95_ms: Option<u64>,
    /// How many runs took how long, the shortest first, without those of which there were none.
    pub durations: Vec<DurationCount>,
    #[serde(skip)]
    counts: RunCounts,
}

/// How many runs took at most so long, and longer than the bound before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DurationCount {
    /// In milliseconds; `None`: longer than the last bound.
    pub at_most_ms: Option<u64>,
    /// How many.
    pub runs: u64,
}

impl CountsView {
    /// How these runs went.
    #[must_use]
    pub fn of(counts: RunCounts) -> Self {
        let bound = |percent| match counts.percentile(percent) {
            Some(Percentile::AtMost(ms)) => Some(ms),
            Some(Percentile::Longer) | None => None,
        };
        let bounds = DURATION_BOUNDS_MS.into_iter().map(Some).chain([None]);
        let durations = bounds.zip(*counts.durations()).filter(|(_, runs)| *runs > 0);
        Self {
            done: counts.of(RunEnd::Done),
            failed: counts.of(RunEnd::Failed),
            retried: counts.of(RunEnd::Retried),
            later: counts.of(RunEnd::Later),
            cut_off: counts.of(RunEnd::CutOff),
            cancelled: counts.of(RunEnd::Cancelled),
            vetoed: counts.of(RunEnd::Vetoed),
            dropped: counts.of(RunEnd::Dropped),
            failure_rate: counts.failure_rate(),
            mean_ms: counts.mean_ms(),
            p50_ms: bound(50),
            p95_ms: bound(95),
            durations: durations.map(|(at_most_ms, runs)| DurationCount { at_most_ms, runs }).collect(),
            counts,
        }
    }

    /// How long so many of 100 runs took at most.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Percentile> {
        self.counts.percentile(percent)
    }
}

/// Reads what ran in time: of one task, or of all of them.
///
/// # Errors
/// A task of which nothing ran and that no file defines; failures of the store.
pub async fn in_time(
    store: &Store<Admin>,
    registry: &Registry,
    task: Option<&str>,
    window: Window,
) -> Result<HistoryView, AdminError> {
    let step = match window {
        Window::Hour => HistoryStep::Minute,
        Window::Day => HistoryStep::TenMinutes,
        Window::Month => HistoryStep::Hour,
    };
    let buckets = window.buckets(step, store.run(ReadTime).await?);
    let name = TaskName::as_stored(task.unwrap_or(ALL));
    let history = store.run(ReadHistory { task: name.clone(), buckets }).await?;
    if let Some(task) = task.filter(|task| history.is_empty() && registry.get(task).is_none()) {
        return Err(not_found(registry, task));
    }
    let times = history.iter().map(|(minute, counts)| TimeCounts::of(*minute, counts.clone()));
    Ok(HistoryView {
        task: name.to_string(),
        window: window.as_str(),
        step_s: step.minutes() * 60,
        from: begin(buckets.from).rfc3339(),
        from_ms: begin(buckets.from).ms(),
        total: total(history.iter().map(|(_, counts)| counts)),
        times: times.collect(),
    })
}

/// Reads what ran task by task: of one task, or of all of them.
///
/// # Errors
/// A task of which nothing ran and that no file defines; failures of the store.
pub async fn by_task(
    store: &Store<Admin>,
    registry: &Registry,
    task: Option<&str>,
    window: Window,
) -> Result<TaskHistoryView, AdminError> {
    // Coarser than in time, because each bucket is read with all its tasks.
    let step = if window == Window::Hour { HistoryStep::TenMinutes } else { HistoryStep::Hour };
    let buckets = window.buckets(step, store.run(ReadTime).await?);
    let mut tasks = BTreeMap::<TaskName, RunCounts>::new();
    let mut begins = buckets.begins();
    while let Some(from) = begins.next() {
        // As many as one step reads.
        let count = begins.by_ref().take(MOST_BUCKETS - 1).count() + 1;
        for (name, counts) in store.run(ReadTaskHistory { buckets: Buckets { from, count, step } }).await? {
            if task.is_some_and(|task| name.as_str() != task) {
                continue;
            }
            // Other programs may have written other names into each bucket.
            let has_room = tasks.len() < MOST_TOLD || tasks.contains_key(&name) || is_reserved(name.as_str());
            let name = if has_room { name } else { TaskName::as_stored(OTHER) };
            tasks.entry(name).or_default().add(&counts);
        }
    }
    let all = tasks.remove(ALL);
    if let Some(task) = task
        && tasks.is_empty()
        && registry.get(task).is_none()
    {
        return Err(not_found(registry, task));
    }
    let total = match all {
        Some(all) if task.is_none() => CountsView::of(all),
        _ => total(tasks.values()),
    };
    let tasks =
        tasks.into_iter().map(|(task, counts)| TaskCounts { task: task.to_string(), counts: CountsView::of(counts) });
    Ok(TaskHistoryView {
        window: window.as_str(),
        from: begin(buckets.from).rfc3339(),
        from_ms: begin(buckets.from).ms(),
        total,
        tasks: tasks.collect(),
    })
}

/// What ran of each task in the last minutes, the present one included.
pub(super) async fn last_minutes(
    store: &Store<Admin>,
    now_ms: i64,
    minutes: usize,
) -> Result<Vec<(TaskName, RunCounts)>, AdminError> {
    let step = HistoryStep::Minute;
    let back = i64::try_from(minutes).unwrap_or(i64::MAX).saturating_mul(step.minutes());
    let buckets = Buckets { step, from: step.bucket_at(now_ms).saturating_sub(back), count: minutes + 1 };
    let mut tasks = store.run(ReadTaskHistory { buckets }).await?;
    tasks.retain(|(task, _)| task.as_str() != ALL);
    Ok(tasks)
}

impl HistoryView {
    /// The same in longer times, of so many minutes.
    #[must_use]
    pub fn coarser(&self, minutes: i64) -> Vec<TimeCounts> {
        let mut times = BTreeMap::<i64, RunCounts>::new();
        for time in &self.times {
            let minute = (time.at_ms / 60_000).div_euclid(minutes) * minutes;
            times.entry(minute).or_default().add(&time.counts.counts);
        }
        times.into_iter().map(|(minute, counts)| TimeCounts::of(minute, counts)).collect()
    }
}

impl TimeCounts {
    fn of(minute: i64, counts: RunCounts) -> Self {
        let at = begin(minute);
        Self { at: at.rfc3339(), at_ms: at.ms(), counts: CountsView::of(counts) }
    }
}

fn total<'a>(parts: impl Iterator<Item = &'a RunCounts>) -> CountsView {
    let mut total = RunCounts::default();
    parts.for_each(|counts| total.add(counts));
    CountsView::of(total)
}

fn begin(minute: i64) -> Moment {
    Moment::of_second(minute.saturating_mul(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_covered_by_a_bounded_number_of_buckets() {
        let now_ms = 1_800_000_000_000 + 59 * 60_000 + 7;
        for (window, step, most) in [
            (Window::Hour, HistoryStep::Minute, 61),
            (Window::Hour, HistoryStep::TenMinutes, 7),
            (Window::Day, HistoryStep::TenMinutes, 145),
            (Window::Day, HistoryStep::Hour, 25),
            (Window::Month, HistoryStep::Hour, 721),
        ] {
            let buckets = window.buckets(step, now_ms);
            assert_eq!(buckets.count, most, "{window:?} {step:?}");
            let last = buckets.begins().last().unwrap();
            assert!(buckets.from * 60_000 <= now_ms - window.minutes() * 60_000);
            assert!(last * 60_000 <= now_ms && now_ms < (last + step.minutes()) * 60_000);
        }
    }

    #[test]
    fn a_view_tells_what_was_counted() {
        let mut counts = RunCounts::default();
        (0..9).for_each(|_| counts.count(RunEnd::Done, Some(4)));
        counts.count(RunEnd::Failed, Some(3_000_000));
        let view = CountsView::of(counts);
        assert_eq!((view.done, view.failed, view.failure_rate), (9, 1, Some(0.1)));
        assert_eq!((view.p50_ms, view.p95_ms, view.percentile(95)), (Some(5), None, Some(Percentile::Longer)));
        let durations = [(Some(5), 9), (None, 1)].map(|(at_most_ms, runs)| DurationCount { at_most_ms, runs });
        assert_eq!(view.durations, durations);
    }
}
