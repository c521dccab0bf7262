//! Where a job goes when its claim ends, and the counters that go with it.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::params;

use super::digest::digest;
use super::number::stored;
use super::retries::{self, Attempt};
use super::step::Step;
use super::{delayed, enqueue};
use crate::job::{QueueName, WorkerName};
use crate::store::effect::Verdict;
use crate::store::error::StoreError;

/// What a step adds to the counters, once per worker and not once per job.
#[derive(Debug, Clone, Default)]
pub(super) struct CounterDeltas {
    processed: u64,
    failed: u64,
    workers: HashMap<WorkerName, (u64, u64)>,
}

impl CounterDeltas {
    fn add(&mut self, worker: &WorkerName, processed: u64, failed: u64) {
        self.processed += processed;
        self.failed += failed;
        let worker = self.workers.entry(worker.clone()).or_default();
        worker.0 += processed;
        worker.1 += failed;
    }

    /// Counts a failure that no worker's counter shows.
    pub(super) fn failed(&mut self) {
        self.failed += 1;
    }

    /// Writes what was counted.
    pub(super) fn write(self, step: &Step<'_>) -> Result<(), StoreError> {
        for (name, count) in [("processed", self.processed), ("failed", self.failed)] {
            if count > 0 {
                add(step, name, count)?;
            }
        }
        for (worker, (processed, failed)) in self.workers {
            add_of_worker(step, &worker, processed, failed)?;
        }
        Ok(())
    }
}

/// Adds to the counters of a worker, if it is still registered.
fn add_of_worker(step: &Step<'_>, worker: &WorkerName, processed: u64, failed: u64) -> Result<(), StoreError> {
    const ADD: &str = "UPDATE stats SET value = value + ?2, other = other + ?3 WHERE name = 'worker:' || ?1";
    const BEGIN: &str = "INSERT INTO stats (name, value, other) \
         SELECT 'worker:' || ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM workers WHERE id = ?1)";
    let values = params![worker.id(), stored(processed), stored(failed)];
    let counted = || step.finds("SELECT 1 FROM stats WHERE name = 'worker:' || ?1", [worker.id()]);
    if step.change_up_to(1, "stats", ADD, values, counted)? == 0 {
        // The first job of this worker.
        let registered = || step.finds("SELECT 1 FROM workers WHERE id = ?1", [worker.id()]);
        step.change_up_to(1, "stats", BEGIN, values, registered)?;
    }
    Ok(())
}

/// Forgets what a worker did, because it is no more.
pub(super) fn forget_worker(step: &Step<'_>, worker: &WorkerName) -> Result<(), StoreError> {
    const FORGET: &str = "DELETE FROM stats WHERE name = 'worker:' || ?1";
    let counted = || step.finds("SELECT 1 FROM stats WHERE name = 'worker:' || ?1", [worker.id()]);
    step.change_up_to(1, "stats", FORGET, [worker.id()], counted).map(drop)
}

/// Adds to one of the counters for all workers, unless somebody removed it.
pub(super) fn add(step: &Step<'_>, name: &str, count: u64) -> Result<(), StoreError> {
    let sql = "UPDATE stats SET value = value + ?2 WHERE name = ?1";
    let stands = || step.finds("SELECT 1 FROM stats WHERE name = ?1", [name]);
    step.change_up_to(1, "stats", sql, params![name, stored(count)], stands).map(drop)
}

/// Carries a verdict out. The caller removes the working record, which says when the job came to its queue (`came_ms`).
/// Returns the outcome of a failed attempt.
pub(super) fn carry_out(
    step: &Step<'_>,
    deltas: &mut CounterDeltas,
    worker: &WorkerName,
    queue: &QueueName,
    payload: &Bytes,
    verdict: &Verdict,
    came_ms: Option<i64>,
) -> Result<Option<Attempt>, StoreError> {
    match verdict {
        Verdict::Done => deltas.add(worker, 1, 0),
        Verdict::DoneAtLast { keys } => {
            retries::forget(step, keys)?;
            deltas.add(worker, 1, 0);
        }
        Verdict::Vetoed { retry } => {
            if let Some(keys) = retry {
                retries::forget(step, keys)?;
            }
        }
        Verdict::Attempted(retry) => {
            let attempt = retries::count(step, retry)?;
            match (attempt, &retry.last) {
                (Attempt::Repeated { delay_ms, .. }, _) => {
                    delayed::put_off(step, delay_ms, queue, payload, &retry.identity)?;
                    deltas.add(worker, 0, 1);
                }
                (Attempt::Last, Some(record)) => {
                    fail(step, record)?;
                    deltas.add(worker, 0, 1);
                }
                (Attempt::Last, None) => deltas.add(worker, 1, 0),
            }
            return Ok(Some(attempt));
        }
        Verdict::Failed { record } => {
            fail(step, record)?;
            deltas.add(worker, 0, 1);
        }
        Verdict::Delayed { delay_ms, identity } => delayed::put_off(step, *delay_ms, queue, payload, identity)?,
        Verdict::Requeued { identity } => {
            enqueue::make_known(step, queue)?;
            enqueue::give_back(step, queue, payload, Some(&identity.encode()), came_ms)?;
        }
    }
    Ok(None)
}

/// Puts a record at the end of the failed list.
pub(super) fn fail(step: &Step<'_>, record: &[u8]) -> Result<(), StoreError> {
    step.change("failed", "INSERT INTO failed (digest, record) VALUES (?1, ?2)", params![digest(record), record])
}

/// Writes a failure record that is older than all others.
pub(super) fn fail_first(step: &Step<'_>, record: &[u8]) -> Result<(), StoreError> {
    step.change(
        "failed",
        "INSERT INTO failed (place, digest, record) \
         VALUES (coalesce((SELECT min(place) FROM failed WHERE place > -9007199254740992), 1) - 1, ?1, ?2)",
        params![digest(record), record],
    )
}
