//! The audit: a list, the newest entry first.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::listed::beginnings;
use super::script::{Script, script};
use crate::store::arrow::Perform;
use crate::store::audit::{ENTRY_BYTES, KEPT, KeepAudit, KeptEntry, ReadAudit};
use crate::store::error::StoreError;

static KEEP_AUDIT: Script = script!("keep_audit");

impl Perform<KeepAudit> for RedisStore {
    async fn perform(&self, arrow: KeepAudit) -> Result<(), StoreError> {
        keep(&self.connection, arrow.entry).await
    }
}

impl Perform<ReadAudit> for RedisStore {
    async fn perform(&self, arrow: ReadAudit) -> Result<Vec<KeptEntry>, StoreError> {
        if arrow.limit == 0 {
            return Ok(Vec::new());
        }
        let first = i64::try_from(arrow.skip).unwrap_or(i64::MAX);
        let last = first.saturating_add(i64::try_from(arrow.limit - 1).unwrap_or(i64::MAX));
        let read = beginnings(&self.connection, self.connection.keys().audit(), first, last, ENTRY_BYTES).await?;
        Ok(read.into_iter().map(|(bytes, length)| KeptEntry { bytes, length }).collect())
    }
}

async fn keep(connection: &Connection, entry: Bytes) -> Result<(), StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().audit()).arg(entry).number(KEPT - 1);
    connection.run(&KEEP_AUDIT, call).await.map(drop)
}
