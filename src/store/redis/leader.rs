//! Leaderships: locks that only their owner renews and gives up.

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::reply;
use super::script::{Call, Script, script};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::scheduling::{Lead, Leader, Leadership, ReadRubyLeader, Resign};

/// A leader lock that is shared with node-resque is void if it lives longer. Its schedulers take it for three minutes,
/// unless they are told another time; where that is longer than this, Windlass leads, and that does no harm.
const LONGEST_SHARED_MS: u64 = 600_000;

static LEAD: Script = script!("leadership", "lead");
static RESIGN: Script = script!("resign");

impl Perform<Lead> for RedisStore {
    async fn perform(&self, arrow: Lead) -> Result<bool, StoreError> {
        lead(&self.connection, arrow.which, &arrow.owner, arrow.ttl_ms).await
    }
}

impl Perform<Resign> for RedisStore {
    async fn perform(&self, arrow: Resign) -> Result<(), StoreError> {
        resign(&self.connection, arrow.which, &arrow.owner).await
    }
}

impl Perform<Leader> for RedisStore {
    async fn perform(&self, arrow: Leader) -> Result<Option<String>, StoreError> {
        leader(&self.connection, arrow.which).await
    }
}

impl Perform<ReadRubyLeader> for RedisStore {
    async fn perform(&self, _: ReadRubyLeader) -> Result<Option<String>, StoreError> {
        holder(&self.connection, self.connection.keys().ruby_leadership()).await
    }
}

pub(super) async fn lead(
    connection: &Connection,
    which: Leadership,
    owner: &str,
    ttl_ms: u64,
) -> Result<bool, StoreError> {
    let mut call = connection.call();
    ask(&mut call, connection.keys(), which, owner, ttl_ms);
    Ok(reply::number(connection.run(&LEAD, call).await?)? == 1)
}

/// What a script reads that takes or renews a leadership.
pub(super) fn ask(call: &mut Call, keys: &Keys, which: Leadership, owner: &str, ttl_ms: u64) {
    let longest_ms = match which {
        Leadership::Scheduler => ttl_ms.max(LONGEST_SHARED_MS),
        Leadership::Duties => ttl_ms,
    };
    call.key(keys.leadership(which)).text(owner).number(ttl_ms.max(1)).number(longest_ms);
}

pub(super) async fn resign(connection: &Connection, which: Leadership, owner: &str) -> Result<(), StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().leadership(which)).text(owner);
    connection.run(&RESIGN, call).await.map(drop)
}

pub(super) async fn leader(connection: &Connection, which: Leadership) -> Result<Option<String>, StoreError> {
    holder(connection, connection.keys().leadership(which)).await
}

async fn holder(connection: &Connection, lock: Bytes) -> Result<Option<String>, StoreError> {
    let holder = connection.command("GET", vec![lock]).await?;
    Ok(reply::bytes(holder)?.map(|name| String::from_utf8_lossy(&name).into_owned()))
}
