//! Finished runs that are kept: how the last one went, and those before it.

use serde::Serialize;

use super::error::AdminError;
use super::known::not_found;
use crate::client::moment::Moment;
use crate::job::{FinishedRun, TaskName};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::runs::{KeptRuns, ReadRuns, RunList};
use crate::task::definition::Registry;

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct PastRunView {
    /// What it led to: `done`, `failed`, `retried` (it failed, and is tried again), `later`, `cut_off` (the job runs again),
    /// `vetoed`, `cancelled`, `missed` and `busy` (it was left out), or a word of another version.
    pub outcome: String,
    /// When it began: RFC 3339 with milliseconds, if its length is known.
    pub started: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub started_ms: Option<i64>,
    /// When it ended; of a run whose instance died, when that was found.
    pub ended: String,
    /// The same in milliseconds since the Unix epoch.
    pub ended_ms: i64,
    /// How long it was.
    pub duration_ms: Option<u64>,
    /// The id of its job.
    pub job_id: Option<String>,
    /// Which run of the job it was.
    pub claim: Option<String>,
    /// Which attempt, from 1.
    pub attempt: Option<u32>,
    /// How often the job was cut off before.
    pub redelivered: Option<u32>,
    /// The worker, without its queues.
    pub worker: Option<String>,
    /// For when it was scheduled.
    pub scheduled_at: Option<String>,
    /// Why it failed or was cut off.
    pub error: Option<String>,
    /// The last lines of its output, or its result.
    pub output: Vec<String>,
    /// The `[[schedule]]` that enqueued its job. Left out of JSON if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// The last runs of a task or of a schedule.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RunsView {
    /// The name that was asked for.
    pub name: String,
    /// How many the task keeps, if it is defined here.
    pub keep_runs: Option<u16>,
    /// The runs, the newest first.
    pub runs: Vec<PastRunView>,
    /// What stands among them and cannot be read.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

impl PastRunView {
    fn of(run: FinishedRun, list: &RunList) -> Self {
        let time = |ms: i64| Moment::of_ms(ms).map(Moment::rfc3339_ms);
        let started_ms = run.started_ms();
        Self {
            outcome: run.outcome.word().to_owned(),
            started: started_ms.and_then(time),
            started_ms,
            ended: time(run.ended_ms).unwrap_or_default(),
            ended_ms: run.ended_ms,
            duration_ms: run.ms,
            job_id: run.id,
            claim: run.claim,
            attempt: run.attempt,
            redelivered: run.redelivered,
            worker: run.worker,
            scheduled_at: run.scheduled_at,
            error: run.error,
            output: run.output,
            schedule: match list {
                RunList::Schedule(id) => Some(id.clone()),
                RunList::Task(_) => None,
            },
        }
    }
}

/// The last run of each of these, in order, and what cannot be read there.
pub(super) async fn last(
    store: &Store<Admin>,
    lists: Vec<RunList>,
) -> Result<Vec<(Option<PastRunView>, Option<String>)>, AdminError> {
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let all = store.run(ReadRuns { lists: lists.clone(), last: 1 }).await?;
    let view = |(KeptRuns { runs, unreadable }, list): (KeptRuns, &RunList)| {
        (runs.into_iter().next().map(|run| PastRunView::of(run, list)), unreadable.map(|unreadable| unreadable.text))
    };
    Ok(all.into_iter().zip(&lists).map(view).collect())
}

/// The last runs of a task with those of its schedules, or of one schedule, the newest first. Those of a task that is not
/// defined here are found, too.
///
/// # Errors
/// Fails for a name that is of neither, if nothing is kept under it.
pub async fn of(store: &Store<Admin>, registry: &Registry, name: &str, last: usize) -> Result<RunsView, AdminError> {
    let task = registry.get(name);
    let of_schedule = registry.iter().find(|task| task.schedules.iter().any(|one| one.id == name));
    let (keep_runs, lists) = match (task, of_schedule) {
        (Some(task), _) => {
            let own = RunList::Task(task.name.clone());
            let scheduled = task.schedules.iter().map(|one| RunList::Schedule(one.id.clone()));
            (Some(task.runs_kept()), std::iter::once(own).chain(scheduled).collect())
        }
        (None, Some(task)) => (Some(task.runs_kept()), vec![RunList::Schedule(name.to_owned())]),
        (None, None) => (None, vec![RunList::Task(TaskName::as_stored(name)), RunList::Schedule(name.to_owned())]),
    };
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for (kept, list) in store.run(ReadRuns { lists: lists.clone(), last }).await?.into_iter().zip(&lists) {
        runs.extend(kept.runs.into_iter().map(|run| PastRunView::of(run, list)));
        unreadable.extend(kept.unreadable.map(|unreadable| unreadable.text));
    }
    if keep_runs.is_none() && runs.is_empty() && unreadable.is_empty() {
        return Err(not_found(registry, name));
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.ended_ms));
    runs.truncate(last);
    Ok(RunsView { name: name.to_owned(), keep_runs, runs, unreadable })
}
