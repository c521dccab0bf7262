//! The locks that plugins hold, for people.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Script, script};
use super::{reply, scan};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{DeleteLock, LockEntry, Locks};

/// How the locks' keys go on behind the namespace.
const KINDS: [&[u8]; 2] = [b"lock:", b"workerslock:"];

static LOCK_VALUES: Script = script!("lock_values");

/// How many locks one step reads.
const CHUNK: usize = 500;

/// The time to live of a key that does not exist.
const GONE: i64 = -2;

impl Perform<Locks> for RedisStore {
    async fn perform(&self, arrow: Locks) -> Result<Vec<LockEntry>, StoreError> {
        locks(&self.connection, arrow.limit).await
    }
}

impl Perform<DeleteLock> for RedisStore {
    async fn perform(&self, arrow: DeleteLock) -> Result<bool, StoreError> {
        delete_lock(&self.connection, &arrow).await
    }
}

pub(super) async fn locks(connection: &Connection, limit: usize) -> Result<Vec<LockEntry>, StoreError> {
    let prefix = connection.keys().prefix();
    // One pass for both kinds: the server looks at all keys for each.
    let is_lock =
        |key: &Bytes| KINDS.iter().any(|kind| key.get(prefix.len()..).is_some_and(|rest| rest.starts_with(kind)));
    let found = scan::some_keys(connection, "*lock", limit, is_lock).await?;
    let mut held = Vec::new();
    for keys in found.chunks(CHUNK) {
        let mut call = connection.call();
        call.keys(keys);
        let mut reply = reply::list(connection.run(&LOCK_VALUES, call).await?)?.into_iter();
        for key in keys {
            let (Some(value), Some(ttl)) = (reply.next(), reply.next()) else { break };
            let ttl = reply::number(ttl)?;
            // It was deleted since, or is no string.
            if ttl == GONE {
                continue;
            }
            held.push(LockEntry {
                key: String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned(),
                value: String::from_utf8_lossy(&reply::bytes(value)?.unwrap_or_default()).into_owned(),
                ttl_ms: u64::try_from(ttl).ok(),
            });
        }
    }
    Ok(held)
}

pub(super) async fn delete_lock(connection: &Connection, arrow: &DeleteLock) -> Result<bool, StoreError> {
    let key = match arrow.verbatim {
        true => Bytes::copy_from_slice(arrow.key.as_bytes()),
        false => connection.keys().named(&arrow.key),
    };
    let deleted = connection.command("DEL", vec![key]).await?;
    Ok(reply::count(deleted)? > 0)
}
