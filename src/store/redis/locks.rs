//! The locks that plugins hold, for people.

use super::connection::Connection;
use super::engine::RedisStore;
use super::{reply, scan};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{DeleteLock, LockEntry, Locks};

/// How the locks' keys go on behind the namespace.
const KINDS: [&[u8]; 2] = [b"lock:", b"workerslock:"];

impl Perform<Locks> for RedisStore {
    async fn perform(&self, _: Locks) -> Result<Vec<LockEntry>, StoreError> {
        locks(&self.connection).await
    }
}

impl Perform<DeleteLock> for RedisStore {
    async fn perform(&self, arrow: DeleteLock) -> Result<bool, StoreError> {
        delete_lock(&self.connection, &arrow.key).await
    }
}

pub(super) async fn locks(connection: &Connection) -> Result<Vec<LockEntry>, StoreError> {
    let prefix = connection.keys().prefix();
    // One pass for both: the server looks at all keys for each.
    let mut found = scan::keys(connection, "*lock").await?;
    found.retain(|key| KINDS.iter().any(|kind| key.get(prefix.len()..).is_some_and(|rest| rest.starts_with(kind))));
    let reads = found.iter().flat_map(|key| [("GET", vec![key.clone()]), ("PTTL", vec![key.clone()])]);
    let mut replies = connection.commands(reads.collect()).await?.into_iter();
    let mut held = Vec::new();
    for key in &found {
        let (Some(value), Some(ttl)) = (replies.next(), replies.next()) else { break };
        // A key that was deleted since, or is no string, is no lock.
        let value = match value.and_then(reply::bytes) {
            Ok(Some(value)) => value,
            Ok(None) | Err(StoreError::Corrupt { .. }) => continue,
            Err(error) => return Err(error),
        };
        held.push(LockEntry {
            key: String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned(),
            value: String::from_utf8_lossy(&value).into_owned(),
            ttl_ms: ttl.and_then(reply::number).ok().and_then(|ttl| u64::try_from(ttl).ok()),
        });
    }
    Ok(held)
}

pub(super) async fn delete_lock(connection: &Connection, key: &str) -> Result<bool, StoreError> {
    let deleted = connection.command("DEL", vec![connection.keys().named(key)]).await?;
    Ok(reply::count(deleted)? > 0)
}
