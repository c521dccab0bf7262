//! The jobs of periodic tasks that wait for their time: the next tick, or the present one that was put off, mostly because an
//! attempt failed and Retry runs it again.
//!
//! The entry of a task tells for when its present tick was due. While that is put off the entry stays, and the next tick is
//! written when it has ended; with `overlap = "allow"` the ticks go on meanwhile.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::delayed::error_in;
use super::error::AdminError;
use crate::job::payload::encode;
use crate::job::{Args, QueueName, RetryKeys, TaskName};
use crate::store::delayed::{DelayedIdentities, DelayedJob, ReadAttempts, ScheduledAt};
use crate::store::handle::Store;
use crate::store::role::Admin;

/// How many tasks are looked after at once.
const AT_ONCE: usize = 32;

/// What waits of a periodic task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WaitingTick {
    /// The seconds at which its jobs are due, in order.
    pub seconds: Vec<i64>,
    /// How many attempts of the job failed, if any did: it waits for the next one.
    pub failed_attempts: Option<u64>,
    /// The error of the last of them.
    pub last_error: Option<String>,
}

/// Does a job of each of these tasks that was put off wait until this second, whatever else stands there?
pub(super) async fn put_off_until(
    store: &Store<Admin>,
    tasks: &[(&TaskName, &QueueName, i64)],
) -> Result<Vec<bool>, AdminError> {
    let job = |second, queue: &QueueName, payload| DelayedJob { second, queue: queue.clone(), payload };
    let of = |(task, queue, second): &(&TaskName, &QueueName, i64)| {
        forms(task, queue).into_iter().map(|payload| job(*second, queue, payload)).collect::<Vec<_>>()
    };
    let jobs: Vec<DelayedJob> = tasks.iter().flat_map(of).collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let each = jobs.len() / tasks.len();
    let found = store.run(DelayedIdentities { jobs }).await?;
    Ok(found.chunks(each).map(|forms| forms.iter().any(Option::is_some)).collect())
}

/// Every byte form of a task's job.
pub(super) fn forms(task: &TaskName, queue: &QueueName) -> Vec<Bytes> {
    Args::all_periodic().iter().map(|args| encode(task.as_str(), queue.as_str(), args)).collect()
}

/// What waits of each of these tasks, whose jobs go to these queues.
pub(super) async fn of_tasks(
    store: &Store<Admin>,
    tasks: &[(&TaskName, &QueueName)],
) -> Result<Vec<WaitingTick>, AdminError> {
    // No closure lives on while others are waited for: with one, only the present thread could go on with this.
    let looks: Vec<_> = tasks.iter().map(|(task, queue)| seconds(store, task, queue)).collect();
    let looked: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    let mut waiting = Vec::with_capacity(tasks.len());
    for seconds in looked {
        waiting.push(WaitingTick { seconds: seconds?, ..WaitingTick::default() });
    }
    // What does not wait for its time waits for no attempt.
    let (mut keys, mut whose) = (Vec::new(), Vec::new());
    for (index, (task, _)) in tasks.iter().enumerate().filter(|(index, _)| !waiting[*index].seconds.is_empty()) {
        for args in Args::all_periodic() {
            keys.push(RetryKeys::of(task.as_str(), &args));
            whose.push(index);
        }
    }
    if keys.is_empty() {
        return Ok(waiting);
    }
    for (index, attempts) in whose.into_iter().zip(store.run(ReadAttempts { keys }).await?) {
        if let (Some(attempts), one) = (attempts, &mut waiting[index])
            && one.failed_attempts.is_none()
        {
            one.failed_attempts = Some(attempts.count);
            one.last_error = attempts.last_error.and_then(|record| error_in(&record));
        }
    }
    Ok(waiting)
}

async fn seconds(store: &Store<Admin>, task: &TaskName, queue: &QueueName) -> Result<Vec<i64>, AdminError> {
    let mut seconds = Vec::new();
    for payload in forms(task, queue) {
        seconds.extend(store.run(ScheduledAt { payload }).await?);
    }
    seconds.sort_unstable();
    Ok(seconds)
}
