//! Delayed jobs: list them, find them, delete them.
//!
//! Jobs are found by their bytes. node-resque and Windlass write the same form. resque-scheduler
//! writes the same members in another order, so that form is searched as well.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::AdminError;
use super::job_view::JobView;
use super::listing::each_listed;
use crate::client::moment::Moment;
use crate::job::ecma::quote;
use crate::job::payload::encode;
use crate::job::{Args, Identity, QueueName, RetryKeys, TaskName};
use crate::store::delayed::{
    DelayedCursor, DelayedIdentities, DelayedJob, DelayedSecond, DelayedSeconds, DeleteDelayed, FailedAttempts,
    ReadAttempts, ScheduledAt,
};
use crate::store::handle::Store;
use crate::store::listed::JobList;
use crate::store::role::Admin;
use crate::text::cut::cut;

/// How much of an error a listing shows, in bytes.
const LONGEST_ERROR: usize = 1024;
/// How many seconds are read at a time.
const PAGE: usize = 500;

/// A unix second at which jobs are due.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DueView {
    /// RFC 3339.
    pub at: String,
    /// Milliseconds since the Unix epoch.
    pub ms: i64,
    /// How many jobs are due then.
    pub length: u64,
}

/// Some of the seconds at which jobs are due.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TimestampsPage {
    /// The seconds, the first due first.
    pub timestamps: Vec<DueView>,
    /// Are there more seconds than the limit?
    pub more: bool,
}

/// A delayed job.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DelayedView {
    /// When it is due: RFC 3339.
    pub at: String,
    /// The same in milliseconds since the Unix epoch.
    pub ms: i64,
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// How many attempts of this task with these arguments failed before. Left out of JSON if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<u64>,
    /// The error of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How often it was cut off and delivered again. Left out of JSON if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<u32>,
    /// How often its handler postponed it. Left out of JSON if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<u32>,
}

/// Some of the delayed jobs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DelayedPage {
    /// The jobs, the first due first.
    pub jobs: Vec<DelayedView>,
    /// Are there more jobs than the limit?
    pub more: bool,
}

/// A time at which the searched job is due.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TimeView {
    /// RFC 3339.
    pub at: String,
    /// Milliseconds since the Unix epoch.
    pub ms: i64,
}

impl TimeView {
    /// Of a second since the Unix epoch.
    #[must_use]
    pub fn of(second: i64) -> Self {
        let at = Moment::of_second(second);
        Self { at: at.rfc3339(), ms: at.ms() }
    }
}

/// A walk through the delayed seconds, in the order in which they are due.
pub(super) struct SecondsWalk<'a> {
    store: &'a Store<Admin>,
    from: Option<DelayedCursor>,
}

impl<'a> SecondsWalk<'a> {
    pub(super) fn new(store: &'a Store<Admin>) -> Self {
        Self { store, from: Some(DelayedCursor::first()) }
    }

    /// The next seconds. There may be none although the walk goes on; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DelayedSecond>>, AdminError> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let page = self.store.run(DelayedSeconds { from: from.clone(), limit: PAGE }).await?;
        if page.next.as_ref() == Some(&from) {
            // A walk that stands still would never end.
            return Err(AdminError::Changed { what: "the schedule of delayed jobs".to_owned() });
        }
        self.from = page.next;
        Ok(Some(page.seconds))
    }
}

/// The first `limit` seconds at which jobs are due, in this order.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn timestamps(store: &Store<Admin>, limit: usize) -> Result<TimestampsPage, AdminError> {
    let (mut timestamps, mut walk) = (Vec::new(), SecondsWalk::new(store));
    while timestamps.len() <= limit
        && let Some(page) = walk.next().await?
    {
        timestamps.extend(page.into_iter().map(|due| {
            let TimeView { at, ms } = TimeView::of(due.second);
            DueView { at, ms, length: due.length }
        }));
    }
    let more = timestamps.len() > limit;
    timestamps.truncate(limit);
    Ok(TimestampsPage { timestamps, more })
}

/// The first `limit` delayed jobs, of all or of one second.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, at: Option<Moment>, limit: usize) -> Result<DelayedPage, AdminError> {
    let (mut jobs, mut keys, mut places) = (Vec::new(), Vec::new(), Vec::new());
    // One more than the limit shows whether there are more.
    let wanted = limit.saturating_add(1);
    let mut walk = SecondsWalk::new(store);
    'seconds: loop {
        let page = match at {
            Some(at) => vec![at.second()],
            None => match walk.next().await? {
                Some(page) => page.into_iter().map(|due| due.second).collect(),
                None => break,
            },
        };
        for &second in &page {
            let missing = i64::try_from(wanted - jobs.len()).unwrap_or(i64::MAX);
            let TimeView { at, ms } = TimeView::of(second);
            each_listed(store, &JobList::Delayed(second), 0, missing - 1, |job| {
                // What is kept beside a job is found by all of its bytes, which are not read of a long one.
                let (view, whole) = (JobView::of_listed(job), job.whole());
                keys.push(whole.and_then(|job| RetryKeys::of_job(job)));
                places.push(view.queue.as_deref().zip(whole).map(|(queue, payload)| DelayedJob {
                    second,
                    queue: QueueName::as_stored(queue),
                    payload: payload.clone(),
                }));
                jobs.push(DelayedView {
                    at: at.clone(),
                    ms,
                    job: view,
                    failed_attempts: None,
                    last_error: None,
                    redelivered: None,
                    later: None,
                });
            })
            .await?;
            if jobs.len() >= wanted {
                break 'seconds;
            }
        }
        if at.is_some() {
            break;
        }
    }
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    keys.truncate(limit);
    places.truncate(limit);
    add_attempts(store, &mut jobs, keys).await?;
    add_identities(store, &mut jobs, places).await?;
    Ok(DelayedPage { jobs, more })
}

/// Adds what Retry keeps of the jobs that are shown.
pub(super) async fn add_attempts(
    store: &Store<Admin>,
    jobs: &mut [DelayedView],
    keys: Vec<Option<RetryKeys>>,
) -> Result<(), AdminError> {
    let (jobs, keys): (Vec<_>, Vec<_>) = jobs.iter_mut().zip(keys).filter_map(|(job, keys)| Some((job, keys?))).unzip();
    if keys.is_empty() {
        return Ok(());
    }
    for (job, attempts) in jobs.into_iter().zip(store.run(ReadAttempts { keys }).await?) {
        let Some(FailedAttempts { count, last_error }) = attempts else { continue };
        job.failed_attempts = Some(count);
        job.last_error = last_error.and_then(|record| error_in(&record));
    }
    Ok(())
}

/// Adds how often the jobs that are shown were put off.
pub(super) async fn add_identities(
    store: &Store<Admin>,
    jobs: &mut [DelayedView],
    places: Vec<Option<DelayedJob>>,
) -> Result<(), AdminError> {
    let (views, jobs): (Vec<_>, Vec<_>) =
        jobs.iter_mut().zip(places).filter_map(|(job, place)| Some((job, place?))).unzip();
    if jobs.is_empty() {
        return Ok(());
    }
    for (view, identity) in views.into_iter().zip(store.run(DelayedIdentities { jobs }).await?) {
        let Some(Identity { redelivered, later, .. }) = identity else { continue };
        view.redelivered = Some(redelivered).filter(|count| *count > 0);
        view.later = Some(later).filter(|count| *count > 0);
    }
    Ok(())
}

/// The error in a record as node-resque's Retry writes it, cut for a listing.
pub(super) fn error_in(record: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct LastError {
        error: String,
    }
    let LastError { error } = serde_json::from_slice(record).ok()?;
    Some(cut(error, LONGEST_ERROR))
}

/// The seconds at which a job of this class, queue and arguments is due.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn find(store: &Store<Admin>, task: &str, queue: &str, args: &Args) -> Result<Vec<TimeView>, AdminError> {
    let mut seconds = Vec::new();
    for form in forms(task, queue, args)? {
        seconds.extend(store.run(ScheduledAt { payload: form }).await?);
    }
    Ok(views(seconds))
}

/// Removes every delayed job of this class, queue and arguments, and returns when they were due.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn delete(store: &Store<Admin>, task: &str, queue: &str, args: &Args) -> Result<Vec<TimeView>, AdminError> {
    let mut seconds = Vec::new();
    for form in forms(task, queue, args)? {
        seconds.extend(store.run(DeleteDelayed { payload: form }).await?);
    }
    Ok(views(seconds))
}

fn views(mut seconds: Vec<i64>) -> Vec<TimeView> {
    seconds.sort_unstable();
    seconds.into_iter().map(TimeView::of).collect()
}

/// The byte forms of such a job: the one of node-resque and Windlass, and the one of resque-scheduler.
fn forms(task: &str, queue: &str, args: &Args) -> Result<[Bytes; 2], AdminError> {
    let name = |text: &str, error| AdminError::Name { text: text.to_owned(), error };
    TaskName::new(task).map_err(|error| name(task, error))?;
    QueueName::new(queue).map_err(|error| name(queue, error))?;
    let ruby = format!("{{\"class\":{},\"args\":{},\"queue\":{}}}", quote(task), args.as_str(), quote(queue));
    Ok([encode(task, queue, args), Bytes::from(ruby)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_looked_for_in_every_form_it_may_stand_in() {
        let [ours, ruby] = forms("Add", "math", &Args::from_json("[3,4]").unwrap()).unwrap();
        assert_eq!(&ours[..], br#"{"class":"Add","queue":"math","args":[3,4]}"#);
        assert_eq!(&ruby[..], br#"{"class":"Add","args":[3,4],"queue":"math"}"#);
        assert!(forms(" ", "math", &Args::none()).is_err());
    }
}
