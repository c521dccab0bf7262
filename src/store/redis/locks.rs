//! The locks that plugins hold, for people.
//!
//! No index names them, so that a look passes over all keys of the server, in steps of well under a millisecond: 0.65 s of the server
//! for a million keys. An index would cost each job with a lock two commands more to take it and to free it (2.4 µs of the server
//! beside 4 for the lock itself, and 118 bytes for each that is held), as much after 270,000 jobs as one such look; and it would not
//! have the locks of other programs, which refuse jobs as ours do.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Script, script};
use super::{reply, scan};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{DeleteLock, LockEntry, LockPlace, Locks, LocksFound};

/// How the locks' keys go on behind the namespace.
const KINDS: [&[u8]; 2] = [b"lock:", b"workerslock:"];

static LOCK_VALUES: Script = script!("lock_values");
static DELETE_LOCK: Script = script!("delete_lock");

/// How many locks one step reads.
const CHUNK: usize = 500;

/// The time to live of a key that does not exist.
const GONE: i64 = -2;

impl Perform<Locks> for RedisStore {
    async fn perform(&self, arrow: Locks) -> Result<LocksFound, StoreError> {
        locks(&self.connection, &arrow).await
    }
}

impl Perform<DeleteLock> for RedisStore {
    async fn perform(&self, arrow: DeleteLock) -> Result<bool, StoreError> {
        delete_lock(&self.connection, &arrow).await
    }
}

pub(super) async fn locks(connection: &Connection, arrow: &Locks) -> Result<LocksFound, StoreError> {
    let prefix = connection.keys().prefix();
    // One pass for both kinds: the server looks at all keys for each.
    let is_lock =
        |key: &Bytes| KINDS.iter().any(|kind| key.get(prefix.len()..).is_some_and(|rest| rest.starts_with(kind)));
    let begin = |part: String| if part.is_empty() { scan::BEGIN } else { Bytes::from(part) };
    let (mut found, mut place, mut looked_at) = (Vec::new(), Some(arrow.from.clone()), 0);
    while let Some(LockPlace { part, passed }) = place.take() {
        if found.len() >= arrow.limit || looked_at >= arrow.keys {
            place = Some(LockPlace { part, passed });
            break;
        }
        let (mut keys, next) = scan::keys_from(connection, "*lock", begin(part.clone())).await?;
        looked_at += scan::STEP;
        keys.retain(is_lock);
        let room = arrow.limit - found.len();
        let all = keys.len().saturating_sub(passed) <= room;
        found.extend(keys.into_iter().skip(passed).take(room));
        place = match next {
            _ if !all => Some(LockPlace { part, passed: passed.saturating_add(room) }),
            Some(next) => Some(LockPlace { part: String::from_utf8_lossy(&next).into_owned(), passed: 0 }),
            None => None,
        };
    }
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
    // A server that moves its keys about while it is asked may tell one twice.
    held.sort_by(|a: &LockEntry, b| a.key.cmp(&b.key));
    held.dedup_by(|a, b| a.key == b.key);
    Ok(LocksFound { locks: held, next: place })
}

pub(super) async fn delete_lock(connection: &Connection, arrow: &DeleteLock) -> Result<bool, StoreError> {
    let key = match arrow.verbatim {
        true => Bytes::copy_from_slice(arrow.key.as_bytes()),
        false => connection.keys().named(&arrow.key),
    };
    let mut call = connection.call();
    call.key(key);
    Ok(reply::count(connection.run(&DELETE_LOCK, call).await?)? > 0)
}
