//! Marks of enqueues that are done once: a key each, which lapses.

use super::engine::RedisStore;
use super::reply;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::marks::ReadMark;

impl Perform<ReadMark> for RedisStore {
    async fn perform(&self, arrow: ReadMark) -> Result<Option<String>, StoreError> {
        let found = self.connection.command("GET", vec![self.connection.keys().mark(&arrow.key)]).await?;
        Ok(reply::bytes(found)?.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }
}
