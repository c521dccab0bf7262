//! Jobs on queues, by what they are: ActionHero's `del` and `delByFunction`.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;

use super::error::AdminError;
use crate::client::request::Job;
use crate::job::{Args, PayloadView, QueueName};
use crate::store::engine::Store;

/// How many jobs are read at a time.
const PAGE: i64 = 500;

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JobsDeleted {
    /// Jobs in all.
    pub deleted: u64,
    /// Those among them that another program spells otherwise: Ruby's members and floats, Go's escapes.
    pub other_spellings: u64,
}

/// Deletes jobs of these bytes from their queue: at most `count` from the head, or from the tail if it is negative;
/// 0 for all. If there are none, those that mean the same in another program's spelling are deleted instead.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn delete(store: &dyn Store, job: &Job, count: i64) -> Result<JobsDeleted, AdminError> {
    let deleted = store.delete_jobs(&job.queue, &job.payload, count).await?;
    if deleted > 0 {
        return Ok(JobsDeleted { deleted, other_spellings: 0 });
    }
    let same =
        |view: &PayloadView<'_>| view.class == job.task.as_str() && Args::of(view).is_ok_and(|args| args == job.args);
    let (mut left, mut deleted) = (count, 0);
    for payload in spellings(store, &job.queue, 0, -1, same).await? {
        let removed = store.delete_jobs(&job.queue, &payload, left).await?;
        deleted += removed;
        if count != 0 {
            left -= count.signum() * i64::try_from(removed).unwrap_or(i64::MAX);
            if left == 0 {
                break;
            }
        }
    }
    Ok(JobsDeleted { deleted, other_spellings: deleted })
}

/// Deletes all jobs of a class whose like stand at positions `start` to `stop` of a queue, whatever their arguments.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn delete_by_class(
    store: &dyn Store,
    queue: &QueueName,
    class: &str,
    start: i64,
    stop: i64,
) -> Result<JobsDeleted, AdminError> {
    let mut deleted = 0;
    for payload in spellings(store, queue, start, stop, |view| view.class == class).await? {
        deleted += store.delete_jobs(queue, &payload, 0).await?;
    }
    Ok(JobsDeleted { deleted, other_spellings: 0 })
}

/// The different bytes among the jobs at these positions that are meant.
async fn spellings(
    store: &dyn Store,
    queue: &QueueName,
    start: i64,
    stop: i64,
    meant: impl Fn(&PayloadView<'_>) -> bool,
) -> Result<BTreeSet<Bytes>, AdminError> {
    let mut found = BTreeSet::new();
    let mut look = |page: &[Bytes]| {
        let meant = |payload: &&Bytes| PayloadView::parse(payload).is_ok_and(|view| meant(&view));
        found.extend(page.iter().filter(meant).cloned());
    };
    if start < 0 || (stop < 0 && stop != -1) {
        look(&store.queued(queue, start, stop).await?);
        return Ok(found);
    }
    let mut position = start;
    while stop == -1 || position <= stop {
        let last = position + PAGE - 1;
        let page = store.queued(queue, position, if stop == -1 { last } else { last.min(stop) }).await?;
        look(&page);
        if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            break;
        }
        position += PAGE;
    }
    Ok(found)
}
