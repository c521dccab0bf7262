//! Gives a queue another name.

use rusqlite::params;

use super::engine::SqliteStore;
use super::enqueue;
use super::number::stored;
use super::room::Room;
use super::step::Step;
use super::value::{AnyValue, bytes, text};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{RENAMED_BYTES, RenameQueue, Renamed};

impl Perform<RenameQueue> for SqliteStore {
    async fn perform(&self, arrow: RenameQueue) -> Result<Renamed, StoreError> {
        self.writer.call(move |step| rename(step, &arrow)).await
    }
}

fn rename(step: &Step<'_>, RenameQueue { name, to, most }: &RenameQueue) -> Result<Renamed, StoreError> {
    const KNOWN: &str = "SELECT 1 FROM queues WHERE name = ?1";
    let mut renamed = Renamed { known: false, moved: 0, more: false };
    let mut size = Room::new(RENAMED_BYTES);
    // Another program may have written the bytes as a text or as a blob, and neither equals the other.
    for from in [AnyValue::Text(name.to_vec()), AnyValue::Blob(name.to_vec())] {
        let room = most.saturating_sub(usize::try_from(renamed.moved).unwrap_or(usize::MAX));
        let mut select =
            step.sql("SELECT position, payload, identity FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2")?;
        let jobs = size.fill(&mut select.query(params![from, stored(room)])?, |row| {
            let identity = row.get_ref(2)?;
            let identity = (identity != rusqlite::types::ValueRef::Null).then(|| text(identity));
            let payload = bytes(row.get_ref(1)?);
            Ok((payload.len(), (row.get::<_, AnyValue>(0)?, payload, identity)))
        })?;
        if !jobs.is_empty() {
            enqueue::make_known(step, to)?;
        }
        for (position, payload, identity) in jobs {
            enqueue::push_tail(step, to, &payload, identity.as_deref())?;
            step.change("jobs", "DELETE FROM jobs WHERE queue = ?1 AND position = ?2", params![from, position])?;
            renamed.moved += 1;
        }
        let more = step.finds("SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1", [&from])?;
        let known = step.finds(KNOWN, [&from])?;
        renamed.more |= more;
        renamed.known |= known || more || renamed.moved > 0;
        if known && !more {
            step.change("queues", "DELETE FROM queues WHERE name = ?1", [&from])?;
        }
    }
    Ok(renamed)
}
