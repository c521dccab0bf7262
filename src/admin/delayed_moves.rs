//! Delayed jobs that match: counts them, runs them now, moves them to another time, or deletes them.
//!
//! The schedule is walked in pages, and each step of the store moves some jobs of one second. So any number of jobs holds
//! nobody up, and an interrupted command has done what it told. The ticks of periodic tasks stay: they belong to their
//! task, and a scheduler would put them back.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;

use super::delayed::{SecondsWalk, TimeView};
use super::error::AdminError;
use crate::client::moment::Moment;
use crate::job::{Args, PayloadView};
use crate::plugin::chain::Chain;
use crate::store::delayed::{MoveDelayed, MoveTo};
use crate::store::handle::Store;
use crate::store::jobs_part::{DelayedAt, JobsPart};
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How many jobs of a second are read at a time, at most.
const PAGE: i64 = 200;
/// About how many entries of the second's list one step of Redis passes at most.
const PASSED: usize = 1_000_000;

/// How many jobs one step moves of a second of which nobody knows how many it holds.
const TOGETHER: usize = 20;
/// How many jobs that stay are passed.
const LONGEST_LOOK: i64 = 2000;

/// Which delayed jobs are meant: those that match all of it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DelayedSelection {
    /// Of this class.
    pub task: Option<String>,
    /// That name this queue.
    pub queue: Option<String>,
    /// With these arguments.
    pub args: Option<Args>,
    /// Due at this time.
    pub at: Option<Moment>,
}

/// What was found or changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DelayedMatched {
    /// How many jobs.
    pub jobs: u64,
    /// How many matched and stay, because they are ticks of periodic tasks.
    pub ticks: u64,
}

impl DelayedSelection {
    /// Those that match all that is given.
    #[must_use]
    pub fn new(task: Option<String>, queue: Option<String>, args: Option<Args>, at: Option<Moment>) -> Self {
        Self { task, queue, args, at }
    }

    fn is_meant(&self, payload: &Bytes) -> bool {
        if self.task.is_none() && self.queue.is_none() && self.args.is_none() {
            return true;
        }
        let Ok(view) = PayloadView::parse(payload) else { return false };
        self.task.as_deref().is_none_or(|task| view.class == task)
            && self.queue.as_deref().is_none_or(|queue| view.queue.as_deref() == Some(queue))
            && self.args.as_ref().is_none_or(|args| Args::of(&view).is_ok_and(|own| own == *args))
    }
}

/// Is it the tick of one of these tasks?
fn is_tick(registry: &Registry, payload: &Bytes) -> bool {
    let Ok(view) = PayloadView::parse(payload) else { return false };
    registry.get(&view.class).is_some_and(|task| Chain::of(task).is_tick(&view))
}

/// Counts those that are meant. `progress` is told the count so far.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn count(
    store: &Store<Admin>,
    registry: &Registry,
    selection: &DelayedSelection,
    mut progress: impl FnMut(&DelayedMatched),
) -> Result<DelayedMatched, AdminError> {
    let mut found = DelayedMatched::default();
    each_second(store, selection, async |second, _| {
        let mut start = 0;
        loop {
            let page = read(store, second, start).await?;
            for job in page.jobs.iter().filter(|job| selection.is_meant(job)) {
                if is_tick(registry, job) { found.ticks += 1 } else { found.jobs += 1 }
            }
            progress(&found);
            start += number(page.jobs.len());
            if page.is_end(PAGE) {
                return Ok(());
            }
        }
    })
    .await?;
    Ok(found)
}

/// The times at which jobs that are meant are due, the first one first.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn times(store: &Store<Admin>, selection: &DelayedSelection) -> Result<Vec<TimeView>, AdminError> {
    let mut seconds = BTreeSet::new();
    each_second(store, selection, async |second, _| {
        let mut start = 0;
        loop {
            let page = read(store, second, start).await?;
            if page.jobs.iter().any(|job| selection.is_meant(job)) {
                seconds.insert(second);
                return Ok(());
            }
            start += number(page.jobs.len());
            if page.is_end(PAGE) {
                return Ok(());
            }
        }
    })
    .await?;
    Ok(seconds.into_iter().map(TimeView::of).collect())
}

/// Moves or deletes them. `progress` is told what is done so far, after each step.
///
/// # Errors
/// Fails when the store cannot be reached; what `progress` was told is done.
pub async fn change(
    store: &Store<Admin>,
    registry: &Registry,
    selection: &DelayedSelection,
    to: MoveTo,
    mut progress: impl FnMut(&DelayedMatched),
) -> Result<DelayedMatched, AdminError> {
    let mut done = DelayedMatched::default();
    each_second(store, selection, async |second, length| {
        // What was moved there already would be met again.
        if to == MoveTo::Second(second) {
            return Ok(());
        }
        let most = (PASSED / usize::try_from(length).unwrap_or(usize::MAX).max(1)).clamp(1, 250);
        let mut start = 0;
        loop {
            let page = read(store, second, start).await?;
            let (ticks, meant): (Vec<_>, Vec<_>) =
                page.jobs.iter().filter(|job| selection.is_meant(job)).cloned().partition(|job| is_tick(registry, job));
            done.ticks += ticks.len() as u64;
            let mut moved = 0;
            for jobs in meant.chunks(most) {
                let step = store.run(MoveDelayed { second, jobs: jobs.to_vec(), to }).await?;
                moved += step;
                done.jobs += step;
                progress(&done);
            }
            start += stay(&page, moved);
            if page.is_end(PAGE) {
                return Ok(());
            }
        }
    })
    .await?;
    Ok(done)
}

/// What became of the jobs of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SecondRun {
    /// How many are due now.
    pub jobs: u64,
    /// How many stay, because they are ticks of periodic tasks.
    pub ticks: u64,
    /// May there be more of them? Then the same call goes on. Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Makes jobs of a second due now, about `most` of them.
///
/// # Errors
/// Fails if no job is due then, and when the store cannot be reached.
pub async fn run_second(
    store: &Store<Admin>,
    registry: &Registry,
    second: i64,
    most: u64,
) -> Result<SecondRun, AdminError> {
    let mut done = SecondRun { jobs: 0, ticks: 0, more: true };
    let mut start = 0;
    loop {
        let page = read(store, second, start).await?;
        if page.jobs.is_empty() && start == 0 && done.jobs == 0 {
            return Err(AdminError::NotFound { what: "delayed second", name: second.to_string(), suggestion: None });
        }
        let (ticks, jobs): (Vec<_>, Vec<_>) = page.jobs.iter().cloned().partition(|job| is_tick(registry, job));
        done.ticks += ticks.len() as u64;
        let mut moved = 0;
        for jobs in jobs.chunks(TOGETHER) {
            moved += store.run(MoveDelayed { second, jobs: jobs.to_vec(), to: MoveTo::Now }).await?;
        }
        done.jobs += moved;
        if page.is_end(PAGE) {
            return Ok(SecondRun { more: false, ..done });
        }
        if done.jobs >= most || start >= LONGEST_LOOK {
            return Ok(done);
        }
        start += stay(&page, moved);
    }
}

/// The next jobs of a second.
async fn read(store: &Store<Admin>, second: i64, start: i64) -> Result<JobsPart, AdminError> {
    Ok(store.run(DelayedAt { second, start, stop: start + PAGE - 1 }).await?)
}

fn number(jobs: usize) -> i64 {
    i64::try_from(jobs).unwrap_or(PAGE)
}

/// How many jobs of a page stay where they are: those behind have come forward by as many as moved.
fn stay(page: &JobsPart, moved: u64) -> i64 {
    (number(page.jobs.len()) - i64::try_from(moved).unwrap_or(PAGE)).max(0)
}

/// Calls `each` with every second that may hold jobs that are meant, and how many jobs it holds.
async fn each_second(
    store: &Store<Admin>,
    selection: &DelayedSelection,
    mut each: impl AsyncFnMut(i64, u64) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    if let Some(at) = selection.at {
        return each(at.second(), 1).await;
    }
    let mut walk = SecondsWalk::new(store);
    while let Some(page) = walk.next().await? {
        for due in page {
            each(due.second, due.length).await?;
        }
    }
    Ok(())
}
