//! Delayed jobs in pages of bounded cost, the first due first.
//!
//! A page goes on behind some jobs of a second. The seconds before it may have been promoted meanwhile, and so may it: then the
//! page begins with what is due next.

use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::delayed::{DelayedView, TimeView, add_attempts, add_identities};
use super::error::AdminError;
use super::job_view::JobView;
use super::listing::each_listed;
use crate::job::{QueueName, RetryKeys};
use crate::store::delayed::{DelayedCursor, DelayedJob, DelayedSecond, DelayedSeconds};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::listed::JobList;
use crate::store::role::Admin;

/// How many seconds are read at a time, and of how many the jobs are read together.
const SECONDS: usize = 64;
const TOGETHER: usize = 8;
/// How many times seconds are read for one page: other programs may leave very many that hold no jobs.
const READS: usize = 16;

/// A place in the schedule: behind some jobs of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayedPlace {
    /// The second, as its entry names it.
    second: i64,
    /// When it is due, which other programs may have set otherwise.
    due_s: i64,
    /// How many of its jobs are passed.
    passed: i64,
}

/// A page.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DelayedJobsPage {
    /// The jobs.
    pub jobs: Vec<DelayedView>,
    /// Where the next page begins; `None`: there is nothing more.
    pub next: Option<DelayedPlace>,
}

/// The jobs of a second that stand on a page: from where, and how many.
#[derive(Debug, Clone, Copy)]
struct Part {
    second: i64,
    start: i64,
    count: i64,
}

/// The next `limit` jobs from this place, or from the first due on.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn page(
    store: &Store<Admin>,
    from: Option<DelayedPlace>,
    limit: usize,
) -> Result<DelayedJobsPage, AdminError> {
    let (parts, next) = parts(store, from, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
    let read = parts.into_iter().map(|part| jobs(store, part));
    let read: Vec<_> = stream::iter(read).buffered(TOGETHER).collect().await;
    let (mut jobs, mut keys, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for of_second in read {
        for Listed { view, retry, place } in of_second? {
            jobs.push(view);
            keys.push(retry);
            places.push(place);
        }
    }
    add_attempts(store, &mut jobs, keys).await?;
    add_identities(store, &mut jobs, places).await?;
    Ok(DelayedJobsPage { jobs, next })
}

/// What stands on the page, and where the next one begins.
async fn parts(
    store: &Store<Admin>,
    from: Option<DelayedPlace>,
    limit: i64,
) -> Result<(Vec<Part>, Option<DelayedPlace>), AdminError> {
    // Scores of other programs may lie between two seconds, before the one in which their jobs are due.
    let mut cursor = from.map_or_else(DelayedCursor::first, |place| DelayedCursor::at(place.due_s.saturating_sub(1)));
    let (mut searched, mut parts, mut missing) = (from, Vec::new(), limit);
    let mut last = None;
    for _ in 0..READS {
        let page = store.run(DelayedSeconds { from: cursor, limit: SECONDS }).await?;
        for DelayedSecond { second, due_s, length } in page.seconds {
            let start = match searched {
                Some(place) if place.second == second => place.passed.max(0),
                // Among those of equal score, before the one that is searched.
                Some(place) if due_s <= place.due_s => continue,
                _ => 0,
            };
            searched = None;
            let count = i64::try_from(length).unwrap_or(i64::MAX).saturating_sub(start);
            last = Some(DelayedPlace { second, due_s, passed: start });
            if count <= 0 {
                continue;
            }
            if missing == 0 {
                return Ok((parts, Some(DelayedPlace { second, due_s, passed: start })));
            }
            let taken = count.min(missing);
            parts.push(Part { second, start, count: taken });
            missing -= taken;
            if taken < count {
                return Ok((parts, Some(DelayedPlace { second, due_s, passed: start + taken })));
            }
            last = Some(DelayedPlace { second, due_s, passed: start + taken });
        }
        match page.next {
            Some(next) => cursor = next,
            None => return Ok((parts, None)),
        }
    }
    // Very many seconds without jobs: the next page looks further.
    Ok((parts, last))
}

/// A job of a page, and what more is read of it.
struct Listed {
    view: DelayedView,
    retry: Option<RetryKeys>,
    place: Option<DelayedJob>,
}

async fn jobs(store: &Store<Admin>, part: Part) -> Result<Vec<Listed>, StoreError> {
    let Part { second, start, count } = part;
    let TimeView { at, ms } = TimeView::of(second);
    let mut jobs = Vec::new();
    let list = JobList::Delayed(second);
    each_listed(store, &list, start, start.saturating_add(count - 1), |listed| {
        let job = JobView::of_listed(listed);
        let queue = job.queue.as_deref().map(QueueName::as_stored);
        // What is kept beside a job is found by all of its bytes, which are not read of a long one.
        let place = queue.zip(listed.whole());
        let place = place.map(|(queue, payload)| DelayedJob { second, queue, payload: payload.clone() });
        let (failed_attempts, last_error, redelivered, later) = (None, None, None, None);
        let view = DelayedView { at: at.clone(), ms, job, failed_attempts, last_error, redelivered, later };
        let retry = listed.whole().and_then(|payload| RetryKeys::of_job(payload));
        jobs.push(Listed { view, retry, place });
    })
    .await?;
    Ok(jobs)
}
