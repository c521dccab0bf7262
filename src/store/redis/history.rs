//! What ran: sent with an extension or the last call of an instance (`history.lua`), read bucket by bucket.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::reply;
use super::script::{Call, Script, script};
use crate::job::{RunCounts, TaskName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::history::{LONGEST_COUNTS, LONGEST_NAME, MOST_TASKS, Ran, ReadHistory, ReadTaskHistory, TaskSums};
use crate::store::unreadable::{PassedOver, RecordKind};

/// In how many fields the counts of a task stand at most, as in `history.lua`.
const PIECES: usize = 4;

/// How many fields of a bucket are read at most: those of the tasks for which there is room, and of the names that always have
/// a place. Of tasks that find no room anybody may have written some more.
const MOST_FIELDS: usize = 2 * (MOST_TASKS + 3) * PIECES;

static TASK_HISTORY: Script = script!("task_history");
static TASK_COUNTS: Script = script!("task_counts");

impl Perform<ReadHistory> for RedisStore {
    async fn perform(&self, arrow: ReadHistory) -> Result<Vec<(i64, RunCounts)>, StoreError> {
        history(&self.connection, &arrow).await
    }
}

impl Perform<ReadTaskHistory> for RedisStore {
    async fn perform(&self, arrow: ReadTaskHistory) -> Result<Vec<(TaskName, RunCounts)>, StoreError> {
        task_history(&self.connection, &arrow).await
    }
}

/// Adds batches to a call, if there are any.
pub(super) fn ran(call: &mut Call, keys: &Keys, ran: &[Ran]) {
    if ran.is_empty() {
        return;
    }
    call.key(keys.history());
    for batch in ran {
        let (all, counts) = batch.all();
        call.number(batch.sequence).number(batch.tasks.len() + 1);
        for (task, counts) in batch.tasks.iter().chain([&(all, counts)]) {
            call.text(task.as_str()).arg(Bytes::from(counts.packed()));
        }
    }
}

async fn history(connection: &Connection, arrow: &ReadHistory) -> Result<Vec<(i64, RunCounts)>, StoreError> {
    let ReadHistory { task, buckets } = arrow;
    let mut call = connection.call();
    for minute in buckets.begins() {
        call.key(connection.keys().history_bucket(buckets.step, minute));
    }
    // One more byte shows that there is more.
    call.number(LONGEST_COUNTS + 1).number(PIECES);
    for piece in 1..=PIECES {
        call.arg(field(task, piece));
    }
    let answers = reply::list(connection.run(&TASK_COUNTS, call).await?)?;
    let (mut history, mut passed) = (Vec::new(), PassedOver::of_some(RecordKind::Counts));
    for (minute, answer) in buckets.begins().zip(answers) {
        let mut pieces = Vec::new();
        for piece in reply::list(answer)? {
            match reply::bytes(piece)? {
                Some(piece) => pieces.push(piece),
                None => break,
            }
        }
        if pieces.is_empty() {
            continue;
        }
        let fits = pieces.iter().all(|piece| piece.len() <= LONGEST_COUNTS);
        match RunCounts::unpack(&pieces.concat()).filter(|_| fits) {
            Some(counts) => history.push((minute, counts)),
            None => pass_over(&mut passed, task.as_str().as_bytes()),
        }
    }
    connection.passed_over(&passed, &connection.keys().history());
    Ok(history)
}

async fn task_history(
    connection: &Connection,
    arrow: &ReadTaskHistory,
) -> Result<Vec<(TaskName, RunCounts)>, StoreError> {
    let buckets = arrow.buckets.bounded();
    let mut call = connection.call();
    for minute in buckets.begins() {
        call.key(connection.keys().history_bucket(buckets.step, minute));
    }
    call.number(MOST_FIELDS).number(LONGEST_NAME).number(LONGEST_COUNTS);
    let (mut tasks, mut passed) = (TaskSums::default(), PassedOver::of_some(RecordKind::Counts));
    for bucket in reply::list(connection.run(&TASK_HISTORY, call).await?)? {
        let (mut fields, mut answer) = (BTreeMap::new(), reply::list(bucket)?.into_iter());
        if answer.next().map(reply::bytes).transpose()?.flatten().is_some_and(|more| !more.is_empty()) {
            pass_over(&mut passed, b"tasks beyond those that a bucket has room for");
        }
        while let (Some(field), Some(text)) = (answer.next(), answer.next()) {
            fields.insert(reply::bytes(field)?.unwrap_or_default(), reply::bytes(text)?.unwrap_or_default());
        }
        tasks.next_bucket();
        // Further pieces belong to the first.
        for (name, first) in fields.iter().filter(|(name, _)| !name.contains(&b'\n')) {
            let Ok(task) = std::str::from_utf8(name).map(TaskName::as_stored) else {
                pass_over(&mut passed, name);
                continue;
            };
            let further = (2..=PIECES).map_while(|piece| fields.get(&field(&task, piece)));
            let text: Vec<&[u8]> = std::iter::once(first).chain(further).map(|piece| &piece[..]).collect();
            // What is empty was too long to be read.
            match RunCounts::unpack(&text.concat()).filter(|_| !first.is_empty()) {
                Some(counts) => tasks.add(task, &counts),
                None => pass_over(&mut passed, name),
            }
        }
    }
    connection.passed_over(&passed, &connection.keys().history());
    Ok(tasks.into_tasks())
}

/// The field of a piece of a task's counts, from 1.
fn field(task: &TaskName, piece: usize) -> Bytes {
    if piece == 1 { Bytes::copy_from_slice(task.as_str().as_bytes()) } else { Bytes::from(format!("{task}\n{piece}")) }
}

fn pass_over(passed: &mut PassedOver, task: &[u8]) {
    passed.add(task, "no counts of Windlass");
}
