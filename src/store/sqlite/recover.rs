//! Jobs of dead owners, and workers that are force-cleaned.

use bytes::Bytes;

use super::commit::Step;
use super::engine::SqliteStore;
use super::verdict::{self, CounterDeltas};
use super::{lease, locks, periodic, retries, working};
use crate::job::WorkerName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::workers::{ForceClean, LockValues, Recovered, Recovery, SweepIdentities, WorkerLock, Working};
use crate::store::working::WorkingRecord;

impl Perform<Working> for SqliteStore {
    async fn perform(&self, arrow: Working) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        self.reader.call(move |step| working(step, &arrow.workers)).await
    }
}

impl Perform<Recovery> for SqliteStore {
    async fn perform(&self, arrow: Recovery) -> Result<Recovered, StoreError> {
        self.writer.call(move |step| recover(step, &arrow)).await
    }
}

impl Perform<SweepIdentities> for SqliteStore {
    async fn perform(&self, _: SweepIdentities) -> Result<u64, StoreError> {
        // The identity of a job is part of its row and ends with it.
        Ok(0)
    }
}

impl Perform<ForceClean> for SqliteStore {
    async fn perform(&self, arrow: ForceClean) -> Result<bool, StoreError> {
        self.writer
            .call(move |step| {
                force_clean(step, &arrow.worker, arrow.working.as_ref(), arrow.record.as_ref(), &arrow.free)
            })
            .await
    }
}

impl Perform<LockValues> for SqliteStore {
    async fn perform(&self, arrow: LockValues) -> Result<Vec<Option<String>>, StoreError> {
        self.reader.call(move |step| arrow.keys.iter().map(|key| locks::value(step, key)).collect()).await
    }
}

/// Moves the job of a dead owner where the verdict says, if the record still stands and the instance is still dead.
pub(super) fn recover(step: &Step<'_>, recovery: &Recovery) -> Result<Recovered, StoreError> {
    if let Some((instance, counter)) = &recovery.instance
        && !lease::stands_still(step, instance, *counter)?
    {
        return Ok(Recovered::No);
    }
    let worker = &recovery.record.worker;
    if !is_unchanged(step, worker, Some(&recovery.record))? {
        return Ok(Recovered::No);
    }
    working::remove(step, worker)?;
    // Registration and ping are one row here. The step that removed it also ended the job.
    if !step.sql("SELECT 1 FROM workers WHERE id = ?1")?.exists([worker.id()])? {
        return Ok(Recovered::AlreadyCleaned);
    }
    let mut deltas = CounterDeltas::default();
    verdict::carry_out(step, &mut deltas, worker, &recovery.queue, &recovery.payload, &recovery.verdict)?;
    deltas.write(step)?;
    if let Some(claim) = &recovery.record.claim {
        locks::free_owned(step, &recovery.free, claim)?;
    }
    if let Some(tick) = &recovery.tick {
        periodic::tick(step, tick)?;
    }
    Ok(Recovered::Yes)
}

/// Is the working record of a worker still this one, byte for byte?
fn is_unchanged(step: &Step<'_>, worker: &WorkerName, seen: Option<&WorkingRecord>) -> Result<bool, StoreError> {
    let stands = working::of(step, worker)?;
    Ok(stands.map(|record| record.raw) == seen.map(|record| record.raw.clone()))
}

/// Removes a worker with its working record, if the record is still the one that was seen.
pub(super) fn force_clean(
    step: &Step<'_>,
    worker: &WorkerName,
    seen: Option<&WorkingRecord>,
    record: Option<&Bytes>,
    free: &[WorkerLock],
) -> Result<bool, StoreError> {
    if !is_unchanged(step, worker, seen)? {
        return Ok(false);
    }
    working::remove(step, worker)?;
    step.sql("DELETE FROM workers WHERE id = ?1")?.execute([worker.id()])?;
    let claim = seen.and_then(|seen| seen.claim.as_ref());
    for lock in free {
        match (&lock.value, claim) {
            (Some(value), _) if locks::value(step, &lock.key)?.as_ref() == Some(value) => {
                locks::free(step, &lock.key)?;
            }
            (None, Some(claim)) => locks::free_owned(step, std::slice::from_ref(&lock.key), claim)?,
            _ => {}
        }
    }
    if let Some(record) = record {
        let mut deltas = CounterDeltas::default();
        verdict::fail(step, record)?;
        if let Some(payload) = seen.and_then(|seen| seen.payload.as_ref()) {
            // The job has failed for good, so its Retry counter ends.
            retries::forget_job(step, payload)?;
        }
        deltas.failed();
        deltas.write(step)?;
    }
    Ok(true)
}

/// The working records of these workers, in order.
pub(super) fn working(step: &Step<'_>, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
    workers.iter().map(|worker| working::of(step, worker)).collect()
}
