//! Failed jobs that match, the newest first, and their removal.
//!
//! The list is walked from its end, in steps that hold few bytes, until enough was found. Positions count from the oldest,
//! so they stay the same while jobs fail.

use bytes::Bytes;

use super::brake::Brake;
use super::error::AdminError;
use super::failed::{self, FailedPage, FailedView, FoundFailure};
use super::failed_address::Address;
use super::failed_walk::Walk;
use super::filter::{Filter, at_ms, error_tells};
use crate::job::{FailureView, PayloadView};
use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::inspection::{FAILED_BATCH, FAILED_BATCH_BYTES, FailedCount, FailedRecord, RemoveFailed};
use crate::store::role::Admin;

/// Which failed jobs are meant: those that match all of it.
#[derive(Debug, Clone, Default)]
pub struct FailedFilter {
    /// Of this class.
    pub task: Option<String>,
    /// From this queue.
    pub queue: Option<String>,
    /// Whose error, its class, or a line of what led to it (the end of stderr, a stack) holds this text, in upper or lower
    /// case.
    pub error: Option<String>,
    /// That failed at this time or later, in milliseconds since the Unix epoch. A record without a date does not match.
    pub since_ms: Option<i64>,
    /// Only those that failed because no task had their name.
    pub unknown: bool,
    /// That match this as well.
    pub also: Filter,
}

impl FailedFilter {
    /// Does it match every job?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { task, queue, error, since_ms, unknown, also } = self;
        task.is_none() && queue.is_none() && error.is_none() && since_ms.is_none() && !unknown && also.is_empty()
    }

    /// Does it match this record? `view` is what the record says.
    pub(super) fn is_meant(&self, record: &[u8], view: &FailureView) -> bool {
        self.queue.as_deref().is_none_or(|queue| view.queue.as_deref() == Some(queue))
            && self.error.as_deref().is_none_or(|part| error_tells(view, &part.to_lowercase()))
            && self.since_ms.is_none_or(|since| at_ms(view).is_some_and(|at| at >= since))
            && self.task.as_deref().is_none_or(|task| {
                let job = view.payload.as_ref().and_then(|payload| PayloadView::parse(payload).ok());
                job.is_some_and(|job| job.class == task)
            })
            && (!self.unknown || view.is_unknown_class())
            && self.also.matches(record, view)
    }

    /// Since when jobs match at the earliest, if that is said.
    fn earliest_ms(&self) -> Option<i64> {
        self.since_ms.max(self.also.since_ms())
    }
}

/// The newest `limit` jobs that match, the newest first. `progress` is told how many records were looked at.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn newest(
    store: &Store<Admin>,
    filter: &FailedFilter,
    limit: usize,
    progress: impl FnMut(u64),
) -> Result<FailedPage, AdminError> {
    Ok(among(store, filter, limit, u64::MAX, progress).await?.0)
}

/// The newest `limit` jobs that match among the newest `most`, and whether older ones were left out that may match.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn among_newest(
    store: &Store<Admin>,
    filter: &FailedFilter,
    limit: usize,
    most: u64,
) -> Result<(FailedPage, bool), AdminError> {
    among(store, filter, limit, most, |_| {}).await
}

async fn among(
    store: &Store<Admin>,
    filter: &FailedFilter,
    limit: usize,
    most: u64,
    mut progress: impl FnMut(u64),
) -> Result<(FailedPage, bool), AdminError> {
    let count = store.run(FailedCount).await?;
    let earliest_ms = filter.earliest_ms();
    let (mut failed, mut looked_at, mut more, mut cut) = (Vec::new(), 0, false, false);
    each_from_end(store, count, async |page| {
        let mut is_older = earliest_ms.is_some() && !page.is_empty();
        for (position, record) in page {
            if looked_at >= most {
                cut = true;
                return Ok(false);
            }
            let view = FailureView::parse(&record);
            let at = at_ms(&view);
            // Clocks of several machines differ: only a whole page of older records ends the walk.
            is_older &= at.zip(earliest_ms).is_some_and(|(at, since)| at < since);
            if filter.is_meant(&record, &view) {
                if failed.len() >= limit {
                    more = true;
                    return Ok(false);
                }
                failed.push(FailedView::listed_of(position, &record));
            }
            looked_at += 1;
        }
        progress(looked_at);
        Ok(!is_older)
    })
    .await?;
    Ok((FailedPage { count, failed, more: Some(more) }, cut))
}

/// A failed job by its address, as [`failed::find`] finds it, by its id only among the newest `most`; equal records are
/// interchangeable.
///
/// # Errors
/// Fails if there is none, or if the digits begin several ids.
pub(super) async fn find_among_newest(
    store: &Store<Admin>,
    address: &str,
    most: u64,
) -> Result<FoundFailure, AdminError> {
    let wanted = Address::parse(address)?;
    if matches!(wanted, Address::Position(_)) {
        return failed::find(store, address).await;
    }
    // The id of a job begins with such digits, too; those of a failure come first.
    let of_job = if let Address::Id(digits) = &wanted { Some(Address::Job(digits.clone())) } else { None };
    let count = store.run(FailedCount).await?;
    let (mut by_id, mut by_job, mut looked_at) = (Vec::new(), Vec::new(), 0);
    each_from_end(store, count, async |page| {
        for (position, record) in page {
            looked_at += 1;
            if looked_at > most {
                return Ok(false);
            }
            let one = FoundFailure { position, id: failed::id(&record), record };
            if wanted.names(&one.id, &one.record) {
                by_id.push(one);
            } else if by_job.len() < 2 && of_job.as_ref().is_some_and(|job| job.names(&one.id, &one.record)) {
                by_job.push(one);
            }
            if let Some((first, others)) = by_id.split_first()
                && let Some(other) = others.iter().find(|other| other.record != first.record)
            {
                return Err(failed::ambiguous(address, other, first));
            }
        }
        Ok(true)
    })
    .await?;
    let found = if by_id.is_empty() { by_job } else { by_id };
    match found.split_first() {
        Some((first, others)) => match others.iter().find(|other| other.record != first.record) {
            Some(other) => Err(failed::ambiguous(address, other, first)),
            None => Ok(first.clone()),
        },
        None => Err(AdminError::NotFailed(address.to_owned())),
    }
}

/// How many match. `progress` is told how many were found. Asked to stop, it tells those that it found.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn count(
    store: &Store<Admin>,
    filter: &FailedFilter,
    brake: &Brake,
    mut progress: impl FnMut(u64),
) -> Result<u64, AdminError> {
    let mut found = 0;
    let all = store.run(FailedCount).await?;
    each_from_end(store, all, async |page| {
        found += page.iter().filter(|(_, record)| filter.is_meant(record, &FailureView::parse(record))).count() as u64;
        progress(found);
        Ok(!brake.is_pulled())
    })
    .await?;
    Ok(found)
}

/// Removes those that match and that were there when it began, many in one step, until it is asked to stop. `progress` is told
/// how many are gone.
///
/// # Errors
/// Fails when the store cannot be reached; what `progress` was told is gone.
pub async fn remove(
    store: &Store<Admin>,
    filter: &FailedFilter,
    brake: &Brake,
    mut progress: impl FnMut(u64),
) -> Result<u64, AdminError> {
    let mut removed = 0;
    let all = store.run(FailedCount).await?;
    // From the end: what is removed moves only records that were passed.
    each_from_end(store, all, async |page| {
        let meant = page.into_iter().filter(|(_, record)| filter.is_meant(record, &FailureView::parse(record)));
        let meant: Vec<_> = meant.map(|(position, record)| FailedRecord { record, position: Some(position) }).collect();
        remove_batches(store, meant, |was_there| {
            removed += u64::from(was_there);
            progress(removed);
        })
        .await?;
        Ok(!brake.is_pulled())
    })
    .await?;
    Ok(removed)
}

/// Removes these; returns those that were gone already.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn remove_each<'f>(
    store: &Store<Admin>,
    found: &'f [FoundFailure],
) -> Result<(u64, Vec<&'f FoundFailure>), AdminError> {
    let (mut removed, mut gone, mut rest) = (0, Vec::new(), found.iter());
    let record = |one: &FoundFailure| FailedRecord { record: one.record.clone(), position: Some(one.position) };
    remove_batches(store, found.iter().map(record).collect(), |was_there| match rest.next() {
        Some(one) if !was_there => gone.push(one),
        _ => removed += 1,
    })
    .await?;
    Ok((removed, gone))
}

/// Removes these, some in one step; `each` is told of each whether it was there.
async fn remove_batches(
    store: &Store<Admin>,
    records: Vec<FailedRecord>,
    mut each: impl FnMut(bool),
) -> Result<(), AdminError> {
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |one: &&FailedRecord| {
            bytes += one.record.len();
            bytes <= FAILED_BATCH_BYTES
        };
        let batch = rest.iter().take(FAILED_BATCH).take_while(fits).count().max(1);
        let removed = store.run(RemoveFailed { records: rest.iter().take(batch).cloned().collect() }).await?;
        if removed.is_empty() {
            return Err(StoreError::Unavailable("a removal was not answered".to_owned()).into());
        }
        rest = rest.get(removed.len()..).unwrap_or_default();
        removed.into_iter().for_each(&mut each);
    }
    Ok(())
}

/// Calls `each` with pages of records, the newest first, from the end of the list to its beginning, as long as it answers true.
pub(super) async fn each_from_end(
    store: &Store<Admin>,
    count: u64,
    mut each: impl AsyncFnMut(Vec<(i64, Bytes)>) -> Result<bool, AdminError>,
) -> Result<(), AdminError> {
    let mut walk = Walk::before(store, i64::try_from(count).unwrap_or(i64::MAX));
    while let Some(records) = walk.next().await? {
        if !each(records).await? {
            return Ok(());
        }
    }
    Ok(())
}
