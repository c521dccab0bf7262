//! Workers in pages of bounded cost, in order of their ids.

use super::error::AdminError;
use super::held_back::HeldBack;
use super::job_view::JobView;
use super::workers::{READ, WorkerView};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::workers::{ReadWorkers, WorkerNames};

/// How many workers are known at most; of more, those that the store names first.
pub const KNOWN: usize = 20_000;

/// A page.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkersPage {
    /// The workers.
    pub workers: Vec<WorkerView>,
    /// Are there more behind them?
    pub more: bool,
    /// What holds jobs back.
    pub held_back: HeldBack,
}

/// The next `limit` workers behind this id, or from the first on.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn page(store: &Store<Admin>, after: Option<&str>, limit: usize) -> Result<WorkersPage, AdminError> {
    let mut names = store.run(WorkerNames { limit: KNOWN }).await?;
    names.retain(|name| after.is_none_or(|after| name.id() > after));
    names.sort_unstable_by(|one, other| one.id().cmp(other.id()));
    let more = names.len() > limit;
    names.truncate(limit);
    let held_back = HeldBack::read(store).await?;
    let mut workers = Vec::with_capacity(names.len());
    for some in names.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec() }).await?;
        workers.extend(read.iter().map(|worker| WorkerView::of(worker, &held_back.halted, JobView::listed)));
    }
    Ok(WorkersPage { workers, more, held_back })
}
