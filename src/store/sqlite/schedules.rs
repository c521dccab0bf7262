//! Schedules that enqueue tasks with arguments: their last occurrences.

use rusqlite::{OptionalExtension, params};

use super::engine::SqliteStore;
use super::enqueue;
use super::step::Step;
use super::value;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::queueing::Enqueued;
use crate::store::scheduling::{Fire, Fired, LastFired};

impl Perform<LastFired> for SqliteStore {
    async fn perform(&self, arrow: LastFired) -> Result<Vec<Option<i64>>, StoreError> {
        self.reader.call(move |step| last_fired(step, &arrow.ids)).await
    }
}

impl Perform<Fire> for SqliteStore {
    async fn perform(&self, arrow: Fire) -> Result<Fired, StoreError> {
        self.writer.call(move |step| fire(step, &arrow)).await
    }
}

/// The last occurrence of each of these.
pub(super) fn last_fired(step: &Step<'_>, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
    ids.iter().map(|id| last(step, id)).collect()
}

fn last(step: &Step<'_>, id: &str) -> Result<Option<i64>, StoreError> {
    let mut select = step.sql("SELECT last_s FROM schedules WHERE id = ?1")?;
    Ok(select.query_row([id], |row| Ok(value::second(row.get_ref(0)?))).optional()?.flatten())
}

/// Remembers an occurrence and enqueues its job, unless another was faster.
pub(super) fn fire(step: &Step<'_>, fire: &Fire) -> Result<Fired, StoreError> {
    if last(step, &fire.id)? != fire.seen_s {
        return Ok(Fired::No);
    }
    let sql = "INSERT OR REPLACE INTO schedules (id, last_s) VALUES (?1, ?2)";
    step.change("schedules", sql, params![fire.id, fire.last_s])?;
    let Some(job) = &fire.job else { return Ok(Fired::Yes(Enqueued::Yes)) };
    let mut outcomes = enqueue::enqueue(step, std::slice::from_ref(job))?;
    Ok(Fired::Yes(outcomes.pop().unwrap_or(Enqueued::Yes)))
}
