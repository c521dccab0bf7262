//! Leaderships: who does what one instance should do.

use rusqlite::{OptionalExtension, params};

use super::commit::Step;
use super::number::stored;
use crate::store::error::StoreError;
use crate::store::scheduling::Leadership;

fn name(which: Leadership) -> &'static str {
    match which {
        Leadership::Scheduler => "scheduler",
        Leadership::Duties => "duties",
    }
}

/// Who holds a leadership.
pub(super) fn leader(step: &Step<'_>, which: Leadership) -> Result<Option<String>, StoreError> {
    let mut select = step.sql("SELECT owner FROM leaders WHERE name = ?1 AND expires_ms > ?2")?;
    Ok(select.query_row(params![name(which), step.now_ms], |row| row.get(0)).optional()?)
}

/// Takes a free leadership or renews one's own.
pub(super) fn lead(step: &Step<'_>, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
    if leader(step, which)?.is_some_and(|leader| leader != owner) {
        return Ok(false);
    }
    let expires_ms = step.now_ms.saturating_add(stored(ttl_ms));
    step.sql("INSERT OR REPLACE INTO leaders (name, owner, expires_ms) VALUES (?1, ?2, ?3)")?.execute(params![
        name(which),
        owner,
        expires_ms
    ])?;
    Ok(true)
}

/// Gives a leadership back.
pub(super) fn resign(step: &Step<'_>, which: Leadership, owner: &str) -> Result<(), StoreError> {
    let mut delete = step.sql("DELETE FROM leaders WHERE name = ?1 AND owner = ?2")?;
    if delete.execute([name(which), owner])? > 0 {
        step.wake();
    }
    Ok(())
}
