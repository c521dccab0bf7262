//! What stands on the failed list, and what leaves it.

use rusqlite::{OptionalExtension as _, params};

use super::commit::Handle;
use super::digest::digest;
use super::engine::SqliteStore;
use super::number::{count as counted, stored};
use super::room::Room;
use super::step::Step;
use super::{enqueue, lengths, retries, search};
use crate::job::Identity;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::failed_part::{FAILED_READ_BYTES, FailedPart, FailedSide, ReadFailed};
use crate::store::inspection::{ClearFailed, FailedJob, RemoveFailed, Retried, RetryFailed};

impl Perform<RemoveFailed> for SqliteStore {
    async fn perform(&self, arrow: RemoveFailed) -> Result<Vec<bool>, StoreError> {
        self.writer.call(move |step| in_parts(step, &arrow.records, |one| remove_failed(step, &one.record))).await
    }
}

impl Perform<ClearFailed> for SqliteStore {
    async fn perform(&self, _: ClearFailed) -> Result<u64, StoreError> {
        clear_failed(&self.writer).await
    }
}

impl Perform<RetryFailed> for SqliteStore {
    async fn perform(&self, arrow: RetryFailed) -> Result<Vec<Retried>, StoreError> {
        self.writer.call(move |step| in_parts(step, &arrow.jobs, |job| retry_failed(step, job))).await
    }
}

/// Handles each in turn, up to the first that the file refuses for good; its error, if that is the first of all.
fn in_parts<T, R>(
    step: &Step<'_>,
    all: &[T],
    mut handle: impl FnMut(&T) -> Result<R, StoreError>,
) -> Result<Vec<R>, StoreError> {
    let mut outcomes = Vec::with_capacity(all.len());
    for one in all {
        match step.part(|| handle(one))? {
            Ok(outcome) => outcomes.push(outcome),
            Err(refused) if outcomes.is_empty() => return Err(refused),
            Err(_) => break,
        }
    }
    Ok(outcomes)
}

/// How many failed jobs there are.
pub(super) fn count(step: &Step<'_>) -> Result<u64, StoreError> {
    Ok(step
        .sql("SELECT CAST(total(jobs) AS INTEGER) FROM failed_blocks")?
        .query_row([], |row| Ok(counted(row.get(0)?)))?)
}

/// Some records from a position on or before it, as many as one step holds. A position is found by the blocks before it, so
/// that only a part of one block is walked through.
pub(super) fn part(step: &Step<'_>, arrow: &ReadFailed) -> Result<FailedPart, StoreError> {
    let length = i64::try_from(count(step)?).unwrap_or(i64::MAX);
    let (position, is_back) = match arrow.side {
        FailedSide::From(position) => (position, false),
        FailedSide::Before(end) => (end.min(length).saturating_sub(1), true),
    };
    let mut part = FailedPart { position, records: Vec::new() };
    if !(0..length).contains(&position) {
        return Ok(part);
    }
    let (first, offset) = place_of(step, position)?;
    let at = "SELECT place FROM failed WHERE place >= ?1 ORDER BY place LIMIT 1 OFFSET ?2";
    let Some(place) = step.sql(at)?.query_row([first, offset], |row| row.get::<_, i64>(0)).optional()? else {
        return Ok(part);
    };
    let mut select = step.sql(if is_back {
        "SELECT record FROM failed WHERE place <= ?1 ORDER BY place DESC LIMIT ?2"
    } else {
        "SELECT record FROM failed WHERE place >= ?1 ORDER BY place LIMIT ?2"
    })?;
    part.records = Room::new(FAILED_READ_BYTES).fill(&mut select.query([place, stored(arrow.most)])?, lengths::job)?;
    Ok(part)
}

/// The first place of the block in which a position stands, and how many records stand in the block before it.
fn place_of(step: &Step<'_>, position: i64) -> Result<(i64, i64), StoreError> {
    let mut blocks = step.sql("SELECT block << 10, CAST(jobs AS INTEGER) FROM failed_blocks ORDER BY block")?;
    let (mut rows, mut before) = (blocks.query([])?, position);
    let mut first = i64::MIN;
    while let Some(row) = rows.next()? {
        let jobs: i64 = row.get(1)?;
        first = row.get(0)?;
        if before < jobs {
            break;
        }
        before -= jobs;
    }
    Ok((first, before))
}

/// Where the first record of exactly these bytes stands.
fn find_failed(step: &Step<'_>, record: &[u8]) -> Result<Option<i64>, StoreError> {
    Ok(step
        .sql("SELECT min(place) FROM failed WHERE digest = ?1 AND record = ?2")?
        .query_row(params![digest(record), record], |row| row.get(0))?)
}

fn delete_failed(step: &Step<'_>, place: i64) -> Result<(), StoreError> {
    step.change("failed", "DELETE FROM failed WHERE place = ?1", [place])
}

/// Removes all failure records that stand now, some at a time.
async fn clear_failed(writer: &Handle) -> Result<u64, StoreError> {
    let last = |step: &Step<'_>| {
        Ok(step.sql("SELECT max(place) FROM failed")?.query_row([], |row| row.get::<_, Option<i64>>(0))?)
    };
    let Some(last) = writer.call(last).await? else { return Ok(0) };
    let delete = move |step: &Step<'_>| {
        let sql =
            "DELETE FROM failed WHERE place IN (SELECT place FROM failed WHERE place <= ?1 ORDER BY place LIMIT ?2)";
        let most = usize::try_from(search::DELETED).unwrap_or(usize::MAX);
        step.change_up_to(most, "failed", sql, [last, search::DELETED], || {
            step.finds("SELECT 1 FROM failed WHERE place <= ?1", [last])
        })
    };
    search::repeated(writer, delete).await
}

/// Removes the first record of exactly these bytes.
fn remove_failed(step: &Step<'_>, record: &[u8]) -> Result<bool, StoreError> {
    let found = find_failed(step, record)?;
    found.map_or(Ok(()), |place| delete_failed(step, place))?;
    Ok(found.is_some())
}

/// Failed -> queue.
fn retry_failed(step: &Step<'_>, job: &FailedJob) -> Result<Retried, StoreError> {
    let FailedJob { failed, queue, payload, admissions, identity, .. } = job;
    let Some(place) = find_failed(step, &failed.record)? else { return Ok(Retried::Gone) };
    if let Some(plugin) = enqueue::refused(step, admissions, job.goes())? {
        return Ok(Retried::Refused { plugin });
    }
    delete_failed(step, place)?;
    enqueue::take_locks(step, admissions)?;
    enqueue::make_known(step, queue)?;
    enqueue::push_tail(step, queue, job.goes(), identity.as_ref().map(Identity::encode).as_deref())?;
    retries::forget_job(step, payload)?;
    Ok(Retried::Yes)
}
