//! Queues: list, show, delete, pause and resume them.

use std::collections::HashSet;

use serde::Serialize;

use super::copy::{AsideView, aside};
use super::error::AdminError;
use super::job_view::JobView;
use super::listing::{each_record, positions};
use crate::client::request::nearest;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::inspection::{DeleteQueue, Pause, Queued, Queues, ReadPaused, Resume};
use crate::store::queueing::QueueNames;
use crate::store::role::Admin;

/// A queue and how many jobs it holds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// The number of its jobs.
    pub length: u64,
    /// Is it paused, so that no worker claims from it? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// All queues.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueList {
    /// The queues, including paused ones that hold no jobs.
    pub queues: Vec<QueueView>,
    /// Is everything paused? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_paused: bool,
    /// What a `store copy` has set aside: no queue holds it. Left out of JSON if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<AsideView>,
}

/// The outcome of a pause or resume.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueuePause {
    /// The queue; `None` means all queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Is it paused now?
    pub paused: bool,
    /// Did this call change that?
    pub changed: bool,
    /// The nearest known name, if no queue of this name exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// Does the queue exist?
    #[serde(skip)]
    pub known: bool,
    /// Queues that are paused one by one, and stay so when all are resumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub still_paused: Vec<String>,
    /// Has resuming the queue no effect because everything is paused?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_paused: bool,
}

/// Some of a queue's jobs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueuePage {
    /// The queue.
    pub queue: String,
    /// How many jobs it holds.
    pub length: u64,
    /// The requested jobs, the next to run first.
    pub jobs: Vec<JobView>,
}

/// A deleted queue.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueDeleted {
    /// The queue.
    pub queue: String,
    /// How many jobs were deleted with it.
    pub deleted: u64,
}

/// All queues, and what a `store copy` has set aside.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>) -> Result<QueueList, AdminError> {
    let set_aside = aside(store).await?;
    Ok(QueueList { set_aside, ..known(store).await? })
}

/// All queues.
async fn known(store: &Store<Admin>) -> Result<QueueList, AdminError> {
    let mut paused = store.run(ReadPaused).await?;
    // A set, because there may be very many queues.
    let one_by_one: HashSet<QueueName> = paused.queues.iter().cloned().collect();
    let mut queues: Vec<QueueView> = store
        .run(Queues)
        .await?
        .into_iter()
        .map(|queue| QueueView {
            paused: paused.all || one_by_one.contains(&queue.queue),
            queue: queue.queue.as_str().to_owned(),
            length: queue.length,
        })
        .collect();
    let known: HashSet<&str> = queues.iter().map(|queue| queue.queue.as_str()).collect();
    paused.queues.retain(|queue| !known.contains(queue.as_str()));
    for queue in paused.queues {
        queues.push(QueueView { queue: queue.as_str().to_owned(), length: 0, paused: true });
    }
    Ok(QueueList { queues, all_paused: paused.all, set_aside: None })
}

/// Pauses a queue, or all queues if `name` is `None`; `paused` false resumes. The queue need not exist yet.
///
/// # Errors
/// Fails for an invalid name, and when the store cannot be reached.
pub async fn pause(store: &Store<Admin>, name: Option<&str>, paused: bool) -> Result<QueuePause, AdminError> {
    let named = |name: &str| QueueName::new(name).map_err(|error| AdminError::Name { text: name.to_owned(), error });
    let queue = name.map(named).transpose()?;
    let changed = match paused {
        true => store.run(Pause { queue: queue.clone() }).await?,
        false => store.run(Resume { queue: queue.clone() }).await?,
    };
    let list = known(store).await?;
    let names = list.queues.iter().map(|view| view.queue.as_str());
    let others = names.clone().filter(|known| Some(*known) != name);
    let exists = store.run(QueueNames).await?;
    let known = queue.as_ref().is_none_or(|queue| exists.contains(queue));
    Ok(QueuePause {
        queue: name.map(str::to_owned),
        paused,
        changed,
        did_you_mean: name.filter(|_| !known).and_then(|name| nearest(name, others)),
        known,
        still_paused: match (name, paused) {
            (None, false) => list.queues.iter().filter(|view| view.paused).map(|view| view.queue.clone()).collect(),
            _ => Vec::new(),
        },
        all_paused: name.is_some() && !paused && list.all_paused,
    })
}

/// The jobs at positions `start` to `stop`, both inclusive; negative ones count from the end.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn show(store: &Store<Admin>, name: &str, start: i64, stop: i64) -> Result<QueuePage, AdminError> {
    let known = find(store, name).await?;
    let (first, last) = positions(known.length, start, stop);
    let mut jobs = Vec::new();
    let read = |start, stop| store.run(Queued { queue: QueueName::as_stored(name), start, stop });
    each_record(first, last, read, |_, job| {
        jobs.push(JobView::listed(job));
    })
    .await?;
    Ok(QueuePage { queue: known.queue, length: known.length, jobs })
}

/// The queue of this name.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn find(store: &Store<Admin>, name: &str) -> Result<QueueView, AdminError> {
    let known = known(store).await?.queues;
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
pub async fn delete(store: &Store<Admin>, name: &str) -> Result<QueueDeleted, AdminError> {
    find(store, name).await?;
    let deleted = store.run(DeleteQueue { queue: QueueName::as_stored(name) }).await?;
    Ok(QueueDeleted { queue: name.to_owned(), deleted })
}
