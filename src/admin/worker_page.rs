//! Workers in pages of bounded cost, in order of their ids.

use serde::Serialize;

use super::error::AdminError;
use super::held_back::HeldBack;
use super::job_view::JobView;
use super::workers::{READ, WorkerView};
use crate::job::WorkerName;
use crate::store::handle::Store;
use crate::store::listed::LISTED_BYTES;
use crate::store::role::Admin;
use crate::store::workers::{ReadWorkers, Registered, WorkerNames};

/// How many workers are known at most; of more, those that the store names first.
pub const KNOWN: usize = 20_000;

/// How many bytes of working records one listing reads at full length, and how many of each it reads beyond.
const ROOM: (usize, usize) = (4 << 20, 512);

/// How much of working records a listing still reads: thousands of long jobs may run at once.
#[derive(Debug, Default)]
pub(in crate::admin) struct Room {
    read: usize,
}

impl Room {
    /// How many bytes of each are read next.
    pub(in crate::admin) fn longest(&self) -> usize {
        if self.read < ROOM.0 { LISTED_BYTES } else { ROOM.1 }
    }

    /// These were read.
    pub(in crate::admin) fn take(&mut self, read: &[Registered]) {
        self.read += read.iter().filter_map(|one| Some(one.working.as_ref()?.raw.len())).sum::<usize>();
    }
}

/// Some of the registered workers.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerPage {
    /// The workers, in order of their ids.
    pub workers: Vec<WorkerView>,
    /// Are there more workers than the limit?
    pub more: bool,
    /// What holds jobs back. Left out of JSON if nothing does.
    #[serde(flatten)]
    pub held_back: HeldBack,
}

/// The registered workers in order of their ids, at most `limit`. What is long in their jobs is cut.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, limit: usize) -> Result<WorkerPage, AdminError> {
    // One more than the limit shows whether there are more.
    let names = store.run(WorkerNames { limit: limit.saturating_add(1) }).await?;
    read(store, names, limit).await
}

/// The next `limit` workers behind this id, or from the first on.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn page(store: &Store<Admin>, after: Option<&str>, limit: usize) -> Result<WorkerPage, AdminError> {
    let mut names = store.run(WorkerNames { limit: KNOWN }).await?;
    names.retain(|name| after.is_none_or(|after| name.id() > after));
    names.sort_unstable_by(|one, other| one.id().cmp(other.id()));
    read(store, names, limit).await
}

/// The first `limit` of these workers.
async fn read(store: &Store<Admin>, mut names: Vec<WorkerName>, limit: usize) -> Result<WorkerPage, AdminError> {
    let more = names.len() > limit;
    names.truncate(limit);
    let held_back = HeldBack::read(store).await?;
    let mut workers = Vec::with_capacity(names.len());
    let mut room = Room::default();
    for some in names.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec(), longest: room.longest() }).await?;
        room.take(&read);
        workers.extend(read.iter().map(|worker| WorkerView::of(worker, &held_back.halted, JobView::of_record)));
    }
    Ok(WorkerPage { workers, more, held_back })
}
