//! Counts the records that cannot be read.

use super::engine::RedisStore;
use super::{inspect, lease, periodic, recover};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{CountUnreadable, MOST_COUNTED, Unreadable};

impl Perform<CountUnreadable> for RedisStore {
    async fn perform(&self, _: CountUnreadable) -> Result<Vec<Unreadable>, StoreError> {
        // Each look notes what it passes over.
        inspect::known_queues(&self.connection, 1).await?;
        lease::instances(&self.connection).await?;
        recover::registered(&self.connection, MOST_COUNTED).await?;
        periodic::periodic(&self.connection, &[], &[]).await?;
        Ok(self.connection.origin.findings.unreadable())
    }
}
