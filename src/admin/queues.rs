//! Queues: their lengths, their jobs, their deletion.

use serde::Serialize;

use super::error::AdminError;
use super::job_view::JobView;
use crate::client::request::nearest;
use crate::job::QueueName;
use crate::store::engine::Store;

/// A queue and how many jobs it holds.
#[derive(Debug, Clone, Serialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Its jobs.
    pub length: u64,
}

/// Some of a queue's jobs.
#[derive(Debug, Clone, Serialize)]
pub struct QueuePage {
    /// The queue.
    pub queue: String,
    /// How many jobs it holds in all.
    pub length: u64,
    /// The asked-for jobs, the next to run first.
    pub jobs: Vec<JobView>,
}

/// A deleted queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueueDeleted {
    /// The queue.
    pub queue: String,
    /// How many jobs went with it.
    pub deleted: u64,
}

/// All queues.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &dyn Store) -> Result<Vec<QueueView>, AdminError> {
    let view = |queue: crate::store::inspection::QueueLength| QueueView {
        queue: queue.queue.as_str().to_owned(),
        length: queue.length,
    };
    Ok(store.queues().await?.into_iter().map(view).collect())
}

/// The jobs at positions `start` to `stop`, both inclusive; negative ones count from the end.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn show(store: &dyn Store, name: &str, start: i64, stop: i64) -> Result<QueuePage, AdminError> {
    let known = find(store, name).await?;
    let jobs = store.queued(&QueueName::as_stored(name), start, stop).await?;
    Ok(QueuePage { queue: known.queue, length: known.length, jobs: jobs.iter().map(|job| JobView::of(job)).collect() })
}

/// The queue of this name.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn find(store: &dyn Store, name: &str) -> Result<QueueView, AdminError> {
    let known = list(store).await?;
    if let Some(queue) = known.iter().find(|queue| queue.queue == name) {
        return Ok(queue.clone());
    }
    let suggestion = nearest(name, known.iter().map(|queue| queue.queue.as_str()));
    Err(AdminError::NotFound { what: "queue", name: name.to_owned(), suggestion })
}

/// Deletes a queue and its jobs.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn delete(store: &dyn Store, name: &str) -> Result<QueueDeleted, AdminError> {
    find(store, name).await?;
    let deleted = store.delete_queue(&QueueName::as_stored(name)).await?;
    Ok(QueueDeleted { queue: name.to_owned(), deleted })
}
