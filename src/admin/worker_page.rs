//! Workers in pages of bounded cost, in order of their ids.

use super::error::AdminError;
use super::held_back::HeldBack;
use super::job_view::JobView;
use super::workers::{WorkerPage, WorkerView};
use crate::job::WorkerName;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::workers::{ReadWorkers, WorkerNames};

/// How many workers are known at most; of more, those that the store names first.
pub const KNOWN: usize = 20_000;

/// How many workers are read together: each may work on a job of any length.
pub(super) const READ: usize = 64;

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
pub(super) async fn read(
    store: &Store<Admin>,
    mut names: Vec<WorkerName>,
    limit: usize,
) -> Result<WorkerPage, AdminError> {
    let more = names.len() > limit;
    names.truncate(limit);
    let held_back = HeldBack::read(store).await?;
    let mut workers = Vec::with_capacity(names.len());
    for some in names.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec() }).await?;
        workers.extend(read.iter().map(|worker| WorkerView::of(worker, &held_back.halted, JobView::listed)));
    }
    Ok(WorkerPage { workers, more, held_back })
}
