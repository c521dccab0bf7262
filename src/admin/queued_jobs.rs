//! Jobs that wait on a queue, for who looks for some of them and wants one of them gone.
//!
//! A job has no id before it is claimed, and positions move. So it is named by its key, which comes from its bytes, and by the
//! position where it was seen; jobs of equal bytes are interchangeable.

use serde::Serialize;
use tokio::time::Instant;

use super::error::AdminError;
use super::failed;
use super::job_view::JobView;
use super::jobs::delete_bytes;
use super::queues::find;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How many jobs a search looks at.
pub const MOST: i64 = 2000;
/// How many are read together.
const STEP: i64 = 100;
/// How far from its place a job is looked for.
const NEAR: i64 = 200;

/// A job that waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueuedJob {
    /// Its position from the head, from 0: the next to run is 0.
    pub position: i64,
    /// Its key; `None`: it is too long for a listing to read all of it.
    pub key: Option<String>,
    /// The job.
    pub job: JobView,
}

/// Some of the jobs of a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueuedJobs {
    /// How many jobs the queue holds.
    pub length: u64,
    /// Those that match, from the end that was asked for.
    pub jobs: Vec<QueuedJob>,
    /// How many jobs were looked at.
    pub scanned: i64,
    /// How many are passed by then, from that end; `None`: there are no more.
    pub next: Option<i64>,
}

/// Where a search begins, and what it looks for.
#[derive(Debug, Clone)]
pub struct QueueSearch {
    /// Text in the class or the arguments, in upper or lower case; empty: all jobs are meant.
    pub words: String,
    /// From the last one on?
    pub from_tail: bool,
    /// How many jobs are passed first.
    pub passed: i64,
    /// How many are wanted.
    pub limit: usize,
}

/// A job that was removed.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueuedRemoved {
    /// The queue.
    pub queue: String,
    /// How many were removed: 1, or 0 if it is gone.
    pub removed: u64,
    /// Its class.
    pub class: Option<String>,
}

/// Looks at jobs of a queue, at no more than [`MOST`], and begins no further step after `until`.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn search(
    store: &Store<Admin>,
    queue: &str,
    search: &QueueSearch,
    until: Instant,
) -> Result<QueuedJobs, AdminError> {
    let length = find(store, queue).await?.length;
    let (end, words) = (i64::try_from(length).unwrap_or(i64::MAX), search.words.to_lowercase());
    let list = JobList::Queue(QueueName::as_stored(queue));
    let (mut jobs, mut scanned) = (Vec::new(), 0);
    let mut passed = search.passed.clamp(0, end);
    while passed < end && scanned < MOST && jobs.len() < search.limit && (scanned == 0 || Instant::now() < until) {
        let wanted = i64::try_from(search.limit).unwrap_or(STEP);
        let count = (end - passed).min(MOST - scanned).min(if words.is_empty() { wanted.min(STEP) } else { STEP });
        let start = if search.from_tail { end - passed - count } else { passed };
        let read = store.run(ListJobs { list: list.clone(), start, stop: start + count - 1 }).await?;
        if read.is_empty() {
            passed = end;
            break;
        }
        let mut part: Vec<(i64, ListedJob)> = (start..).zip(read).collect();
        if search.from_tail {
            part.reverse();
        }
        for (position, job) in part {
            if jobs.len() >= search.limit {
                break;
            }
            (scanned, passed) = (scanned + 1, passed + 1);
            let view = JobView::of_listed(&job);
            let is_meant = words.is_empty()
                || [view.class_text(), view.args_text()].iter().any(|text| text.to_lowercase().contains(&words));
            if is_meant {
                jobs.push(QueuedJob { position, key: key(&job), job: view });
            }
        }
    }
    Ok(QueuedJobs { length, jobs, scanned, next: (passed < end).then_some(passed) })
}

/// The key of a job of which all was read.
fn key(job: &ListedJob) -> Option<String> {
    job.whole().map(|bytes| failed::id(bytes))
}

/// Removes the job of this key that was seen about there, or one of the same bytes.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn remove(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &str,
    wanted: &str,
    hint: i64,
) -> Result<QueuedRemoved, AdminError> {
    let name = QueueName::as_stored(queue);
    let list = JobList::Queue(name.clone());
    let (from, to) = (hint.saturating_sub(NEAR).max(0), hint.max(0).saturating_add(NEAR));
    let mut start = from;
    let none = QueuedRemoved { queue: queue.to_owned(), removed: 0, class: None };
    while start <= to {
        let stop = (start + STEP - 1).min(to);
        let read = store.run(ListJobs { list: list.clone(), start, stop }).await?;
        if let Some(job) = read.iter().find(|job| key(job).as_deref() == Some(wanted)) {
            let removed = delete_bytes(store, registry, &name, &job.bytes, 1).await?;
            return Ok(QueuedRemoved { removed, class: JobView::of_listed(job).class, ..none });
        }
        if read.is_empty() {
            break;
        }
        start = stop + 1;
    }
    Ok(none)
}
