//! Rows of `working`, and the record they are shown as.

use bytes::Bytes;
use rusqlite::{CachedStatement, OptionalExtension, Row, params};

use super::effect::{changed, ignored};
use super::number::count;
use super::step::Step;
use super::value::{bytes, opt_int, opt_text, text};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName};
use crate::store::effect::Verdict;
use crate::store::error::StoreError;
use crate::store::rejoin::HeldJob;
use crate::store::working::{WorkingRecord, encode};

/// The columns that [`record`] reads, in order.
macro_rules! columns {
    () => {
        "claim, queue, run_at, payload, identity"
    };
}

/// The columns that [`listed`] reads, in order: no more of each than a listing shows. The first parameter says how much of the
/// job.
macro_rules! listed_columns {
    () => {
        "substr(claim, 1, 200), substr(queue, 1, 1024), substr(run_at, 1, 100), substr(payload, 1, ?1), \
         substr(identity, 1, 400), octet_length(payload)"
    };
}
pub(super) use listed_columns;

/// Reads a row that holds [`listed_columns`] from `first` on.
pub(super) fn listed(worker: &WorkerName, row: &Row<'_>, first: usize) -> rusqlite::Result<WorkingRecord> {
    let record = record(worker, row, first)?;
    let (read, length) = (record.payload.as_ref().map_or(0, Bytes::len) as u64, opt_int(row.get_ref(first + 5)?));
    Ok(WorkingRecord { left_out: length.map_or(0, count).saturating_sub(read), ..record })
}

/// Reads a row that holds [`columns`] from `first` on.
pub(super) fn record(worker: &WorkerName, row: &Row<'_>, first: usize) -> rusqlite::Result<WorkingRecord> {
    let column = |offset| row.get_ref(first + offset);
    let (claim, queue, run_at) = (text(column(0)?), text(column(1)?), text(column(2)?));
    let payload = Bytes::from(bytes(column(3)?));
    let stored = opt_text(column(4)?).as_deref().and_then(Identity::decode);
    let claim = ClaimToken::as_stored(&claim);
    let raw = encode(worker, &claim, stored.as_ref(), &run_at, &queue, &payload);
    Ok(WorkingRecord {
        worker: worker.clone(),
        identity: Some(stored.unwrap_or_else(|| Identity::first(&claim))),
        claim: Some(claim),
        queue: Some(QueueName::as_stored(&queue)),
        run_at: Some(run_at),
        payload: Some(payload),
        raw,
        left_out: 0,
    })
}

/// The working record of a worker.
pub(super) fn of(step: &Step<'_>, worker: &WorkerName) -> Result<Option<WorkingRecord>, StoreError> {
    let mut select = step.sql(concat!("SELECT ", columns!(), " FROM working WHERE worker = ?1"))?;
    Ok(select.query_row([worker.id()], |row| record(worker, row, 0)).optional()?)
}

/// Ends claims, with one statement for all claims of a step.
pub(super) struct Ending<'a>(CachedStatement<'a>);

impl<'a> Ending<'a> {
    pub(super) fn prepare(step: &Step<'a>) -> Result<Self, StoreError> {
        Ok(Self(step.sql("DELETE FROM working WHERE worker = ?1 AND claim = ?2")?))
    }

    /// Ends a claim; false if it was lost before.
    pub(super) fn end(&mut self, step: &Step<'_>, worker: &WorkerName, claim: &ClaimToken) -> Result<bool, StoreError> {
        let ended = changed(&mut self.0, [worker.id(), claim.as_str()])? == 1;
        if !ended && stands(step, worker, claim)? { Err(ignored("working")) } else { Ok(ended) }
    }
}

/// When the job of a worker came to its queue, where the verdict gives it back to that.
pub(super) fn came_ms(step: &Step<'_>, worker: &WorkerName, verdict: &Verdict) -> Result<Option<i64>, StoreError> {
    if !matches!(verdict, Verdict::Requeued { .. }) {
        return Ok(None);
    }
    let mut select = step.sql("SELECT enqueued_ms FROM working WHERE worker = ?1")?;
    Ok(select.query_row([worker.id()], |row| Ok(opt_int(row.get_ref(0)?))).optional()?.flatten())
}

/// Is this claim on record?
pub(super) fn stands(step: &Step<'_>, worker: &WorkerName, claim: &ClaimToken) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM working WHERE worker = ?1 AND claim = ?2", params![worker.id(), claim.as_str()])
}

/// Does a record stand under this worker?
fn is_on_record(step: &Step<'_>, worker: &WorkerName) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM working WHERE worker = ?1", [worker.id()])
}

/// Removes the working record of a worker.
pub(super) fn remove(step: &Step<'_>, worker: &WorkerName) -> Result<(), StoreError> {
    let sql = "DELETE FROM working WHERE worker = ?1";
    step.change_up_to(1, "working", sql, [worker.id()], || is_on_record(step, worker)).map(drop)
}

/// Records a claimed job under its worker, unless a record stands there.
pub(super) fn put(step: &Step<'_>, job: &HeldJob) -> Result<(), StoreError> {
    let identity = (job.identity != Identity::first(&job.claim)).then(|| job.identity.encode());
    if is_on_record(step, &job.worker)? {
        return Ok(());
    }
    step.change(
        "working",
        "INSERT INTO working (worker, claim, queue, run_at, payload, identity) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![job.worker.id(), job.claim.as_str(), job.queue.as_str(), job.run_at, &job.payload[..], identity],
    )
}
