//! Pauses: a row for each paused queue, and one under the empty name for everything.

use std::collections::HashSet;

use super::engine::SqliteStore;
use super::step::Step;
use super::value::text;
use crate::job::QueueName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{Pause, Paused, ReadPaused, Resume};

/// The name under which everything is paused. No queue has it.
const EVERYTHING: &str = "";

impl Perform<Pause> for SqliteStore {
    async fn perform(&self, arrow: Pause) -> Result<bool, StoreError> {
        self.writer.call(move |step| pause(step, arrow.queue.as_ref())).await
    }
}

impl Perform<Resume> for SqliteStore {
    async fn perform(&self, arrow: Resume) -> Result<bool, StoreError> {
        self.writer.call(move |step| resume(step, arrow.queue.as_ref())).await
    }
}

impl Perform<ReadPaused> for SqliteStore {
    async fn perform(&self, _: ReadPaused) -> Result<Paused, StoreError> {
        self.reader.call(paused).await
    }
}

fn name(queue: Option<&QueueName>) -> &str {
    queue.map_or(EVERYTHING, QueueName::as_str)
}

/// Pauses; false if it was paused before.
pub(super) fn pause(step: &Step<'_>, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    // Wakers look at pauses as well.
    step.wake();
    if is_marked(step, queue)? {
        return Ok(false);
    }
    step.change("paused", "INSERT INTO paused (queue) VALUES (?1)", [name(queue)])?;
    Ok(true)
}

/// Resumes; false if it was not paused.
pub(super) fn resume(step: &Step<'_>, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    step.wake();
    let sql = "DELETE FROM paused WHERE queue = ?1";
    Ok(step.change_up_to(1, "paused", sql, [name(queue)], || is_marked(step, queue))? == 1)
}

/// Does the mark of this pause stand?
fn is_marked(step: &Step<'_>, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM paused WHERE queue = ?1", [name(queue)])
}

/// What is paused.
pub(super) fn paused(step: &Step<'_>) -> Result<Paused, StoreError> {
    let paused = PausedQueues::read(step)?;
    let mut queues: Vec<QueueName> =
        paused.0.iter().filter(|name| *name != EVERYTHING).map(|name| QueueName::as_stored(name)).collect();
    queues.sort_by(|a, b| a.as_str().encode_utf16().cmp(b.as_str().encode_utf16()));
    Ok(Paused { all: paused.0.contains(EVERYTHING), queues })
}

/// The paused queues, read once for all queues of a call.
pub(super) struct PausedQueues(HashSet<String>);

impl PausedQueues {
    pub(super) fn read(step: &Step<'_>) -> Result<Self, StoreError> {
        let mut select = step.sql("SELECT queue FROM paused")?;
        let names = select.query_map([], |row| Ok(text(row.get_ref(0)?)))?;
        Ok(Self(names.collect::<Result<_, _>>()?))
    }

    pub(super) fn holds(&self, queue: &QueueName) -> bool {
        !self.0.is_empty() && (self.0.contains(EVERYTHING) || self.0.contains(queue.as_str()))
    }
}
