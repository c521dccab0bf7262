//! What ran: sent with an extension or the last call of an instance (`history.lua`), read bucket by bucket.

use std::collections::BTreeMap;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::reply;
use super::script::Call;
use crate::job::{RunCounts, TaskName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::history::{Ran, ReadHistory, ReadTaskHistory};
use crate::store::unreadable::{PassedOver, RecordKind};

/// In how many fields the counts of a task stand at most, as in `history.lua`.
const PIECES: usize = 4;

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
    let fields: Vec<Bytes> = (1..=PIECES).map(|piece| field(task, piece)).collect();
    let read = |minute| {
        let key = connection.keys().history_bucket(buckets.step, minute);
        ("HMGET", std::iter::once(key).chain(fields.iter().cloned()).collect())
    };
    let answers = connection.commands(buckets.begins().map(read).collect()).await?;
    let (mut history, mut passed) = (Vec::new(), PassedOver::new(RecordKind::Counts));
    for (minute, answer) in buckets.begins().zip(answers) {
        let mut pieces = Vec::new();
        for piece in of_its_type(answer)? {
            match reply::bytes(piece)? {
                Some(piece) => pieces.push(piece),
                None => break,
            }
        }
        if pieces.is_empty() {
            continue;
        }
        match RunCounts::unpack(&pieces.concat()) {
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
    let read = |minute| ("HGETALL", vec![connection.keys().history_bucket(buckets.step, minute)]);
    let answers = connection.commands(buckets.begins().map(read).collect()).await?;
    let (mut tasks, mut passed) = (BTreeMap::<TaskName, RunCounts>::new(), PassedOver::new(RecordKind::Counts));
    for answer in answers {
        let mut fields = BTreeMap::new();
        let mut answer = of_its_type(answer)?.into_iter();
        while let (Some(field), Some(text)) = (answer.next(), answer.next()) {
            fields.insert(reply::bytes(field)?.unwrap_or_default(), reply::bytes(text)?.unwrap_or_default());
        }
        // Further pieces belong to the first.
        for (name, first) in fields.iter().filter(|(name, _)| !name.contains(&b'\n')) {
            let Ok(task) = std::str::from_utf8(name).map(TaskName::as_stored) else {
                pass_over(&mut passed, name);
                continue;
            };
            let further = (2..=PIECES).map_while(|piece| fields.get(&field(&task, piece)));
            let text: Vec<&[u8]> = std::iter::once(first).chain(further).map(|piece| &piece[..]).collect();
            match RunCounts::unpack(&text.concat()) {
                Some(counts) => tasks.entry(task).or_default().add(&counts),
                None => pass_over(&mut passed, name),
            }
        }
    }
    connection.passed_over(&passed, &connection.keys().history());
    Ok(tasks.into_iter().collect())
}

/// The field of a piece of a task's counts, from 1.
fn field(task: &TaskName, piece: usize) -> Bytes {
    if piece == 1 { Bytes::copy_from_slice(task.as_str().as_bytes()) } else { Bytes::from(format!("{task}\n{piece}")) }
}

fn pass_over(passed: &mut PassedOver, task: &[u8]) {
    passed.add(task, "no counts of Windlass");
}

/// A bucket of another type holds nothing; whoever adds to it is told.
fn of_its_type(answer: Result<Frame, StoreError>) -> Result<Vec<Frame>, StoreError> {
    match answer {
        Ok(frame) => reply::list(frame),
        Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
