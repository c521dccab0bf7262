//! Queues: list, show, delete, pause and resume them.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::copy::{AsideView, aside};
use super::error::AdminError;
use super::held_back::{HaltedInstance, HeldBack, SkippingInstance};
use super::job_view::JobView;
use super::known::expect_known;
use super::listing::{each_listed, positions};
use super::queue_wait::{QueueWait, Waits};
use super::waiting_locks;
use crate::client::request::nearest;
use crate::job::{FirstQueues, QueueName};
use crate::store::handle::Store;
use crate::store::inspection::{
    DeleteQueue, FindQueue, Pause, Paused, QueueLength, Queues, QueuesFound, ReadPaused, Resume,
};
use crate::store::instance::Instances;
use crate::store::listed::JobList;
use crate::store::queueing::QueueNames;
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// Among how many queues the nearest name is looked for.
const SUGGESTED_FROM: usize = 10_000;

/// A queue and how many jobs it holds.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// The number of its jobs.
    pub length: u64,
    /// How long its jobs wait, as far as that is known.
    #[serde(flatten)]
    pub wait: QueueWait,
    /// Is it paused, so that no worker claims from it? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Some of the queues.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct QueueList {
    /// The queues, including paused ones that hold no jobs.
    pub queues: Vec<QueueView>,
    /// Are there more queues than the limit?
    pub more: bool,
    /// More queues are known than one look reads, at least so many: the list has those that hold jobs, as far as the leader
    /// has seen, paused ones, and some of the others. Left out of JSON if all names were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_of: Option<u64>,
    /// How long ago the leader looked at the queues, in milliseconds. Left out of JSON if no leader tells how long jobs wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_ago_ms: Option<u64>,
    /// Is everything paused? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_paused: bool,
    /// Instances that claim nothing. Left out of JSON if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<HaltedInstance>,
    /// Queues that cannot be listed, because their names are no text. Left out of JSON if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unnamed: Option<String>,
    /// Instances that skip tasks because their files have mistakes. Left out of JSON if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipping: Vec<SkippingInstance>,
    /// What a `store copy` has set aside: no queue holds it. Left out of JSON if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<AsideView>,
}

impl QueueList {
    /// What holds jobs back beside the pauses that stand in the list.
    #[must_use]
    pub fn held_back(&self) -> HeldBack {
        HeldBack {
            all_paused: self.all_paused,
            paused_queues: Vec::new(),
            halted: self.halted.clone(),
            skipping: self.skipping.clone(),
            ..HeldBack::default()
        }
    }
}

/// The outcome of a pause or resume.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
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
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct QueueDeleted {
    /// The queue.
    pub queue: String,
    /// How many jobs were deleted with it.
    pub deleted: u64,
}

/// The queues in code-unit order, at most `limit`, and what a `store copy` has set aside. Of very many queues those that hold
/// jobs come first.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, limit: usize) -> Result<QueueList, AdminError> {
    let waits = Waits::read(store).await?;
    // One more than the limit shows whether there are more.
    let known = Queues { limit: limit.saturating_add(1), first: waits.holding() };
    // All at once, so that it takes few round trips.
    let (set_aside, instances, paused, known) =
        tokio::join!(aside(store), store.run(Instances), store.run(ReadPaused), store.run(known));
    let (set_aside, paused) = (set_aside?, paused?);
    let QueuesFound { mut queues, sampled_of, unnamed, .. } = known?;
    let HeldBack { halted, skipping, .. } = HeldBack::told(&paused, &instances?);
    // A set, because there may be very many queues.
    let one_by_one: HashSet<&QueueName> = paused.queues.iter().collect();
    let is_cut = queues.len() > limit;
    let names: HashSet<&QueueName> = queues.iter().map(|queue| &queue.queue).collect();
    // One that is paused need not be known. Behind the last of a part of the known ones, nobody knows.
    let unknown = paused.queues.iter().filter(|queue| !names.contains(queue)).cloned();
    let unknown: Vec<_> = unknown.map(|queue| QueueLength { queue, length: 0 }).collect();
    queues.extend(unknown);
    if sampled_of.is_some() {
        // Those without anything to tell give way.
        let tells = |queue: &QueueLength| queue.length > 0 || one_by_one.contains(&queue.queue);
        let mut room = limit.saturating_sub(queues.iter().filter(|queue| tells(queue)).count());
        queues.retain(|queue| {
            let fits = tells(queue) || room > 0;
            room = room.saturating_sub(usize::from(!tells(queue)));
            fits
        });
    }
    let mut shown = FirstQueues::new(limit);
    queues.iter().for_each(|queue| shown.add(queue.queue.clone()));
    let more = is_cut || sampled_of.is_some() || shown.more() > 0;
    let lengths: HashMap<&QueueName, u64> = queues.iter().map(|queue| (&queue.queue, queue.length)).collect();
    let shown: Vec<QueueName> = shown.into_names().collect();
    let length = |queue: &QueueName| lengths.get(queue).copied().unwrap_or(0);
    let holding = shown.iter().filter(|queue| length(queue) > 0).cloned().collect();
    let waiting = waits.of(store, holding).await?;
    let view = |queue: &QueueName| {
        let wait = waiting.get(queue.as_str()).copied().unwrap_or_default();
        QueueView {
            paused: paused.all || one_by_one.contains(queue),
            length: length(queue),
            wait: if length(queue) > 0 { wait } else { wait.emptied() },
            queue: queue.as_str().to_owned(),
        }
    };
    let queues = shown.iter().map(view).collect();
    let sampled_ago_ms = waits.sampled_ago_ms();
    Ok(QueueList {
        queues,
        more,
        sampled_of,
        sampled_ago_ms,
        all_paused: paused.all,
        halted,
        unnamed,
        skipping,
        set_aside,
    })
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
    let known = match &queue {
        Some(queue) => store.run(FindQueue { queue: queue.clone() }).await?.is_some(),
        None => true,
    };
    let now = store.run(ReadPaused).await?;
    Ok(QueuePause {
        queue: name.map(str::to_owned),
        paused,
        changed,
        did_you_mean: match name.filter(|_| !known) {
            Some(name) => similar(store, name, &now).await?,
            None => None,
        },
        known,
        still_paused: match (name, paused) {
            (None, false) => now.queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
            _ => Vec::new(),
        },
        all_paused: name.is_some() && !paused && now.all,
    })
}

/// The known or paused queue whose name is nearest to that of one that does not exist.
async fn similar(store: &Store<Admin>, name: &str, paused: &Paused) -> Result<Option<String>, AdminError> {
    let known = store.run(QueueNames { limit: SUGGESTED_FROM }).await?;
    let names = known.iter().chain(&paused.queues).map(QueueName::as_str);
    Ok(nearest(name, names.filter(|known| *known != name)))
}

/// The jobs at positions `start` to `stop`, both inclusive; negative ones count from the end.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn show(store: &Store<Admin>, name: &str, start: i64, stop: i64) -> Result<QueuePage, AdminError> {
    let known = find(store, name).await?;
    let (first, last) = positions(known.length, start, stop);
    let mut jobs = Vec::new();
    let list = JobList::Queue(QueueName::as_stored(name));
    each_listed(store, &list, first, last, |job| jobs.push(JobView::of_listed(job))).await?;
    Ok(QueuePage { queue: known.queue, length: known.length, jobs })
}

/// A filter by a task, a queue or both that matched nothing: does it name what does not exist? A queue is known to the
/// store, or to a task.
///
/// # Errors
/// Fails for a task or a queue that does not exist, and when the store cannot be reached.
pub async fn expect_job(
    store: &Store<Admin>,
    registry: &Registry,
    task: Option<&str>,
    queue: Option<&str>,
) -> Result<(), AdminError> {
    if let Some(task) = task {
        expect_known(registry, task)?;
    }
    let Some(queue) = queue else { return Ok(()) };
    let schedules = registry.iter().flat_map(|task| task.schedules.iter().map(|schedule| &schedule.queue));
    let of_tasks: Vec<&str> = registry.iter().map(|task| &task.queue).chain(schedules).map(QueueName::as_str).collect();
    if of_tasks.contains(&queue) {
        return Ok(());
    }
    match find(store, queue).await {
        Err(AdminError::NotFound { what, name, suggestion: None }) => {
            let suggestion = nearest(&name, of_tasks.into_iter());
            Err(AdminError::NotFound { what, name, suggestion })
        }
        found => found.map(drop),
    }
}

/// The queue of this name.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn find(store: &Store<Admin>, name: &str) -> Result<QueueView, AdminError> {
    let paused = store.run(ReadPaused).await?;
    let queue = QueueName::as_stored(name);
    let known = store.run(FindQueue { queue: queue.clone() }).await?;
    let is_paused = paused.queues.contains(&queue);
    if known.is_some() || is_paused {
        let length = known.map_or(0, |known| known.length);
        let paused = paused.all || is_paused;
        return Ok(QueueView { queue: name.to_owned(), length, paused, ..QueueView::default() });
    }
    let suggestion = similar(store, name, &paused).await?;
    Err(AdminError::NotFound { what: "queue", name: name.to_owned(), suggestion })
}

/// The queue of this name, with how long its jobs wait.
///
/// # Errors
/// Fails for a queue that does not exist.
pub async fn look(store: &Store<Admin>, name: &str) -> Result<QueueView, AdminError> {
    let (view, waits) = tokio::join!(find(store, name), Waits::read(store));
    let (mut view, waits) = (view?, waits?);
    let holding = (view.length > 0).then(|| QueueName::as_stored(name)).into_iter().collect();
    let wait = waits.of(store, holding).await?.remove(name).unwrap_or_default();
    view.wait = if view.length > 0 { wait } else { wait.emptied() };
    Ok(view)
}

/// Deletes a queue and its jobs. The QueueLocks of its jobs end with them. `expected` is how many jobs the caller has seen
/// there: no more than these are deleted.
///
/// # Errors
/// Fails for a queue that does not exist, and for one that holds another number of jobs than expected.
pub async fn delete(
    store: &Store<Admin>,
    registry: &Registry,
    name: &str,
    expected: Option<u64>,
) -> Result<QueueDeleted, AdminError> {
    let found = find(store, name).await?.length;
    let other = |found: u64, deleted: u64| AdminError::OtherCount {
        queue: name.to_owned(),
        expected: expected.unwrap_or(found),
        found,
        deleted,
    };
    if expected.is_some_and(|expected| expected != found) {
        return Err(other(found, 0));
    }
    let queue = QueueName::as_stored(name);
    let locked = waiting_locks::delete_locked(store, registry, &queue, expected.unwrap_or(u64::MAX)).await?;
    let most = expected.map_or(u64::MAX, |expected| expected.saturating_sub(locked));
    let deleted = store.run(DeleteQueue { queue, most }).await?;
    if deleted > most {
        return Err(other(deleted, locked));
    }
    Ok(QueueDeleted { queue: name.to_owned(), deleted: locked + deleted })
}
