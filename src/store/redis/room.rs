//! What memory the server has left, for people who look.

use super::engine::RedisStore;
use super::memory;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::room::{ReadRoom, RoomLeft, ServerMemory};

impl Perform<ReadRoom> for RedisStore {
    async fn perform(&self, _: ReadRoom) -> Result<RoomLeft, StoreError> {
        match memory::read(&self.connection).await {
            Ok(memory) => Ok(RoomLeft::Memory(memory)),
            Err(error) if error.is_transient() => Err(error),
            // A user without the right to ask is told nothing.
            Err(_) => Ok(RoomLeft::Memory(ServerMemory::default())),
        }
    }
}
