//! Failed jobs in pages of bounded cost, the newest first.
//!
//! A page goes on where the last one ended: behind a record that it knows by its position and its id. Records that others
//! remove move all newer ones down, so a record that is not where it was is looked for a little further down. A page looks at
//! no more records than it may, and for no longer than it may, and says how many it looked at: one of a filtered list may be
//! short.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::AdminError;
use super::failed::{self, FailedView, FoundFailure};
use super::failed_address::is_id;
use super::failed_search::FailedFilter;
use super::failed_walk::Walk;
use super::id_text::begins;
use crate::job::FailureView;
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;

/// How many records a page looks at, and a search for one record.
pub const MOST: usize = 2000;
/// How far from its place a record is looked for.
const NEAR: i64 = 200;

/// A record in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPlace {
    /// Its position when it was seen.
    pub position: i64,
    /// Its id.
    pub id: String,
}

/// A page.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailedRecordsPage {
    /// How many there are in all.
    pub count: u64,
    /// The records, the newest first.
    pub failed: Vec<FailedView>,
    /// Behind what the next page begins; `None`: there is nothing more.
    pub next: Option<FailedPlace>,
    /// How many records were looked at.
    pub scanned: usize,
    /// The record behind which this page was to begin was not found, and it begins about there.
    pub moved: bool,
}

/// The next `limit` records that match, behind `after` or from the newest on. After `until` it begins no further step, because
/// records may be so long that few of them take long; but each page takes at least one.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn page(
    store: &Store<Admin>,
    filter: &FailedFilter,
    after: Option<&FailedPlace>,
    limit: usize,
    until: Instant,
) -> Result<FailedRecordsPage, AdminError> {
    let count = store.run(FailedCount).await?;
    let length = i64::try_from(count).unwrap_or(i64::MAX);
    let (end, moved) = match after {
        None => (length, false),
        Some(place) => match find_from(store, place, length, until).await? {
            Some(position) => (position, false),
            None => (place.position.clamp(0, length), true),
        },
    };
    let mut page = FailedRecordsPage { count, failed: Vec::new(), next: None, scanned: 0, moved };
    let mut walk = Walk::before(store, end);
    while let Some(records) = walk.next().await? {
        let (ends, last) = (Instant::now() >= until, records.len() - 1);
        for (index, (position, record)) in records.into_iter().enumerate() {
            page.scanned += 1;
            if filter.is_meant(&record, &FailureView::parse(&record)) {
                page.failed.push(FailedView::listed_of(position, &record));
            }
            let is_full = page.failed.len() >= limit || page.scanned >= MOST || ends && index == last;
            if is_full {
                page.next = (position > 0).then(|| FailedPlace { position, id: failed::id(&record) });
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// Where a record is now; `None`: not near the place where it was, or not found in time.
async fn find_from(
    store: &Store<Admin>,
    place: &FailedPlace,
    length: i64,
    until: Instant,
) -> Result<Option<i64>, AdminError> {
    let lowest = place.position.saturating_sub(NEAR).max(0);
    // Anyone who asks may have made the place up.
    let mut walk = Walk::before(store, place.position.saturating_add(1).min(length));
    while walk.end > lowest {
        let Some(records) = walk.next().await? else { break };
        let found = records.iter().find(|(position, record)| *position >= lowest && failed::id(record) == place.id);
        if let Some((position, _)) = found {
            return Ok(Some(*position));
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(None)
}

/// The failed job of this whole id, looked for near `hint` and among the newest. Positions are no addresses here, because
/// they move.
///
/// # Errors
/// Fails if it is none of those, and for a text that is no id.
pub async fn find(store: &Store<Admin>, id: &str, hint: Option<i64>) -> Result<FoundFailure, AdminError> {
    let id = id.to_ascii_lowercase();
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let why = format!("{id:?} names no failed job: expected the 16 digits of an id as a listing shows it");
        return Err(AdminError::BadAddress(why));
    }
    let length = i64::try_from(store.run(FailedCount).await?).unwrap_or(i64::MAX);
    let near = hint.map(|hint| (hint.saturating_add(NEAR / 2).min(length), usize::try_from(NEAR).unwrap_or(MOST)));
    for (end, most) in near.into_iter().chain([(length, MOST)]) {
        let (mut walk, mut scanned) = (Walk::before(store, end), 0);
        while scanned < most
            && let Some(records) = walk.next().await?
        {
            scanned += records.len();
            if let Some((position, record)) = records.into_iter().find(|(_, record)| failed::id(record) == id) {
                return Ok(FoundFailure { position, id, record });
            }
        }
    }
    Err(AdminError::NotFailed(id))
}

/// The last failure of a job of this id among the newest records.
pub(super) async fn of_job(store: &Store<Admin>, job: &str) -> Result<Option<FoundFailure>, AdminError> {
    let end = i64::try_from(store.run(FailedCount).await?).unwrap_or(i64::MAX);
    let (mut walk, mut scanned) = (Walk::before(store, end), 0);
    while scanned < MOST
        && let Some(records) = walk.next().await?
    {
        scanned += records.len();
        let is_its = |record: &[u8]| FailureView::parse(record).identity.is_some_and(|identity| *identity.id == *job);
        if let Some((position, record)) = records.into_iter().find(|(_, record)| is_its(record)) {
            return Ok(Some(FoundFailure { position, id: failed::id(&record), record }));
        }
    }
    Ok(None)
}

/// The newest failures of jobs whose ids, or whose own ids, are this text or begin with it, each with the id of its job.
pub(super) async fn of_jobs_begun(store: &Store<Admin>, text: &str) -> Result<Vec<(FoundFailure, String)>, AdminError> {
    let is_digits = is_id(text);
    let digits = text.to_ascii_lowercase();
    newest_of_jobs(store, |job, failure| {
        job == text || begins(job, text) || is_digits && failure().starts_with(&digits)
    })
    .await
}

/// The newest failures of the jobs whose ids are meant, the newest first, each with the id of its job.
pub(super) async fn of_jobs(
    store: &Store<Admin>,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<(FoundFailure, String)>, AdminError> {
    newest_of_jobs(store, |job, _| is_meant(job)).await
}

/// `is_meant` is asked with the id of a job, and how to have that of its failure.
async fn newest_of_jobs(
    store: &Store<Admin>,
    is_meant: impl Fn(&str, &dyn Fn() -> String) -> bool,
) -> Result<Vec<(FoundFailure, String)>, AdminError> {
    let end = i64::try_from(store.run(FailedCount).await?).unwrap_or(i64::MAX);
    let (mut walk, mut scanned, mut found) = (Walk::before(store, end), 0, Vec::new());
    while scanned < MOST
        && let Some(records) = walk.next().await?
    {
        scanned += records.len();
        for (position, record) in records {
            let Some(identity) = FailureView::parse(&record).identity else { continue };
            if is_meant(&identity.id, &|| failed::id(&record)) {
                found.push((FoundFailure { position, id: failed::id(&record), record }, identity.id.to_string()));
            }
        }
    }
    Ok(found)
}
