//! The exchange: settle, enter and claim in one script call, over a lane's own connection.
//!
//! This is the hot path. What does not change from call to call (keys of workers and queues, the
//! constant pieces of working records) is built once per worker (`layout`) and once per list of queues.

mod answer;
mod opening;
mod outcomes;
mod parts;
mod room;
mod split;
mod stretch;
mod unlent;

use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use self::opening::open;
use self::parts::{Parts, Progress};
use self::room::Room;
use self::split::{Cuts, Split};
use self::unlent::Unlent;
use super::apart::Apart;
use super::claim_queues::ClaimQueues;
use super::connection::Connection;
use super::engine::RedisStore;
use super::gates::{gates, ticks};
use super::layout::{Layout, Workers};
use super::lending::{Known, Lending};
use super::refusal::Fault;
use super::refused_keys::naming;
use super::script::{Call, Script, script};
use super::sharer::Sharer;
use super::verdict::{self, Ending};
use super::waker::RedisWaker;
use super::{reply, rights};
use crate::job::WorkerName;
use crate::job::ecma::quote;
use crate::store::backend::{EngineLane, Opens};
use crate::store::error::StoreError;
use crate::store::queueing::{Exchange, Exchanged};

static EXCHANGE: Script = script!(
    "locks", "places", "departed", "identity", "remember", "delay", "recall", "entry", "cadence", "keep_run",
    "verdict", "lend", "lane", "settle", "enter", "claim"
);
/// The same for exchanges without enters whose settlements are all done. Most are.
static PLAIN: Script = script!("places", "departed", "identity", "recall", "lane", "done", "claim");
static OPEN_LANE: Script = script!("open_lane");
static FENCE: Script = script!("fence");
static COUNT: Script = script!("count");

/// After how many full exchanges in a row many more are expected.
const SUSTAINED: u32 = 8;

/// Starts a lane of an instance unless it exists, and returns its last sequence.
async fn start(connection: &Connection, instance: &str, lane: Bytes) -> Result<u64, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.lane(instance)).key(keys.leases()).key(keys.instances()).arg(lane).text(instance);
    reply::count(connection.run(&OPEN_LANE, call).await?)
}

impl Opens for RedisStore {
    type Lane = RedisLane;
    type Waker = RedisWaker;

    async fn open_lane(&self, instance: &str, lane: u8) -> Result<RedisLane, StoreError> {
        open(&self.connection, instance, lane).await
    }

    async fn open_waker(&self) -> Result<RedisWaker, StoreError> {
        RedisWaker::open(&self.connection).await
    }
}

/// A lane over its own connection.
pub(in crate::store) struct RedisLane {
    /// While it has none.
    sharer: Option<Sharer<Connection>>,
    instance: Arc<str>,
    lane: u8,
    lane_text: Bytes,
    prefix_len: Bytes,
    key: Bytes,
    /// The keys of the paused queues and of Ruby's switch for everything.
    paused: (Bytes, Bytes),
    workers: Workers,
    /// How many exchanges in a row brought a job for every idle worker.
    full: u32,
    /// How many bytes of jobs its replies may carry.
    room: Room,
    parts: Parts,
    progress: Option<Progress>,
    queues: ClaimQueues,
    /// The last exchange, if parts of it were refused and set apart: a repetition gets the reply to the same rest.
    apart: Option<Apart>,
    cuts: Cuts,
    unlent: Unlent,
    /// The last exchange, if it is sent in parts, and the number of the last part.
    split: Option<Split>,
    parts_sent: u64,
    connection: Arc<Connection>,
}

impl EngineLane for RedisLane {
    fn tell_progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        if exchange.sequence == 0 {
            return Err(StoreError::Misuse("sequences of a lane start at 1".to_owned()));
        }
        self.take_over();
        // Of an exchange that was set apart the rest is sent, in parts too.
        let is_split = self.split.as_ref().is_some_and(|split| split.sequence == exchange.sequence);
        let apart = self.apart.take_if(|apart| is_split && apart.rest.sequence == exchange.sequence);
        let asked = apart.as_ref().map_or(exchange, |apart| &apart.rest);
        if let Some(split) = self.split_of(asked) {
            let sent = self.send_split(split, asked).await;
            let sent = match &apart {
                Some(apart) => sent.map(|reply| apart.reply(reply)),
                None => sent,
            };
            self.apart = apart.filter(|_| sent.is_err());
            return sent;
        }
        let sent = self.send_whole(exchange).await;
        if matches!(sent, Err(StoreError::Unavailable(_))) {
            let rest = self.apart.as_ref().filter(|apart| apart.rest.sequence == exchange.sequence);
            let rest = rest.map(|apart| apart.rest.clone());
            self.cut_off(rest.as_ref().unwrap_or(exchange));
        }
        sent
    }
}

impl RedisLane {
    async fn send_whole(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        // A repetition leaves out the same parts, because the reply counts those that were sent.
        if let Some(apart) = self.apart.take().filter(|apart| apart.rest.sequence == exchange.sequence) {
            return self.send_rest(apart).await;
        }
        let said = match self.send(exchange).await {
            Ok(reply) => return Ok(reply),
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Keys(said)) => said,
        };
        // An earlier attempt may have been applied before the key was refused.
        if let Some(reply) = self.applied(&self.lane_text.clone(), exchange).await? {
            return Ok(reply);
        }
        let lane = self.shared();
        match Apart::of(&self.connection, &lane, exchange).await {
            Ok(Some(apart)) => self.send_rest(apart).await,
            Ok(None) => Err(naming(&self.connection, Fault::Keys(said), lane.into()).await),
            Err(shared) => Err(rights::explain(&self.connection, shared).await),
        }
    }

    /// The keys that every exchange of this lane needs, besides those of all lanes.
    fn shared(&self) -> [Bytes; 3] {
        [self.key.clone(), self.paused.0.clone(), self.paused.1.clone()]
    }

    async fn send_rest(&mut self, apart: Apart) -> Result<Exchanged, StoreError> {
        let sent = match self.send(&apart.rest).await {
            Ok(rest) => Ok(rest),
            Err(Fault::Store(error)) => Err(error),
            Err(fault) => match self.applied(&self.lane_text.clone(), &apart.rest).await {
                // More is refused by now: it is found out anew.
                Ok(None) => return Err(naming(&self.connection, fault, self.shared().into()).await),
                Ok(Some(reply)) => Ok(reply),
                Err(error) => Err(error),
            },
        };
        let reply = sent.map(|rest| apart.reply(rest));
        self.apart = Some(apart);
        reply
    }

    /// The reply to an exchange that was applied already, read without the keys of its settlements and enters.
    async fn applied(&mut self, lane: &Bytes, exchange: &Exchange) -> Result<Option<Exchanged>, StoreError> {
        let gate = self.connection.command("HGET", vec![self.key.clone(), lane.clone()]).await?;
        let gate = reply::bytes(gate)?.unwrap_or_default();
        let last = gate.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
        if reply::parsed::<u64>(last) != Some(exchange.sequence) {
            return Ok(None);
        }
        let asked = Exchange { settlements: Vec::new(), enters: Vec::new(), ..exchange.clone() };
        let layout = self.workers.lay_out(self.connection.keys(), &asked, false);
        let call = || self.call(lane, &asked, &layout, false, 0);
        match self.connection.run_built(&PLAIN, call).await {
            Ok(frame) => {
                let exchanged = self.read(exchange, frame).await?;
                // It was laid out like this when it was sent: nothing was noted since.
                let sent = self.workers.lay_out(self.connection.keys(), exchange, self.full >= SUSTAINED);
                self.workers.note(exchange, &sent, &exchanged);
                Ok(Some(exchanged))
            }
            Err(fault) => {
                let keys = call().into_keys();
                self.doubt_room(exchange, &fault);
                Err(naming(&self.connection, fault, keys).await)
            }
        }
    }

    async fn send(&mut self, exchange: &Exchange) -> Result<Exchanged, Fault> {
        let lane = self.lane_text.clone();
        self.send_over(&lane, exchange).await
    }

    async fn send_over(&mut self, lane: &Bytes, exchange: &Exchange) -> Result<Exchanged, Fault> {
        if !self.queues.are_of(&exchange.queues) {
            self.queues = ClaimQueues::of(self.connection.keys(), &exchange.queues);
        }
        let layout = self.workers.lay_out(self.connection.keys(), exchange, self.full >= SUSTAINED);
        let done = |op| op == verdict::NOTED || op == verdict::DONE;
        let script = if exchange.enters.is_empty() && layout.ops().all(done) { &PLAIN } else { &EXCHANGE };
        // Without all rights nothing is claimed. What ended is settled all the same, as far as the server lets it.
        let missing = if exchange.idle.is_empty() { None } else { rights::missing(&self.connection).await? };
        let claims = missing.is_none();
        let settled = exchange.settlements.iter().filter_map(|settlement| settlement.tick.as_ref());
        let asks = verdict::asks_calendars(settled.chain(exchange.enters.iter().flat_map(ticks)));
        let about_ms = if asks { self.connection.about_ms().await? } else { 0 };
        let mut sent = self.connection.run_built(script, || self.call(lane, exchange, &layout, claims, about_ms)).await;
        if matches!(sent, Err(Fault::Keys(_))) && self.queues.leave_out_refused(&self.connection).await? {
            // It was refused as a whole, so that nothing of it was applied.
            sent = self.connection.run_built(script, || self.call(lane, exchange, &layout, claims, about_ms)).await;
        }
        let frame = match sent {
            Ok(frame) => frame,
            Err(fault) => {
                self.doubt_room(exchange, &fault);
                let Fault::Store(error) = fault else { return Err(fault) };
                return Err(rights::explain(&self.connection, error).await.into());
            }
        };
        let mut exchanged = self.read(exchange, frame).await?;
        self.unlent.note(self.connection.keys(), exchange, &exchanged);
        // A command was refused midway. The error that names all missing rights takes the place of that one.
        let missing = match missing {
            Some(missing) => Some(missing),
            None => rights::missing(&self.connection).await.unwrap_or_default(),
        };
        if let Some(all) = missing {
            exchanged.findings.retain(|finding| !matches!(finding, StoreError::Unsupported(_)));
            exchanged.findings.push(all);
        }
        self.workers.note(exchange, &layout, &exchanged);
        let asked = exchange.idle.len();
        let full = asked > 0 && exchanged.claims.len() == asked;
        self.full = if full { self.full.saturating_add(1) } else { 0 };
        if !full && asked > 0 && !exchanged.more {
            self.count(&exchange.idle).await;
        }
        Ok(exchanged)
    }

    /// In the order in which `lane.lua` to `claim.lua` read. Without `claims` the idle workers get no jobs.
    fn call(&self, lane: &Bytes, exchange: &Exchange, layout: &Layout, claims: bool, about_ms: i64) -> Call {
        let keys = self.connection.keys();
        let (settled, entered, idle) = (exchange.settlements.len(), exchange.enters.len(), exchange.idle.len());
        let workers = layout.working.len();
        let (queue_keys, pieces) =
            if claims { (&self.queues.keys[..], &self.queues.pieces[..]) } else { (&[][..], &[][..]) };
        let queues = queue_keys.len();
        let size = workers + 4 * entered + queues;
        let mut call = Call::sized(self.connection.origin.now_ms(), size + 12, size + 17);
        verdict::places(&mut call, keys);
        call.key(keys.departed());
        call.key(self.key.clone()).key(self.paused.0.clone()).key(self.paused.1.clone());
        call.arg(lane.clone()).number(exchange.sequence);
        call.number(settled).number(entered).number(workers).number(idle).number(queues).number(layout.heads.len());
        call.number(exchange.share.max(1)).number(self.room.bytes()).number(self.room.step());
        let (loans_at, mut lending) = (call.lengths().1, Lending::default());
        call.literal("0").arg(self.prefix_len.clone());
        call.arg(Bytes::from(format!("{{\"claim\":\"{}-{}-{}-", self.instance, self.lane, exchange.sequence)));
        call.arg(Bytes::from(format!("\"run_at\":{},", quote(&exchange.run_at))));
        call.keys(&layout.working).keys(queue_keys);
        call.args(&layout.pieces).args(pieces).args(&layout.heads);
        call.arg(layout.settlements.clone()).arg(layout.enters.clone());
        let settlements = exchange.settlements.iter().enumerate().zip(&layout.counted).zip(layout.ops());
        for (((index, settlement), counted), op) in settlements {
            if op == verdict::NOTED {
                continue;
            }
            let from = call.lengths();
            Ending { about_ms, counted: counted.clone(), ..Ending::of(settlement) }.write(&mut call, keys);
            if self.unlent.lends(&settlement.claim, &settlement.payload) {
                let record = (layout.position_of_settlement(index), &settlement.payload[..]);
                lending.lend(&mut call, from, record, &Known::EndsWithJob);
            }
        }
        for (index, enter) in exchange.enters.iter().enumerate() {
            let from = call.lengths();
            gates(&mut call, keys, enter, about_ms);
            if self.unlent.lends(&enter.claim, &enter.payload) {
                let record = (layout.position_of_enter(index), &enter.payload[..]);
                lending.lend(&mut call, from, record, &Known::EndsWithJob);
            }
        }
        lending.write(&mut call, loans_at);
        call
    }

    /// Counts what idle workers did, now that there is time.
    async fn count(&mut self, idle: &[WorkerName]) {
        let owed: Vec<_> = self.workers.owed(idle).collect();
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        call.number(owed.len());
        for (worker, stat, count) in owed {
            call.key(keys.started(worker)).key(stat.clone()).number(count);
        }
        // Without a reply it is unknown whether they were counted. They are not counted again, because a statistic that is
        // too small is better than one that counts twice.
        if call.has_keys() {
            let _ = self.connection.run(&COUNT, call).await;
            self.workers.paid(idle);
        }
    }

    /// An answer that was lost may have been too long, if it had jobs.
    fn doubt_room(&mut self, exchange: &Exchange, fault: &Fault) {
        if !exchange.idle.is_empty() && matches!(fault, Fault::Store(StoreError::Unavailable(_))) {
            self.room.lost(self.cuts.of(exchange.sequence));
        }
    }

    /// Reads a reply, and what of its jobs was too long for it.
    async fn read(&mut self, exchange: &Exchange, frame: Frame) -> Result<Exchanged, StoreError> {
        let mut unread = Vec::new();
        let mut exchanged = self.understand(exchange, frame, &mut unread)?;
        let arrived: usize = exchanged.claims.iter().map(|claim| claim.payload.len()).sum();
        let all = unread.iter().fold(arrived, |all, unread| all + unread.length);
        if all > 0 {
            self.room.claimed(arrived, all);
        }
        if !unread.is_empty() {
            self.read_parts(exchange, &mut exchanged.claims, unread).await?;
        }
        Ok(exchanged)
    }
}

#[cfg(test)]
mod tests;
