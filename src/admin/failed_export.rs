//! Failed jobs for other programs: whole, the newest first, as they are read.

use bytes::Bytes;
use serde::Serialize;

use super::error::AdminError;
use super::failed::FailedView;
use super::failed_search::{FailedFilter, each_from_end};
use crate::job::FailureView;
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;

/// A failed job with the bytes of its record, by which it can come back.
#[derive(Debug, Clone, Serialize)]
pub struct ExportedFailure {
    /// What is known of it.
    #[serde(flatten)]
    pub view: FailedView,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The same in hexadecimal digits, if it is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_hex: Option<String>,
}

impl ExportedFailure {
    fn of(position: i64, record: &Bytes) -> Self {
        let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = std::str::from_utf8(record).ok().map(str::to_owned);
        let record_hex = if text.is_none() { Some(hex(record)) } else { None };
        Self { view: FailedView::of(position, record), record: text, record_hex }
    }
}

/// The same as [`export`], with the records themselves.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn export_whole(
    store: &Store<Admin>,
    filter: &FailedFilter,
    mut each: impl AsyncFnMut(Vec<ExportedFailure>) -> bool,
) -> Result<(), AdminError> {
    records(store, filter, async |page| {
        each(page.iter().map(|(position, record)| ExportedFailure::of(*position, record)).collect()).await
    })
    .await
}

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
    records(store, filter, async |page| {
        each(page.iter().map(|(position, record)| FailedView::of(*position, record)).collect()).await
    })
    .await
}

async fn records(
    store: &Store<Admin>,
    filter: &FailedFilter,
    mut each: impl AsyncFnMut(Vec<(i64, Bytes)>) -> bool,
) -> Result<(), AdminError> {
    let count = store.run(FailedCount).await?;
    each_from_end(store, count, async |page| {
        let is_meant = |record: &Bytes| filter.is_meant(record, &FailureView::parse(record));
        Ok(each(page.into_iter().filter(|(_, record)| is_meant(record)).collect()).await)
    })
    .await
}
