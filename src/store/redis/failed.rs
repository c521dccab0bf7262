//! What leaves the failed list.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::enqueue::{admissions, refusing};
use super::reply;
use super::script::{Script, script};
use super::verdict;
use crate::job::RetryKeys;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{ClearFailed, FailedJob, FailedRecord, RemoveFailed, Retried, RetryFailed};
use crate::store::instance::InstanceRecord;

static CLEAR_FAILED: Script = script!("unlink", "clear_failed");
static REMOVE_FAILED: Script = script!("places", "failed", "remove_failed");
static RETRY_FAILED: Script = script!("locks", "places", "identity", "remember", "admit", "failed", "retry_failed");

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

async fn remove_failed(connection: &Connection, records: &[FailedRecord]) -> Result<Vec<bool>, StoreError> {
    let mut call = connection.call();
    verdict::places(&mut call, connection.keys());
    call.arg(mark()).number(records.len());
    for FailedRecord { record, position } in records {
        match position {
            Some(position) => call.number(position),
            None => call.literal(""),
        };
        call.arg(record.clone());
    }
    let removed = reply::list(connection.run(&REMOVE_FAILED, call).await?)?;
    removed.into_iter().map(|one| Ok(reply::count(one)? > 0)).collect()
}

async fn clear_failed(connection: &Connection) -> Result<u64, StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().failed());
    reply::count(connection.run(&CLEAR_FAILED, call).await?)
}

async fn retry_failed(connection: &Connection, jobs: &[FailedJob]) -> Result<Vec<Retried>, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.arg(mark()).number(jobs.len());
    for job in jobs {
        let FailedJob { failed, queue, payload, admissions: conditions, identity, .. } = job;
        call.key(keys.queue(queue));
        match failed.position {
            Some(position) => call.number(position),
            None => call.literal(""),
        };
        call.arg(failed.record.clone()).text(queue.as_str()).arg(job.goes().clone());
        call.arg(identity.as_ref().map(verdict::encoded).unwrap_or_default());
        verdict::retry_keys(&mut call, keys, RetryKeys::of_job(payload).as_ref());
        admissions(&mut call, keys, job.goes(), conditions);
    }
    let outcomes = reply::list(connection.run(&RETRY_FAILED, call).await?)?;
    let outcome = |(job, outcome): (&FailedJob, _)| {
        Ok(match reply::number(outcome)? {
            0 => Retried::Yes,
            -1 => Retried::Gone,
            number => Retried::Refused { plugin: refusing(&job.admissions, number) },
        })
    };
    jobs.iter().zip(outcomes).map(outcome).collect()
}
