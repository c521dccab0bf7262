//! Counts the records that cannot be read.

use super::engine::RedisStore;
use super::{inspect, lease, periodic, recover};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{CountUnreadable, Unreadable};

impl Perform<CountUnreadable> for RedisStore {
    async fn perform(&self, arrow: CountUnreadable) -> Result<Vec<Unreadable>, StoreError> {
        // Each look notes what it passes over.
        inspect::known_queues(&self.connection, 1).await?;
        if !arrow.queues_only {
            lease::instances(&self.connection).await?;
            recover::registered(&self.connection).await?;
            periodic::periodic(&self.connection, &[]).await?;
        }
        Ok(self.connection.origin.findings.unreadable())
    }
}
