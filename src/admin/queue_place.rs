//! Where a job stands on its queue, found by its bytes.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::error::AdminError;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs};
use crate::store::role::Admin;

/// How many jobs of a queue are looked at, from its head.
pub(super) const QUEUED: i64 = 20_000;
/// How many are read together.
const PAGE: i64 = 64;
/// How many looks are under way at a time.
const AT_ONCE: usize = 8;

/// Where a job stands on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueuePlace {
    /// Counted from the head, from 0.
    At(i64),
    /// Nowhere.
    Absent,
    /// Not among the jobs that were looked at.
    Behind,
}

/// The first job of this queue with one of these forms.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn find(store: &Store<Admin>, queue: &QueueName, forms: &[Bytes]) -> Result<QueuePlace, AdminError> {
    // Each look ends when it is found, and those that are under way are given up.
    let list = || JobList::Queue(queue.clone());
    let pages = (0..QUEUED).step_by(usize::try_from(PAGE).unwrap_or(1));
    let looks: Vec<_> = pages.map(|start| (start, ListJobs { list: list(), start, stop: start + PAGE - 1 })).collect();
    let looks = looks.into_iter().map(|(start, look)| async move { (start, store.run(look).await) });
    let mut looks = stream::iter(looks).buffered(AT_ONCE);
    while let Some((start, page)) = looks.next().await {
        let page = page?;
        if let Some(at) = page.iter().position(|listed| forms.iter().any(|form| listed.is(form))) {
            return Ok(QueuePlace::At(start + i64::try_from(at).unwrap_or(0)));
        }
        if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            return Ok(QueuePlace::Absent);
        }
    }
    Ok(QueuePlace::Behind)
}
