//! What ran: added in the transaction of an extension or of the last call of an instance, read row by row.

use rusqlite::{OptionalExtension as _, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::{bytes, number, text};
use crate::event::tally::{OTHER, is_reserved};
use crate::job::run_counts::added;
use crate::job::{RunCounts, TaskName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::history::{
    Buckets, HistoryStep, LONGEST_COUNTS, LONGEST_NAME, MOST_TASKS, Ran, ReadHistory, ReadTaskHistory, TaskSums,
};
use crate::store::unreadable::{PassedOver, RecordKind};

/// How many rows of each step that have had their time are removed with a batch.
const PRUNED: i64 = 1000;

/// How many rows of a bucket are read at most with all their tasks. We write fewer; other programs may write any number.
const MOST_ROWS: usize = 4 * MOST_TASKS;

/// The rows of a bucket, of which what is too long is not read.
macro_rules! rows_of_bucket {
    () => {
        "SELECT CASE WHEN octet_length(task) <= ?3 THEN task ELSE substr(task, 1, 64) END, \
         CASE WHEN octet_length(task) <= ?3 AND octet_length(counts) <= ?4 THEN counts ELSE '' END \
         FROM history WHERE step = ?1 AND minute = ?2 "
    };
}

impl Perform<ReadHistory> for SqliteStore {
    async fn perform(&self, arrow: ReadHistory) -> Result<Vec<(i64, RunCounts)>, StoreError> {
        self.reader.call(move |step| history(step, &arrow)).await
    }
}

impl Perform<ReadTaskHistory> for SqliteStore {
    async fn perform(&self, arrow: ReadTaskHistory) -> Result<Vec<(TaskName, RunCounts)>, StoreError> {
        self.reader.call(move |step| task_history(step, arrow.buckets.bounded())).await
    }
}

/// Adds the batches of a registered instance that were not added yet; returns the sequence of the last one that was.
pub(super) fn take(step: &Step<'_>, instance: &str, batches: &[Ran]) -> Result<u64, StoreError> {
    let mut taken = taken(step, instance)?;
    for batch in batches {
        if batch.sequence <= taken {
            continue;
        }
        taken = batch.sequence;
        step.change("instances", "UPDATE instances SET ran = ?2 WHERE id = ?1", params![instance, stored(taken)])?;
        for length in HistoryStep::ALL {
            let minute = length.bucket_at(step.now_ms);
            for (task, counts) in batch.tasks.iter().chain([&batch.all()]) {
                add(step, (length, minute), task.as_str(), counts)?;
            }
            prune(step, length)?;
        }
    }
    Ok(taken)
}

/// The sequence of the last batch of an instance that was added.
pub(super) fn taken(step: &Step<'_>, instance: &str) -> Result<u64, StoreError> {
    let mut select = step.sql("SELECT ran FROM instances WHERE id = ?1")?;
    Ok(select.query_row([instance], |row| Ok(number(row.get_ref(0)?))).optional()?.unwrap_or(0))
}

fn add(step: &Step<'_>, bucket: (HistoryStep, i64), task: &str, counts: &RunCounts) -> Result<(), StoreError> {
    let (length, minute) = bucket;
    let mut select = step.sql("SELECT counts FROM history WHERE step = ?1 AND minute = ?2 AND task = ?3")?;
    let mut kept = |task: &str| {
        let row = params![length.minutes(), minute, task];
        select.query_row(row, |row| Ok(bytes(row.get_ref(0)?))).optional()
    };
    let (mut task, mut before) = (task, kept(task)?);
    if before.is_none() && !is_reserved(task) && tasks_in(step, bucket)? >= MOST_TASKS {
        (task, before) = (OTHER, kept(OTHER)?);
    }
    let before = before.unwrap_or_default();
    let text = added(&before, counts).unwrap_or_else(|| {
        let shown = String::from_utf8_lossy(before.get(..80).unwrap_or(&before)).into_owned();
        let text = format!("{shown:?} in the table history are no counts of what ran of {task:?}; they begin anew");
        step.findings().tell(&format!("counts of {task}"), text);
        counts.packed()
    });
    let sql = "INSERT OR REPLACE INTO history (step, minute, task, counts) VALUES (?1, ?2, ?3, ?4)";
    step.change("history", sql, params![length.minutes(), minute, task, text])
}

fn tasks_in(step: &Step<'_>, (length, minute): (HistoryStep, i64)) -> Result<usize, StoreError> {
    let mut select =
        step.sql("SELECT COUNT(*) FROM (SELECT 1 FROM history WHERE step = ?1 AND minute = ?2 LIMIT ?3)")?;
    // No more are counted than matter: another program may have written any number.
    let count: i64 = select.query_row([length.minutes(), minute, stored(MOST_TASKS)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn prune(step: &Step<'_>, length: HistoryStep) -> Result<(), StoreError> {
    let sql = "DELETE FROM history WHERE (step, minute, task) IN \
               (SELECT step, minute, task FROM history WHERE step = ?1 AND minute < ?2 LIMIT ?3)";
    let oldest = length.bucket_at(step.now_ms) - length.kept_minutes() - length.minutes();
    step.sweep(sql, [length.minutes(), oldest, PRUNED])
}

fn history(step: &Step<'_>, arrow: &ReadHistory) -> Result<Vec<(i64, RunCounts)>, StoreError> {
    let ReadHistory { task, buckets } = arrow;
    let mut select = step.sql(
        "SELECT CASE WHEN octet_length(counts) <= ?4 THEN counts ELSE '!' END FROM history \
         WHERE step = ?1 AND minute = ?2 AND task = ?3",
    )?;
    let (mut history, mut passed) = (Vec::new(), PassedOver::of_some(RecordKind::Counts));
    for minute in buckets.begins() {
        let row = params![buckets.step.minutes(), minute, task.as_str(), stored(LONGEST_COUNTS)];
        let text = select.query_row(row, |row| Ok(bytes(row.get_ref(0)?))).optional()?;
        match text.as_deref().map(RunCounts::unpack) {
            Some(Some(counts)) => history.push((minute, counts)),
            Some(None) => pass_over(&mut passed, task.as_str().as_bytes()),
            None => {}
        }
    }
    step.findings().passed_over(&passed, "the table history");
    Ok(history)
}

fn task_history(step: &Step<'_>, buckets: Buckets) -> Result<Vec<(TaskName, RunCounts)>, StoreError> {
    let (mut tasks, mut passed) = (TaskSums::default(), PassedOver::of_some(RecordKind::Counts));
    // The sums for all tasks must not be missed among the rows of others.
    let mut sums = step.sql(concat!(rows_of_bucket!(), "AND task IN ('_all', '_other', '_unknown') LIMIT ?5"))?;
    let mut others =
        step.sql(concat!(rows_of_bucket!(), "AND task NOT IN ('_all', '_other', '_unknown') ORDER BY task LIMIT ?5"))?;
    let longest = (stored(LONGEST_NAME), stored(LONGEST_COUNTS));
    for minute in buckets.begins() {
        let these = params![buckets.step.minutes(), minute, longest.0, longest.1, stored(MOST_ROWS) + 1];
        tasks.next_bucket();
        for select in [&mut sums, &mut others] {
            let (mut rows, mut read) = (select.query(these)?, 0);
            while let Some(row) = rows.next()? {
                let task = text(row.get_ref(0)?);
                read += 1;
                if read > MOST_ROWS {
                    pass_over(&mut passed, b"tasks beyond those that a bucket has room for");
                    break;
                }
                // What is empty was too long to be read.
                let counts = bytes(row.get_ref(1)?);
                match RunCounts::unpack(&counts).filter(|_| !counts.is_empty()) {
                    Some(counts) => tasks.add(TaskName::as_stored(&task), &counts),
                    None => pass_over(&mut passed, task.as_bytes()),
                }
            }
        }
    }
    step.findings().passed_over(&passed, "the table history");
    Ok(tasks.into_tasks())
}

fn pass_over(passed: &mut PassedOver, task: &[u8]) {
    passed.add(task, "no counts of Windlass");
}
