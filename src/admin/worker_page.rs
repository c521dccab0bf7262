//! Workers in pages of bounded cost, in order of their ids.

use super::error::AdminError;
use super::workers::{WorkerPage, read};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::workers::WorkerNames;

/// How many workers are known at most; of more, those that the store names first.
pub const KNOWN: usize = 20_000;

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
