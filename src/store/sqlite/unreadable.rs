//! Counts the records that cannot be read.

use super::engine::SqliteStore;
use super::step::Step;
use super::{delayed, enqueue, lease, periodic, recover};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{CountUnreadable, Unreadable};

impl Perform<CountUnreadable> for SqliteStore {
    async fn perform(&self, arrow: CountUnreadable) -> Result<Vec<Unreadable>, StoreError> {
        let look = move |step: &Step<'_>| {
            // Each look notes what it passes over.
            enqueue::each_queue(step, |_| ())?;
            if !arrow.queues_only {
                lease::instances(step)?;
                recover::registered(step)?;
                periodic::periodic(step, &[])?;
                delayed::count_unreadable(step, delayed::earliest(step)?)?;
            }
            Ok(step.findings().unreadable())
        };
        self.reader.call(look).await
    }
}
