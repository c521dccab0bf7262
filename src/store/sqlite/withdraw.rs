//! Periodic tasks that are stopped, or that no instance declares any more.

use bytes::Bytes;

use super::commit::Handle;
use super::engine::SqliteStore;
use super::number::{count, stored};
use super::step::Step;
use super::{inspect, periodic, runs, search};
use crate::job::{LockKey, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{JobsToDelete, QueueEnd};
use crate::store::periodic::{Stop, Withdraw};
use crate::store::runs::RunList;

impl Perform<Withdraw> for SqliteStore {
    async fn perform(&self, arrow: Withdraw) -> Result<(), StoreError> {
        withdraw(&self.writer, &self.reader, &arrow).await
    }
}

impl Perform<Stop> for SqliteStore {
    async fn perform(&self, arrow: Stop) -> Result<u64, StoreError> {
        stop(&self.writer, &self.reader, &arrow).await
    }
}

/// Removes a task: its delayed and queued copies in bounded steps, and its entry last, so that the task stays known if a
/// step fails.
async fn withdraw(writer: &Handle, reader: &Handle, arrow: &Withdraw) -> Result<(), StoreError> {
    remove_copies(writer, reader, &arrow.queue, (&arrow.forms, &arrow.locks)).await?;
    let task = arrow.task.clone();
    let forget = move |step: &Step<'_>| {
        // What is left of them lapses.
        step.part(|| runs::forget(step, &RunList::Task(task.clone())))?.unwrap_or_default();
        periodic::forget(step, &task)
    };
    writer.call(forget).await
}

/// Stops a task: marks its entry, so that no tick is written any more, and then removes its delayed and queued copies in
/// bounded steps. Returns how many there were.
async fn stop(writer: &Handle, reader: &Handle, arrow: &Stop) -> Result<u64, StoreError> {
    let (name, at) = (arrow.task.clone(), arrow.queue.clone());
    let mark = move |step: &Step<'_>| {
        step.change(
            "periodic",
            "INSERT INTO periodic (task, queue, due_s, every_s, stopped) VALUES (?1, ?2, 0, 0, 1) \
             ON CONFLICT (task) DO UPDATE SET stopped = 1",
            [name.as_str(), at.as_str()],
        )
    };
    writer.call(mark).await?;
    remove_copies(writer, reader, &arrow.queue, (&arrow.forms, &arrow.locks)).await
}

async fn remove_copies(
    writer: &Handle,
    reader: &Handle,
    queue: &QueueName,
    (forms, locks): (&[Bytes], &[LockKey]),
) -> Result<u64, StoreError> {
    let mut removed = 0;
    for form in forms {
        removed += count(stored(inspect::delete_delayed(writer, form).await?.len()));
    }
    let to_delete: Vec<JobsToDelete> =
        forms.iter().map(|form| JobsToDelete { payload: form.clone(), count: None, locks: locks.to_vec() }).collect();
    Ok(removed + search::remove(writer, reader, queue, &to_delete, QueueEnd::Head).await?)
}
