//! The jobs of a part of a queue, read as they are looked at: there may be more of them than memory holds.

use bytes::Bytes;

use super::error::AdminError;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::jobs_part::Queued;
use crate::store::role::Admin;

/// A walk through the jobs at positions `start` to `stop` of a queue, from the head towards the tail. Positions that count from
/// the end stay the same while jobs are claimed.
pub(super) struct QueueParts<'a> {
    store: &'a Store<Admin>,
    queue: &'a QueueName,
    next: Option<i64>,
    stop: i64,
}

impl<'a> QueueParts<'a> {
    pub(super) fn new(store: &'a Store<Admin>, queue: &'a QueueName, (start, stop): (i64, i64)) -> Self {
        Self { store, queue, next: Some(start), stop }
    }

    /// The next jobs; `None` behind the last.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, AdminError> {
        let Some(start) = self.next else { return Ok(None) };
        let part = self.store.run(Queued { queue: self.queue.clone(), start, stop: self.stop }).await?;
        self.next = part.rest;
        Ok(Some(part.jobs))
    }
}
