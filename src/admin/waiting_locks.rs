//! The locks that end with the jobs that people delete.
//!
//! QueueLock is taken when a job is enqueued and freed before it runs. A job that is deleted never runs, so its lock is
//! freed in the step that deletes it. Only locks that are held are passed to the store, because most jobs have none.

use std::collections::HashSet;

use bytes::Bytes;

use super::queue_parts::QueueParts;
use crate::admin::error::AdminError;
use crate::job::{LockKey, PayloadView, QueueName};
use crate::plugin::chain::waiting_lock;
use crate::store::handle::Store;
use crate::store::inspection::{DeleteEach, JobsToDelete, QueueEnd};
use crate::store::role::Admin;
use crate::store::workers::LockValues;
use crate::task::definition::Registry;

/// How many locks are asked about at a time.
const ASKED: usize = 500;
/// How many jobs are read at a time.
const PAGE: i64 = 500;
/// How often a queue is read that is to be deleted, while locks are found there.
const READINGS: usize = 3;

/// The QueueLock of each of these jobs, if it is held now.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn held(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &QueueName,
    jobs: &[Bytes],
) -> Result<Vec<Option<LockKey>>, AdminError> {
    let lock = |job: &Bytes| waiting_lock(registry, queue, &PayloadView::parse(job).ok()?);
    let mut locks: Vec<Option<LockKey>> = jobs.iter().map(lock).collect();
    let keys: Vec<LockKey> = locks.iter().flatten().cloned().collect();
    let mut is_held = HashSet::new();
    for keys in keys.chunks(ASKED) {
        let values = store.run(LockValues { keys: keys.to_vec() }).await?;
        // A value with a claim is the JobLock of a run, under a key that a task chose.
        let held =
            keys.iter().zip(values).filter(|(_, value)| value.as_ref().is_some_and(|value| !value.contains(':')));
        is_held.extend(held.map(|(key, _)| key.clone()));
    }
    for lock in &mut locks {
        lock.take_if(|key| !is_held.contains(key));
    }
    Ok(locks)
}

/// Deletes the jobs of a queue that hold locks, each with its lock, page by page from the tail, until `most` are gone.
/// Returns how many there were. A job that is enqueued meanwhile may be missed.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn delete_locked(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &QueueName,
    most: u64,
) -> Result<u64, AdminError> {
    let mut deleted = 0;
    for _ in 0..READINGS {
        let now = delete_locked_once(store, registry, queue, most - deleted).await?;
        deleted += now;
        if now == 0 || deleted >= most {
            break;
        }
    }
    Ok(deleted)
}

async fn delete_locked_once(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &QueueName,
    most: u64,
) -> Result<u64, AdminError> {
    let (mut past, mut deleted) = (0, 0);
    loop {
        let (mut locked, mut read) = (Vec::new(), 0);
        let mut parts = QueueParts::new(store, queue, (-past - PAGE, -past - 1));
        while let Some(jobs) = parts.next().await? {
            read += i64::try_from(jobs.len()).unwrap_or(PAGE);
            let locks = held(store, registry, queue, &jobs).await?;
            locked.extend(jobs.into_iter().zip(locks).filter_map(|(job, lock)| Some((job, lock?))));
        }
        let mut to_delete: Vec<JobsToDelete> = Vec::new();
        let left = usize::try_from(most - deleted).unwrap_or(usize::MAX);
        for (payload, lock) in locked.into_iter().take(left) {
            match to_delete.iter_mut().find(|one| one.payload == payload) {
                Some(JobsToDelete { count: Some(count), .. }) => *count += 1,
                _ => to_delete.push(JobsToDelete { payload, count: Some(1), locks: vec![lock] }),
            }
        }
        let mut gone = 0;
        if !to_delete.is_empty() {
            gone = store.run(DeleteEach { queue: queue.clone(), to_delete, from: QueueEnd::Tail }).await?;
            deleted += gone;
        }
        if read < PAGE || deleted >= most {
            return Ok(deleted);
        }
        past += read.saturating_sub(i64::try_from(gone).unwrap_or(read));
    }
}
