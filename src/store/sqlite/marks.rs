//! Marks of enqueues that are done once.

use rusqlite::{OptionalExtension as _, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::bytes;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::marks::{KEPT_S, Mark, ReadMark};

/// How many marks that have lapsed a step removes at most that writes one.
const SWEPT: i64 = 20;

impl Perform<ReadMark> for SqliteStore {
    async fn perform(&self, arrow: ReadMark) -> Result<Option<String>, StoreError> {
        self.reader.call(move |step| read(step, &arrow.key)).await
    }
}

fn read(step: &Step<'_>, key: &str) -> Result<Option<String>, StoreError> {
    let mut select = step.sql("SELECT mark FROM marks WHERE key = ?1 AND lapses_ms > ?2")?;
    let text = |row: &rusqlite::Row<'_>| Ok(String::from_utf8_lossy(&bytes(row.get_ref(0)?)).into_owned());
    Ok(select.query_row(params![key, step.now_ms], text).optional()?)
}

/// Does a mark stand under this key?
pub(super) fn stands(step: &Step<'_>, key: &str) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM marks WHERE key = ?1 AND lapses_ms > ?2", params![key, step.now_ms])
}

/// Writes a mark where none stands, and removes some that have lapsed.
pub(super) fn set(step: &Step<'_>, mark: &Mark, second: Option<i64>) -> Result<(), StoreError> {
    step.sweep(
        "DELETE FROM marks WHERE key IN (SELECT key FROM marks WHERE lapses_ms <= ?1 ORDER BY lapses_ms LIMIT ?2)",
        params![step.now_ms, SWEPT],
    )?;
    let lapses_ms = step.now_ms.saturating_add(stored(KEPT_S).saturating_mul(1000));
    step.change(
        "marks",
        "INSERT INTO marks (key, mark, lapses_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT (key) DO UPDATE SET mark = excluded.mark, lapses_ms = excluded.lapses_ms",
        params![mark.key, mark.text(second), lapses_ms],
    )
}
