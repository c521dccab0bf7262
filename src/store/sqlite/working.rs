//! Rows of `working`, and the record they are shown as.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::commit::Step;
use super::value::{bytes, opt_text, text};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName, ecma};
use crate::store::error::StoreError;
use crate::store::working::WorkingRecord;

/// The columns that [`record`] reads, in order.
macro_rules! columns {
    () => {
        "claim, queue, run_at, payload, identity"
    };
}
pub(super) use columns;

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
    })
}

/// The working record of a worker.
pub(super) fn of(step: &Step<'_>, worker: &WorkerName) -> Result<Option<WorkingRecord>, StoreError> {
    let mut select = step.sql(concat!("SELECT ", columns!(), " FROM working WHERE worker = ?1"))?;
    Ok(select.query_row([worker.id()], |row| record(worker, row, 0)).optional()?)
}

/// Ends a claim; false if it was lost before.
pub(super) fn end(step: &Step<'_>, worker: &WorkerName, claim: &ClaimToken) -> Result<bool, StoreError> {
    let mut delete = step.sql("DELETE FROM working WHERE worker = ?1 AND claim = ?2")?;
    Ok(delete.execute(params![worker.id(), claim.as_str()])? == 1)
}

/// Is this claim on record?
pub(super) fn stands(step: &Step<'_>, worker: &WorkerName, claim: &ClaimToken) -> Result<bool, StoreError> {
    Ok(step
        .sql("SELECT 1 FROM working WHERE worker = ?1 AND claim = ?2")?
        .exists(params![worker.id(), claim.as_str()])?)
}

/// Removes the working record of a worker.
pub(super) fn remove(step: &Step<'_>, worker: &WorkerName) -> Result<(), StoreError> {
    step.sql("DELETE FROM working WHERE worker = ?1")?.execute([worker.id()])?;
    Ok(())
}

/// The record as the Redis engine writes it.
fn encode(
    worker: &WorkerName,
    claim: &ClaimToken,
    identity: Option<&Identity>,
    run_at: &str,
    queue: &str,
    payload: &[u8],
) -> Bytes {
    let identity = identity.map_or_else(String::new, |identity| {
        let Identity { id, attempt, redelivered, later } = identity;
        let id = ecma::quote(id);
        format!(",\"id\":{id},\"attempt\":{attempt},\"redelivered\":{redelivered},\"later\":{later}")
    });
    let head = format!(
        "{{\"claim\":{}{identity},\"run_at\":{},\"queue\":{},\"worker\":{},\"payload\":",
        ecma::quote(claim.as_str()),
        ecma::quote(run_at),
        ecma::quote(queue),
        ecma::quote(worker.name()),
    );
    let mut raw = Vec::with_capacity(head.len() + payload.len() + 3);
    raw.extend_from_slice(head.as_bytes());
    if payload.starts_with(b"{") && payload.ends_with(b"}") {
        raw.extend_from_slice(payload);
    } else {
        escape(payload, &mut raw);
    }
    raw.push(b'}');
    Bytes::from(raw)
}

/// A payload that is no object as a string, byte for byte recoverable.
fn escape(payload: &[u8], raw: &mut Vec<u8>) {
    raw.push(b'"');
    for &byte in payload {
        match byte {
            b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
            0..=0x1f | 0x7f => raw.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => raw.push(byte),
        }
    }
    raw.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_as_the_shared_reader_reads_it() {
        let worker = WorkerName::new("h-windlass:7+1", "*");
        let claim = ClaimToken::new("00ff", 0, 1, 2);
        let again = Identity::first(&claim).redelivered();
        for payload in [&br#"{"class":"a"}"#[..], b"{bad}", b"{", b"a\"\\\0\x7f\xff\n", b""] {
            for identity in [None, Some(&again)] {
                let raw = encode(&worker, &claim, identity, "2026", "q,\"payload\":", payload);
                let read = WorkingRecord::parse(&worker, raw);
                assert_eq!(read.claim.as_ref(), Some(&claim));
                assert_eq!(read.payload.as_deref(), Some(payload));
                assert_eq!(read.queue.unwrap().as_str(), "q,\"payload\":");
                assert_eq!(read.identity.unwrap(), identity.cloned().unwrap_or_else(|| Identity::first(&claim)));
            }
        }
    }
}
