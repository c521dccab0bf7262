//! How far operations are: a string for each, which lapses.

use bytes::Bytes;

use super::engine::RedisStore;
use super::reply;
use super::script::{Script, script};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::operations::{KEPT_S, KeepOperation, LONGEST, ReadOperation};

static KEEP_OPERATION: Script = script!("keep_operation");

impl Perform<KeepOperation> for RedisStore {
    async fn perform(&self, KeepOperation { id, record }: KeepOperation) -> Result<(), StoreError> {
        let mut call = self.connection.call();
        call.key(self.connection.keys().operation(&id)).arg(record).number(KEPT_S);
        self.connection.run(&KEEP_OPERATION, call).await.map(drop)
    }
}

impl Perform<ReadOperation> for RedisStore {
    async fn perform(&self, ReadOperation { id }: ReadOperation) -> Result<Option<Bytes>, StoreError> {
        // One byte more shows that it is too long.
        let last = Bytes::from(LONGEST.to_string());
        let range = vec![self.connection.keys().operation(&id), Bytes::from_static(b"0"), last];
        let found = reply::bytes(self.connection.command("GETRANGE", range).await?)?;
        Ok(found.filter(|record| (1..=LONGEST).contains(&record.len())))
    }
}
