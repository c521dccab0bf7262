//! Deletion of queued jobs by their class and arguments: ActionHero's `del` and `delByFunction`.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::Serialize;

use super::error::AdminError;
use super::queue_parts::QueueParts;
use super::waiting_locks::held;
use crate::client::request::ResolvedJob;
use crate::job::{Args, LockKey, PayloadView, QueueName};
use crate::plugin::chain::waiting_lock;
use crate::store::handle::Store;
use crate::store::inspection::{DeleteEach, DeleteJobs, JobsToDelete, QueueEnd};
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How many jobs are read at a time.
const PAGE: i64 = 500;

/// The most different jobs deleted in one step. It bounds how long a step blocks the store.
const MAX_FORMS: usize = 50_000;

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobsDeleted {
    /// Jobs in all.
    pub deleted: u64,
    /// How many of them were in another program's spelling: Ruby's member order and floats, Go's escapes.
    pub other_spellings: u64,
}

/// Deletes jobs of these bytes from their queue: at most `count` from the head, or from the tail if `count` is
/// negative; 0 deletes all. If there are none, jobs of the same class and arguments in another program's spelling are
/// deleted. Their QueueLock ends with the last of them.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn delete(
    store: &Store<Admin>,
    registry: &Registry,
    job: &ResolvedJob,
    count: i64,
) -> Result<JobsDeleted, AdminError> {
    let queue = &job.queue;
    let deleted = delete_bytes(store, registry, queue, &job.payload, count).await?;
    if deleted > 0 {
        return Ok(JobsDeleted { deleted, other_spellings: 0 });
    }
    let same =
        |view: &PayloadView<'_>| view.class == job.task.as_str() && Args::of(view).is_ok_and(|args| args == job.args);
    let meant = JobForms::read(store, queue, 0, -1, same).await?;
    let deleted = meant.delete(store, registry, queue, count).await?;
    Ok(JobsDeleted { deleted, other_spellings: deleted })
}

/// Deletes jobs of exactly these bytes, as [`delete`] does. Their QueueLock ends with the last of them.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn delete_bytes(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &QueueName,
    payload: &Bytes,
    count: i64,
) -> Result<u64, AdminError> {
    let mut locks: Vec<_> =
        held(store, registry, queue, std::slice::from_ref(payload)).await?.into_iter().flatten().collect();
    if count != 0 && !locks.is_empty() {
        let equal =
            JobForms::read(store, queue, 0, -1, |view| waiting_lock(registry, queue, view).as_ref() == locks.first());
        if equal.await?.order.len() as u64 > count.unsigned_abs() {
            locks.clear();
        }
    }
    Ok(store.run(DeleteJobs { queue: queue.clone(), payload: payload.clone(), count, locks }).await?)
}

/// How many jobs [`delete_by_class`] would meet at these positions.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn count_by_class(
    store: &Store<Admin>,
    queue: &QueueName,
    class: &str,
    (start, stop): (i64, i64),
) -> Result<u64, AdminError> {
    let meant = JobForms::read(store, queue, start, stop, |view| view.class == class).await?;
    Ok(meant.order.len() as u64)
}

/// Deletes jobs of a class with any arguments: those at positions `start` to `stop` of a queue, and all jobs
/// equal to one of them. Their QueueLocks end with them.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn delete_by_class(
    store: &Store<Admin>,
    registry: &Registry,
    queue: &QueueName,
    class: &str,
    (start, stop): (i64, i64),
) -> Result<JobsDeleted, AdminError> {
    let meant = JobForms::read(store, queue, start, stop, |view| view.class == class).await?;
    Ok(JobsDeleted { deleted: meant.delete(store, registry, queue, 0).await?, other_spellings: 0 })
}

/// The jobs that matched when the queue was read. They are deleted by their bytes: a job that is claimed meanwhile is
/// not touched; a job that is enqueued meanwhile is deleted only if it is equal to one of these.
#[derive(Debug, Default)]
struct JobForms {
    /// Their bytes, each form once.
    distinct: Vec<Bytes>,
    /// The matching jobs from the tail on, as indexes into `distinct`.
    order: Vec<usize>,
}

impl JobForms {
    /// Reads the jobs at these positions. A whole queue is read from the tail, because positions counted from there
    /// stay the same while jobs are claimed.
    async fn read(
        store: &Store<Admin>,
        queue: &QueueName,
        start: i64,
        stop: i64,
        is_meant: impl Fn(&PayloadView<'_>) -> bool,
    ) -> Result<Self, AdminError> {
        let mut found = Self::default();
        let mut known = HashMap::new();
        let is_whole = (start, stop) == (0, -1);
        let (mut first, mut last) = if is_whole { (-PAGE, -1) } else { (start, stop) };
        loop {
            let (mut page, mut read) = (Vec::new(), 0);
            let mut parts = QueueParts::new(store, queue, (first, last));
            while let Some(jobs) = parts.next().await? {
                read += jobs.len();
                for job in jobs.into_iter().filter(|job| PayloadView::parse(job).is_ok_and(|view| is_meant(&view))) {
                    page.push(*known.entry(job).or_insert_with_key(|job: &Bytes| {
                        found.distinct.push(job.clone());
                        found.distinct.len() - 1
                    }));
                }
            }
            found.order.extend(page.into_iter().rev());
            if !is_whole || i64::try_from(read).is_ok_and(|read| read < PAGE) {
                return Ok(found);
            }
            (first, last) = (first - PAGE, last - PAGE);
        }
    }

    /// Deletes at most `count` jobs from the head, or from the tail if `count` is negative; 0 deletes all equal jobs.
    async fn delete(
        self,
        store: &Store<Admin>,
        registry: &Registry,
        queue: &QueueName,
        count: i64,
    ) -> Result<u64, AdminError> {
        let all = self.order.len();
        let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).min(all);
        let meant = if count < 0 { &self.order[..wanted] } else { &self.order[all - wanted..] };
        let mut counts = vec![0_u64; self.distinct.len()];
        for &index in meant {
            counts[index] += 1;
        }
        let mut locks = held(store, registry, queue, &self.distinct).await?;
        // The locks of jobs of which some stay.
        let staying: HashSet<LockKey> = {
            let mut stay = vec![0_usize; self.distinct.len()];
            self.order.iter().for_each(|&index| stay[index] += 1);
            let stays = |(index, lock): (usize, &Option<LockKey>)| {
                lock.clone().filter(|_| count != 0 && stay[index] as u64 > counts[index])
            };
            locks.iter().enumerate().filter_map(stays).collect()
        };
        locks.iter_mut().for_each(|lock| drop(lock.take_if(|key| staying.contains(key))));
        let doom = |((payload, number), lock): ((Bytes, u64), Option<LockKey>)| JobsToDelete {
            payload,
            count: (count != 0).then_some(number),
            locks: lock.into_iter().collect(),
        };
        let to_delete: Vec<JobsToDelete> = self.distinct.into_iter().zip(counts).zip(locks).map(doom).collect();
        let from = if count < 0 { QueueEnd::Tail } else { QueueEnd::Head };
        let mut deleted = 0;
        for step in to_delete.chunks(MAX_FORMS) {
            deleted += store.run(DeleteEach { queue: queue.clone(), to_delete: step.to_vec(), from }).await?;
        }
        Ok(deleted)
    }
}
