//! Pauses: a row for each paused queue, and one under the empty name for everything.

use rusqlite::params;

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::text;
use crate::job::name::LONGEST_NAME;
use crate::job::{FirstQueues, QueueName};
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

/// How many paused queues are told at most. Anybody who writes to the file may pause any number.
const MOST: usize = 300_000;

/// What is paused.
pub(super) fn paused(step: &Step<'_>) -> Result<Paused, StoreError> {
    let mut select = step.sql("SELECT queue FROM paused WHERE queue <> ?1 AND octet_length(queue) <= ?3 LIMIT ?2")?;
    let (mut rows, mut first) =
        (select.query(params![EVERYTHING, stored(MOST), stored(LONGEST_NAME)])?, FirstQueues::new(MOST));
    while let Some(row) = rows.next()? {
        first.add(QueueName::as_stored(&text(row.get_ref(0)?)));
    }
    if first.kept() >= MOST {
        let told = format!("the table paused has {MOST} rows or more; only that many are looked at");
        step.findings().tell("pauses", told);
    }
    Ok(Paused { all: is_marked(step, None)?, queues: first.into_names().collect() })
}

/// The paused queues. Each is looked up when it is asked for, because anybody may pause any number.
pub(super) struct PausedQueues<'a, 's> {
    step: &'a Step<'s>,
    any: bool,
    all: bool,
}

impl<'a, 's> PausedQueues<'a, 's> {
    pub(super) fn read(step: &'a Step<'s>) -> Result<Self, StoreError> {
        let any = step.finds("SELECT 1 FROM paused LIMIT 1", [])?;
        Ok(Self { step, any, all: any && is_marked(step, None)? })
    }

    pub(super) fn holds(&self, queue: &QueueName) -> Result<bool, StoreError> {
        Ok(self.any && (self.all || is_marked(self.step, Some(queue))?))
    }
}
