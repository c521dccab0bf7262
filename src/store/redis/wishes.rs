//! What people wish of runs: a hash for each instance that has such runs.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Script, script};
use super::{reply, scan};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::wishes::{AskRun, KEPT, MOST, ReadWishes, Wish};

static ASK_RUN: Script = script!("ask_run");

impl Perform<AskRun> for RedisStore {
    async fn perform(&self, arrow: AskRun) -> Result<bool, StoreError> {
        ask(&self.connection, &arrow).await
    }
}

impl Perform<ReadWishes> for RedisStore {
    async fn perform(&self, arrow: ReadWishes) -> Result<Vec<Wish>, StoreError> {
        read(&self.connection, &arrow.instance).await
    }
}

async fn ask(connection: &Connection, AskRun { worker, wish }: &AskRun) -> Result<bool, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.working(worker)).key(keys.wishes(wish.claim.instance()));
    call.text(wish.claim.as_str()).text(&wish.name()).arg(Bytes::from(wish.encode())).number(KEPT.as_millis());
    Ok(reply::number(connection.run(&ASK_RUN, call).await?)? == 1)
}

/// Reads them as `extend.lua` does. A key of another type holds none.
async fn read(connection: &Connection, instance: &str) -> Result<Vec<Wish>, StoreError> {
    let (name, arguments) = scan::fields_from(&connection.keys().wishes(instance), scan::BEGIN);
    match connection.command(name, arguments).await {
        Ok(reply) => Ok(decoded(&scan::read_members(reply)?.0)),
        Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Wishes as HSCAN returns them: claim and text in turns.
pub(super) fn wishes(frame: Frame) -> Result<Vec<Wish>, StoreError> {
    Ok(decoded(&reply::strings(frame)?))
}

fn decoded(pairs: &[Bytes]) -> Vec<Wish> {
    pairs.chunks_exact(2).filter_map(|pair| Wish::decode(&pair[0], &pair[1])).take(MOST).collect()
}
