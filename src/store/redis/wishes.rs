//! What people wish of runs: a hash for each instance that has such runs.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::reply;
use super::script::{Script, script};
use crate::job::WorkerName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::wishes::{AskRun, KEPT, MOST, MOST_TOLD, ProgressTold, ReadWishes, TellProgress, Wish};

static ASK_RUN: Script = script!("ask_run");
static READ_WISHES: Script = script!("wishes", "read_wishes");

impl Perform<AskRun> for RedisStore {
    async fn perform(&self, arrow: AskRun) -> Result<bool, StoreError> {
        Ok(leave(&self.connection, &arrow.worker, &arrow.wish, 0).await? == 1)
    }
}

impl Perform<TellProgress> for RedisStore {
    async fn perform(&self, arrow: TellProgress) -> Result<ProgressTold, StoreError> {
        Ok(match leave(&self.connection, &arrow.worker, &arrow.wish(), MOST_TOLD).await? {
            0 => ProgressTold::Over,
            1 => ProgressTold::Left,
            _ => ProgressTold::Full,
        })
    }
}

impl Perform<ReadWishes> for RedisStore {
    async fn perform(&self, arrow: ReadWishes) -> Result<Vec<Wish>, StoreError> {
        read(&self.connection, &arrow.instance).await
    }
}

/// Leaves a wish, as `ask_run.lua` says. `most`: only if fewer stand for the instance, or it replaces one; 0: in any case.
async fn leave(connection: &Connection, worker: &WorkerName, wish: &Wish, most: usize) -> Result<i64, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.working(worker)).key(keys.wishes(wish.claim.instance()));
    call.text(wish.claim.as_str()).text(&wish.name()).arg(Bytes::from(wish.encode())).number(KEPT.as_millis());
    call.number(most);
    reply::number(connection.run(&ASK_RUN, call).await?)
}

async fn read(connection: &Connection, instance: &str) -> Result<Vec<Wish>, StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().wishes(instance)).number(MOST);
    wishes(connection, instance, connection.run(&READ_WISHES, call).await?)
}

/// Wishes as `wishes.lua` reads them: claim and text in turns.
pub(super) fn wishes(connection: &Connection, instance: &str, frame: Frame) -> Result<Vec<Wish>, StoreError> {
    let pairs = reply::strings(frame)?;
    let mut passed = PassedOver::new(RecordKind::Wish).of(instance);
    let found = pairs.chunks_exact(2).filter_map(|pair| Wish::read(&pair[0], &pair[1], &mut passed)).take(MOST);
    let found: Vec<Wish> = found.collect();
    if pairs.len() / 2 >= MOST {
        passed.ends_early();
    }
    connection.passed_over(&passed, &connection.keys().wishes(instance));
    Ok(found)
}
