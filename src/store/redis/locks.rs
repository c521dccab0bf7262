//! The locks that plugins hold, for people. The only place that scans.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::reply;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{DeleteLock, LockEntry, Locks};

/// How many keys the server looks at in one step of a scan.
const STEP: &str = "1000";
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
    let mut found = Vec::new();
    // One pass for both: the server looks at all keys for each.
    scan(connection, &escaped(&prefix, "*lock"), &mut found).await?;
    found.retain(|key| KINDS.iter().any(|kind| key.get(prefix.len()..).is_some_and(|rest| rest.starts_with(kind))));
    found.sort();
    found.dedup();
    let reads = found.iter().flat_map(|key| [("GET", vec![key.clone()]), ("PTTL", vec![key.clone()])]);
    let mut replies = connection.commands(reads.collect()).await?.into_iter();
    let mut held = Vec::new();
    for key in &found {
        let (Some(value), Some(ttl)) = (replies.next(), replies.next()) else { break };
        // A key that is gone meanwhile, or is no string, is no lock.
        let Ok(Some(value)) = value.and_then(reply::bytes) else { continue };
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

async fn scan(connection: &Connection, pattern: &Bytes, found: &mut Vec<Bytes>) -> Result<(), StoreError> {
    let mut cursor = Bytes::from_static(b"0");
    loop {
        let arguments = vec![
            cursor,
            Bytes::from_static(b"MATCH"),
            pattern.clone(),
            Bytes::from_static(b"COUNT"),
            Bytes::from_static(STEP.as_bytes()),
        ];
        let mut reply = reply::list(connection.command("SCAN", arguments).await?)?.into_iter();
        let (Some(next), Some(keys)) = (reply.next(), reply.next()) else { return Ok(()) };
        found.extend(reply::strings(keys)?);
        cursor = reply::bytes(next)?.unwrap_or_default();
        if cursor.is_empty() || &cursor[..] == b"0" {
            return Ok(());
        }
    }
}

/// `<ns>:<kind>:*`, with what the pattern language would take for its own escaped.
fn escaped(prefix: &[u8], kind: &str) -> Bytes {
    let mut pattern = Vec::with_capacity(prefix.len() + kind.len() + 2);
    for byte in prefix {
        if b"*?[]\\^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.extend_from_slice(kind.as_bytes());
    pattern.extend_from_slice(b":*");
    Bytes::from(pattern)
}
