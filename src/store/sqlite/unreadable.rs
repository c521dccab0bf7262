//! Counts the records that cannot be read.

use super::engine::SqliteStore;
use super::step::Step;
use super::{delayed, enqueue, lease, periodic, recover};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::NAMES_LOOKED_AT;
use crate::store::unreadable::{CountUnreadable, MOST_COUNTED, Unreadable};

impl Perform<CountUnreadable> for SqliteStore {
    async fn perform(&self, _: CountUnreadable) -> Result<Vec<Unreadable>, StoreError> {
        let look = move |step: &Step<'_>| {
            // Each look notes what it passes over.
            enqueue::each_queue(step, NAMES_LOOKED_AT, |_| ())?;
            lease::instances(step)?;
            recover::registered(step, MOST_COUNTED)?;
            periodic::periodic(step, &[], &[])?;
            delayed::count_unreadable(step, delayed::earliest(step)?)?;
            Ok(step.findings().unreadable())
        };
        self.reader.call(look).await
    }
}
