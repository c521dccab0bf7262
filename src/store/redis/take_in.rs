//! Moves between stores: takes a batch in, declines it, or puts it back to its places.

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::lending::Lending;
use super::moving::{batch_id, queue_of};
use super::script::{Call, Script, script};
use super::{reply, verdict};
use crate::job::Identity;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::moving::{Decline, PutBack, TakeIn, TakeInTarget, TakenIn, Waiting};

static TAKE_IN: Script =
    script!("locks", "places", "identity", "remember", "delay", "entry", "items", "moved", "take_in");
static TAKE_IN_LENT: Script =
    script!("lend", "lent", "locks", "places", "identity", "remember", "delay", "entry", "items", "moved", "take_in");
static DECLINE: Script = script!("moved", "decline");
static PUT_BACK: Script = script!(
    "locks", "places", "departed", "identity", "remember", "delay", "entry", "items", "unlink", "aside", "put_back"
);

static PUT_BACK_LENT: Script = script!(
    "lend", "lent", "locks", "places", "departed", "identity", "remember", "delay", "entry", "items", "unlink",
    "aside", "put_back"
);

impl Perform<TakeIn> for RedisStore {
    async fn perform(&self, arrow: TakeIn) -> Result<TakenIn, StoreError> {
        let TakeIn { batch, targets } = arrow;
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.moved()).key(keys.schedules());
        batch_id(&mut call, &batch.id);
        let lending = items(&mut call, keys, &batch.items, &targets);
        let script = lending.pick(&mut call, [&TAKE_IN, &TAKE_IN_LENT]);
        answered(&self.connection, script, call).await
    }
}

impl Perform<Decline> for RedisStore {
    async fn perform(&self, arrow: Decline) -> Result<TakenIn, StoreError> {
        let mut call = self.connection.call();
        call.key(self.connection.keys().moved());
        batch_id(&mut call, &arrow.id);
        answered(&self.connection, &DECLINE, call).await
    }
}

impl Perform<PutBack> for RedisStore {
    async fn perform(&self, arrow: PutBack) -> Result<bool, StoreError> {
        let PutBack { batch, targets } = arrow;
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.departed());
        call.key(keys.outbox()).key(keys.moving()).key(keys.schedules());
        batch_id(&mut call, &batch.id);
        let lending = items(&mut call, keys, &batch.items, &targets);
        let script = lending.pick(&mut call, [&PUT_BACK, &PUT_BACK_LENT]);
        Ok(reply::number(self.connection.run(script, call).await?)? == 1)
    }
}

/// What `moved.lua` says a batch is to this store.
async fn answered(connection: &Connection, script: &Script, call: Call) -> Result<TakenIn, StoreError> {
    let mut reply = reply::list(connection.run(script, call).await?)?.into_iter();
    let answer = reply.next().map(reply::number).transpose()?;
    let last = reply.next().map(reply::count).transpose()?.unwrap_or_default();
    Ok(match answer {
        Some(0) => TakenIn::Before,
        Some(1) => TakenIn::Yes,
        Some(3) => TakenIn::Declined,
        _ => TakenIn::Conflict { last },
    })
}

/// The items, as `items.lua` reads them, and what long jobs lend.
fn items(call: &mut Call, keys: &Keys, items: &[Waiting], targets: &[TakeInTarget]) -> Lending {
    let mut lending = Lending::default();
    let plain = TakeInTarget::default();
    call.number(items.len());
    let encoded = |identity: &Option<Identity>| identity.as_ref().map(verdict::encoded).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let TakeInTarget { lock, once } = targets.get(index).unwrap_or(&plain);
        let from = call.lengths();
        match item {
            Waiting::Queued { queue, payload, identity } => {
                call.literal("Q").key(keys.queue(queue)).key(keys.timestamps(payload));
                call.text(queue.as_str());
                let at = call.lengths().1;
                call.arg(payload.clone()).arg(encoded(identity)).flag(*once);
                match lock {
                    Some((lock, ttl_s)) => call.number(ttl_s).key(keys.lock(lock)),
                    None => call.literal(""),
                };
                lending.lend_argument(call, from, (at, payload));
            }
            Waiting::Delayed { second, payload, identity } => {
                let queue = queue_of(payload);
                call.literal("D").key(keys.delayed(*second)).key(keys.queue(&queue)).key(keys.timestamps(payload));
                call.number(second).text(queue.as_str());
                let at = call.lengths().1;
                call.arg(payload.clone()).arg(encoded(identity)).flag(*once);
                lending.lend_argument(call, from, (at, payload));
            }
            Waiting::Failed { record } => {
                call.literal("F").arg(record.clone());
            }
            Waiting::Periodic(entry) => {
                let last = entry.last_of_stopped();
                call.literal("P").text(entry.task.as_str()).text(&entry.encode()).text(&last.unwrap_or_default());
            }
            Waiting::Fired { id, last_s } => {
                call.literal("C").text(id).number(last_s);
            }
            Waiting::Counted { processed, failed } => {
                call.literal("S").number(processed).number(failed);
            }
        }
    }
    lending
}
