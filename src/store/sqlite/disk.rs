//! What room the disk has left, for people who look.

use super::engine::SqliteStore;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::room::{ReadRoom, RoomLeft};

impl Perform<ReadRoom> for SqliteStore {
    async fn perform(&self, _: ReadRoom) -> Result<RoomLeft, StoreError> {
        Ok(RoomLeft::Disk(self.place.room()))
    }
}
