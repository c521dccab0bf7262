//! How far operations are: a row for each, until it lapses.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::bytes;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::operations::{KEPT_S, KeepOperation, LONGEST, ReadOperation};

/// How many records that have lapsed a step removes at most that writes one.
const SWEPT: i64 = 20;

impl Perform<KeepOperation> for SqliteStore {
    async fn perform(&self, arrow: KeepOperation) -> Result<(), StoreError> {
        self.writer.call(move |step| keep(step, &arrow)).await
    }
}

impl Perform<ReadOperation> for SqliteStore {
    async fn perform(&self, arrow: ReadOperation) -> Result<Option<Bytes>, StoreError> {
        self.reader.call(move |step| read(step, &arrow.id)).await
    }
}

fn keep(step: &Step<'_>, KeepOperation { id, record }: &KeepOperation) -> Result<(), StoreError> {
    step.sweep(
        "DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE lapses_ms <= ?1 ORDER BY lapses_ms LIMIT ?2)",
        params![step.now_ms, SWEPT],
    )?;
    let lapses_ms = step.now_ms.saturating_add(stored(KEPT_S).saturating_mul(1000));
    step.change(
        "operations",
        "INSERT INTO operations (id, record, lapses_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, lapses_ms = excluded.lapses_ms",
        params![id, &record[..], lapses_ms],
    )
}

fn read(step: &Step<'_>, id: &str) -> Result<Option<Bytes>, StoreError> {
    let mut select =
        step.sql("SELECT record FROM operations WHERE id = ?1 AND lapses_ms > ?2 AND octet_length(record) <= ?3")?;
    let record = |row: &rusqlite::Row<'_>| Ok(Bytes::from(bytes(row.get_ref(0)?)));
    Ok(select.query_row(params![id, step.now_ms, stored(LONGEST)], record).optional()?)
}
