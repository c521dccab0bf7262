//! What leaves the failed list.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::enqueue::{admissions, refusing};
use super::reply;
use super::script::{Call, Script, script};
use super::standing::{Long, Standing};
use super::verdict;
use crate::job::RetryKeys;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{ClearFailed, FailedJob, FailedRecord, RemoveFailed, Retried, RetryFailed};
use crate::store::instance::InstanceRecord;

static CLEAR_FAILED: Script = script!("unlink", "clear_failed");
static REMOVE_FAILED: Script = script!("places", "failed", "remove_failed");
static REMOVE_STANDING: Script = script!("lend", "standing", "places", "failed", "remove_failed");
static RETRY_FAILED: Script = script!("locks", "places", "identity", "remember", "admit", "failed", "retry_failed");
static RETRY_STANDING: Script =
    script!("lend", "standing", "locks", "places", "identity", "remember", "admit", "failed", "retry_failed");

impl Perform<RemoveFailed> for RedisStore {
    async fn perform(&self, arrow: RemoveFailed) -> Result<Vec<bool>, StoreError> {
        remove_failed(&self.connection, &arrow.records).await
    }
}

impl Perform<ClearFailed> for RedisStore {
    async fn perform(&self, _: ClearFailed) -> Result<u64, StoreError> {
        clear_failed(&self.connection).await
    }
}

impl Perform<RetryFailed> for RedisStore {
    async fn perform(&self, arrow: RetryFailed) -> Result<Vec<Retried>, StoreError> {
        retry_failed(&self.connection, &arrow.jobs).await
    }
}

/// Random, so that no record has these bytes.
fn mark() -> Bytes {
    Bytes::from(format!("windlass:removed:{}", InstanceRecord::new_id()))
}

/// A call about failure records, with where the failed list stands in its keys.
fn about_failed(connection: &Connection) -> (Call, Standing) {
    let keys = connection.keys();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    let place = call.declared().iter().position(|key| *key == keys.failed()).map_or(0, |index| index + 1);
    call.arg(mark());
    (call, Standing::in_key(place))
}

/// Where a record stands or was seen, and the record.
fn record(call: &mut Call, failed: &FailedRecord, position: Option<i64>) {
    match position.or(failed.position) {
        Some(position) => call.number(position),
        None => call.literal(""),
    };
    call.arg(failed.record.clone());
}

/// Runs a step about failure records, each with what `one` writes. Long ones are taken from where they stand. Returns an answer
/// for each, nothing for those that are gone; fewer if the store refuses the next one.
async fn step<T>(
    connection: &Connection,
    items: &[T],
    failed: impl Fn(&T) -> &FailedRecord,
    one: impl Fn(&mut Call, &T, Option<i64>),
    scripts: [&'static Script; 2],
) -> Result<Vec<Option<Frame>>, StoreError> {
    let seen = items.iter().map(|item| (&failed(item).record, failed(item).position));
    let mut long = Long::of(connection, connection.keys().failed(), seen);
    let build = |long: &Long<'_>| {
        let (mut call, mut standing) = about_failed(connection);
        call.number((0..items.len()).filter(|index| !long.is_gone(*index)).count());
        for (index, item) in items.iter().enumerate().filter(|(index, _)| !long.is_gone(*index)) {
            let from = call.lengths();
            let position = long.position(index);
            one(&mut call, item, position);
            if let Some(position) = position {
                standing.lend(&mut call, from, &failed(item).record, position);
            }
        }
        (standing.pick(&mut call, scripts), call)
    };
    let mut answers = match long.run(items.len(), build).await? {
        Some(frame) => reply::list(frame)?.into_iter(),
        None => Vec::new().into_iter(),
    };
    let answer = |index| if long.is_gone(index) { Some(None) } else { answers.next().map(Some) };
    Ok((0..items.len()).map_while(answer).collect())
}

async fn remove_failed(connection: &Connection, records: &[FailedRecord]) -> Result<Vec<bool>, StoreError> {
    let scripts = [&REMOVE_FAILED, &REMOVE_STANDING];
    let removed = step(connection, records, |one| one, record, scripts).await?;
    removed.into_iter().map(|one| Ok(one.map(reply::count).transpose()?.unwrap_or_default() > 0)).collect()
}

async fn clear_failed(connection: &Connection) -> Result<u64, StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().failed());
    reply::count(connection.run(&CLEAR_FAILED, call).await?)
}

async fn retry_failed(connection: &Connection, jobs: &[FailedJob]) -> Result<Vec<Retried>, StoreError> {
    let keys = connection.keys();
    let job = |call: &mut Call, job: &FailedJob, position: Option<i64>| {
        let FailedJob { failed, queue, payload, admissions: conditions, identity, .. } = job;
        call.key(keys.queue(queue));
        record(call, failed, position);
        call.text(queue.as_str()).arg(job.goes().clone());
        call.arg(identity.as_ref().map(verdict::encoded).unwrap_or_default());
        verdict::retry_keys(call, keys, RetryKeys::of_job(payload).as_ref());
        admissions(call, keys, job.goes(), conditions);
    };
    let outcomes = step(connection, jobs, |job| &job.failed, job, [&RETRY_FAILED, &RETRY_STANDING]).await?;
    let outcome = |(job, outcome): (&FailedJob, Option<Frame>)| {
        Ok(match outcome.map(reply::number).transpose()? {
            Some(0) => Retried::Yes,
            None | Some(-1) => Retried::Gone,
            Some(number) => Retried::Refused { plugin: refusing(&job.admissions, number) },
        })
    };
    jobs.iter().zip(outcomes).map(outcome).collect()
}
