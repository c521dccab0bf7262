//! The audit: `place` grows with each entry.

use bytes::Bytes;
use rusqlite::params;

use super::engine::SqliteStore;
use super::number::{count, stored};
use super::step::Step;
use super::value::{bytes, opt_int};
use crate::store::arrow::Perform;
use crate::store::audit::{ENTRY_BYTES, KEPT, KeepAudit, KeptEntry, ReadAudit};
use crate::store::error::StoreError;

impl Perform<KeepAudit> for SqliteStore {
    async fn perform(&self, arrow: KeepAudit) -> Result<(), StoreError> {
        self.writer.call(move |step| keep(step, &arrow.entry)).await
    }
}

impl Perform<ReadAudit> for SqliteStore {
    async fn perform(&self, arrow: ReadAudit) -> Result<Vec<KeptEntry>, StoreError> {
        self.reader.call(move |step| read(step, arrow)).await
    }
}

fn keep(step: &Step<'_>, entry: &[u8]) -> Result<(), StoreError> {
    step.change("audit", "INSERT INTO audit (entry) VALUES (?1)", [entry])?;
    let old = "SELECT 1 FROM audit WHERE place <= (SELECT max(place) FROM audit) - ?1";
    let sql = "DELETE FROM audit WHERE place <= (SELECT max(place) FROM audit) - ?1";
    step.change_up_to(usize::MAX, "audit", sql, [stored(KEPT)], || step.finds(old, [stored(KEPT)])).map(drop)
}

fn read(step: &Step<'_>, ReadAudit { skip, limit }: ReadAudit) -> Result<Vec<KeptEntry>, StoreError> {
    let mut select =
        step.sql("SELECT substr(entry, 1, ?3), octet_length(entry) FROM audit ORDER BY place DESC LIMIT ?1 OFFSET ?2")?;
    let read = |row: &rusqlite::Row<'_>| {
        let length = opt_int(row.get_ref(1)?).map_or(0, count);
        Ok(KeptEntry { bytes: Bytes::from(bytes(row.get_ref(0)?)), length })
    };
    Ok(select.query_map(params![stored(limit), stored(skip), stored(ENTRY_BYTES)], read)?.collect::<Result<_, _>>()?)
}
