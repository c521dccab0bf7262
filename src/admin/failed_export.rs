//! Failed jobs for other programs: whole, the newest first, as they are read.

use super::error::AdminError;
use super::failed::FailedView;
use super::failed_search::{FailedFilter, each_from_end};
use crate::job::FailureView;
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;

/// Hands out all that match and that were there when it began, those of one read of the store together. No more than those
/// are held, and the next read begins when `each` has taken them; it ends early if `each` answers false. `each` is also called
/// where none of a read matches, with nothing.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn export(
    store: &Store<Admin>,
    filter: &FailedFilter,
    mut each: impl AsyncFnMut(Vec<FailedView>) -> bool,
) -> Result<(), AdminError> {
    let count = store.run(FailedCount).await?;
    each_from_end(store, count, async |page| {
        let meant = page.iter().filter(|(_, record)| filter.is_meant(record, &FailureView::parse(record)));
        let views = meant.map(|(position, record)| FailedView::of(*position, record)).collect();
        Ok(each(views).await)
    })
    .await
}
