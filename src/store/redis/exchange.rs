//! The exchange: settle, enter and claim in one script call, over a lane's own connection.
//!
//! This is the hot path. What does not change from call to call (keys of workers and queues, the
//! constant pieces of working records) is built once per worker (`layout`) and once per list of queues.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use fred::types::RespVersion;

use super::claim_queues::{ClaimQueues, is_for_a_key};
use super::connection::{Connection, Origin};
use super::engine::RedisStore;
use super::keys::Keys;
use super::layout::{Layout, Workers};
use super::script::{Call, Script, script};
use super::verdict::{self, Ending};
use super::wake::{self, RedisWaker};
use super::{reply, rights};
use crate::job::ecma::quote;
use crate::job::{ClaimToken, Identity, WorkerName};
use crate::store::backend::{EngineLane, Opens};
use crate::store::effect::{Busy, Gate};
use crate::store::error::StoreError;
use crate::store::queueing::{Claim, Enter, Entered, Exchange, Exchanged, Repeated};
use crate::store::working::WorkingRecord;

static EXCHANGE: Script = script!(
    "locks", "places", "identity", "remember", "delay", "recall", "cadence", "verdict", "lane", "settle", "enter",
    "claim"
);
/// The same for exchanges without enters whose settlements are all done. Most are.
static PLAIN: Script = script!("places", "identity", "recall", "lane", "done", "claim");
static OPEN_LANE: Script = script!("open_lane");
static COUNT: Script = script!("count");

/// After how many full exchanges in a row many more are expected.
const SUSTAINED: u32 = 8;

impl Opens for RedisStore {
    type Lane = RedisLane;
    type Waker = RedisWaker;

    async fn open_lane(&self, instance: &str, lane: u8) -> Result<RedisLane, StoreError> {
        open(&self.connection.origin, instance, lane).await
    }

    async fn open_waker(&self) -> Result<RedisWaker, StoreError> {
        wake::open(&self.connection.origin).await
    }
}

/// Opens a lane.
async fn open(origin: &Origin, instance: &str, lane: u8) -> Result<RedisLane, StoreError> {
    let connection = origin.open(RespVersion::RESP2).await?;
    let key = connection.keys().lane(instance);
    let mut call = connection.call();
    call.key(key.clone()).number(lane);
    reply::number(connection.run(&OPEN_LANE, call).await?)?;
    Ok(RedisLane {
        instance: instance.into(),
        lane,
        lane_text: Bytes::from(lane.to_string()),
        prefix_len: Bytes::from(connection.keys().queue_prefix_len().to_string()),
        key,
        paused: (connection.keys().paused(), connection.keys().pause_all()),
        workers: Workers::default(),
        full: 0,
        queues: ClaimQueues::of(connection.keys(), &Arc::from([])),
        connection,
    })
}

/// A lane over its own connection.
pub(in crate::store) struct RedisLane {
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
    queues: ClaimQueues,
    connection: Connection,
}

impl EngineLane for RedisLane {
    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        if exchange.sequence == 0 {
            return Err(StoreError::Misuse("sequences of a lane start at 1".to_owned()));
        }
        if !self.queues.are_of(&exchange.queues) {
            self.queues = ClaimQueues::of(self.connection.keys(), &exchange.queues);
        }
        let layout = self.workers.lay_out(self.connection.keys(), exchange, self.full >= SUSTAINED);
        let done = |op| op == verdict::NOTED || op == verdict::DONE;
        let script = if exchange.enters.is_empty() && layout.ops().all(done) { &PLAIN } else { &EXCHANGE };
        // Without all rights nothing is claimed. What ended is settled all the same, as far as the server lets it.
        let missing = if exchange.idle.is_empty() { None } else { rights::missing(&self.connection).await? };
        let claims = missing.is_none();
        let mut sent = self.connection.run_built(script, || self.call(exchange, &layout, claims)).await;
        if let Err(error) = &sent
            && is_for_a_key(error)
            && self.queues.leave_out_refused(&self.connection).await?
        {
            // It was refused as a whole, so that nothing of it was applied.
            sent = self.connection.run_built(script, || self.call(exchange, &layout, claims)).await;
        }
        let frame = match sent {
            Ok(frame) => frame,
            Err(error) => return Err(rights::explain(&self.connection, error).await),
        };
        let mut exchanged = self.read(exchange, frame)?;
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
        if !full && asked > 0 {
            self.count(&exchange.idle).await;
        }
        Ok(exchanged)
    }
}

impl RedisLane {
    /// In the order in which `lane.lua` to `claim.lua` read. Without `claims` the idle workers get no jobs.
    fn call(&self, exchange: &Exchange, layout: &Layout, claims: bool) -> Call {
        let keys = self.connection.keys();
        let (settled, entered, idle) = (exchange.settlements.len(), exchange.enters.len(), exchange.idle.len());
        let workers = layout.working.len();
        let (queue_keys, pieces) =
            if claims { (&self.queues.keys[..], &self.queues.pieces[..]) } else { (&[][..], &[][..]) };
        let queues = queue_keys.len();
        let size = workers + 4 * entered + queues;
        let mut call = Call::sized(self.connection.origin.now_ms(), size + 12, size + 16);
        verdict::places(&mut call, keys);
        call.key(self.key.clone()).key(self.paused.0.clone()).key(self.paused.1.clone());
        call.arg(self.lane_text.clone()).number(exchange.sequence);
        call.number(settled).number(entered).number(workers).number(idle).number(queues).number(layout.heads.len());
        call.number(exchange.share.max(1));
        call.arg(self.prefix_len.clone());
        call.arg(Bytes::from(format!("{{\"claim\":\"{}-{}-{}-", self.instance, self.lane, exchange.sequence)));
        call.arg(Bytes::from(format!("\"run_at\":{},", quote(&exchange.run_at))));
        call.keys(&layout.working).keys(queue_keys);
        call.args(&layout.pieces).args(pieces).args(&layout.heads);
        call.arg(layout.settlements.clone()).arg(layout.enters.clone());
        for ((settlement, counted), op) in exchange.settlements.iter().zip(&layout.counted).zip(layout.ops()) {
            if op == verdict::NOTED {
                continue;
            }
            let ending = Ending {
                worker: &settlement.worker,
                queue: &settlement.queue,
                payload: &settlement.payload,
                verdict: &settlement.verdict,
                free: &settlement.free,
                tick: settlement.tick.as_ref(),
                counted: counted.clone(),
            };
            ending.write(&mut call, keys);
        }
        for enter in &exchange.enters {
            gates(&mut call, keys, enter);
        }
        call
    }

    /// Counts what idle workers did, now that there is time.
    async fn count(&mut self, idle: &[WorkerName]) {
        let mut call = self.connection.call();
        for (stat, count) in self.workers.owed(idle) {
            call.key(stat.clone()).number(count);
        }
        // Without a reply it is unknown whether they were counted. They are not counted again, because a statistic that is
        // too small is better than one that counts twice.
        if call.has_keys() {
            let _ = self.connection.run(&COUNT, call).await;
            self.workers.paid(idle);
        }
    }

    fn read(&self, exchange: &Exchange, frame: Frame) -> Result<Exchanged, StoreError> {
        let mut reply = reply::list(frame)?.into_iter();
        let mut next = || reply::bytes(reply.next().unwrap_or(Frame::Null)).map(Option::unwrap_or_default);
        match &*next()? {
            b"G" => Ok(Exchanged { dead: true, ..Exchanged::default() }),
            b"S" => {
                let last = next()?;
                Err(StoreError::Misuse(format!(
                    "exchange {} of lane {} comes after {}",
                    exchange.sequence,
                    self.lane,
                    String::from_utf8_lossy(&last)
                )))
            }
            b"R" => {
                let ((lost, undone), (entered, repeated)) = (unapplied(&next()?), enter_outcomes(exchange, &next()?));
                let mut claims = Vec::new();
                loop {
                    let (index, raw) = (next()?, next()?);
                    let Some(index) = reply::parsed::<usize>(&index) else { break };
                    claims.extend(self.on_record(exchange, index, raw));
                }
                Ok(Exchanged { lost, undone, repeated, entered, claims, ..Exchanged::default() })
            }
            b"A" => {
                let ((lost, undone), (entered, repeated)) = (unapplied(&next()?), enter_outcomes(exchange, &next()?));
                let findings = self.connection.findings(&next()?);
                let (runs, (indexes, occupied)) = (next()?, halves(&next()?));
                let identities = reply::list(reply.next().unwrap_or(Frame::Null))?;
                let claims = self.claims(exchange, &runs, &indexes, identities, reply)?;
                Ok(Exchanged { lost, undone, findings, repeated, entered, claims, occupied, ..Exchanged::default() })
            }
            _ => Err(StoreError::Unsupported("its reply is not an exchange's".to_owned())),
        }
    }

    /// The claims of a first reply: jobs in order, told apart by runs of queues.
    fn claims(
        &self,
        exchange: &Exchange,
        runs: &[u8],
        indexes: &[usize],
        identities: Vec<Frame>,
        jobs: impl Iterator<Item = Frame>,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut known = HashMap::new();
        let mut identities = identities.into_iter();
        while let (Some(position), Some(identity)) = (identities.next(), identities.next()) {
            let text = reply::bytes(identity)?.unwrap_or_default();
            let identity = std::str::from_utf8(&text).ok().and_then(Identity::decode);
            known.extend(identity.map(|identity| (reply::count(position).unwrap_or(u64::MAX), identity)));
        }
        let mut runs = runs.split(|byte| *byte == b',').filter_map(|run| {
            let (queue, length) = std::str::from_utf8(run).ok()?.split_once(' ')?;
            Some((self.queues.names.get(queue.parse::<usize>().ok()?)?, length.parse::<usize>().ok()?))
        });
        let mut claims = Vec::with_capacity(jobs.size_hint().0);
        let mut run = runs.next();
        for (position, job) in jobs.enumerate() {
            while run.is_some_and(|(_, left)| left == 0) {
                run = runs.next();
            }
            let Some((queue, left)) = &mut run else { break };
            *left -= 1;
            let index = indexes.get(position).copied().unwrap_or(position);
            let Some(worker) = exchange.idle.get(index) else { break };
            let token = ClaimToken::new(&self.instance, self.lane, exchange.sequence, self.workers.ordinal(worker));
            let identity = if known.is_empty() { None } else { known.remove(&(position as u64)) };
            claims.push(Claim {
                index,
                queue: queue.clone(),
                payload: reply::bytes(job)?.unwrap_or_default(),
                identity: identity.unwrap_or_else(|| Identity::first(&token)),
                token,
            });
        }
        Ok(claims)
    }

    /// A claim of a repeated exchange, from its working record.
    fn on_record(&self, exchange: &Exchange, index: usize, raw: Bytes) -> Option<Claim> {
        let record = WorkingRecord::parse(exchange.idle.get(index)?, raw);
        Some(Claim {
            index,
            token: record.claim?,
            queue: record.queue?,
            payload: record.payload?,
            identity: record.identity?,
        })
    }
}

/// What `enter.lua` reads for one enter.
fn gates(call: &mut Call, keys: &Keys, enter: &Enter) {
    let returns = |gate: &Gate| matches!(gate, Gate::TakeLock { busy: Busy::PutBack { .. }, .. });
    let may_return = enter.gates.iter().any(returns);
    call.number(enter.gates.len()).flag(may_return);
    if may_return {
        verdict::put_off(call, keys, &enter.payload, &enter.queue);
        call.text(enter.queue.as_str()).arg(verdict::encoded(&enter.identity));
    }
    for gate in &enter.gates {
        match gate {
            Gate::FreeLock { key } => {
                call.literal("F").key(keys.lock(key));
            }
            Gate::TakeLock { key, ttl_s, busy, .. } => {
                call.literal("T").key(keys.lock(key)).key(keys.lock_shadow(key)).number(ttl_s);
                match busy {
                    Busy::PutBack { delay_ms } => {
                        call.literal("P").number(delay_ms);
                    }
                    Busy::Drop { free, tick, retry } => {
                        call.literal("D");
                        verdict::locks(call, keys, free);
                        verdict::tick(call, keys, tick.as_ref());
                        verdict::retry_keys(call, keys, retry.as_ref());
                    }
                }
            }
            Gate::Fresh { tick, max_age_s, free, retry, .. } => {
                call.literal("A").key(keys.periodic()).text(tick.task.as_str()).number(max_age_s);
                verdict::locks(call, keys, free);
                verdict::tick(call, keys, Some(tick));
                verdict::retry_keys(call, keys, retry.as_ref());
            }
            Gate::NextTick { tick } => {
                call.literal("N").key(keys.periodic());
                // Whether a tick follows needs no saying here.
                verdict::the_tick(call, keys, tick);
            }
        }
    }
}

/// Two lists of numbers with a semicolon between them; the second may be missing.
fn halves(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let mut next = || reply::numbers(parts.next().unwrap_or_default());
    (next(), next())
}

/// The settlements whose claims were lost, and those that could not be recorded.
fn unapplied(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let mut unapplied = (reply::numbers(text), Vec::new());
    if text.contains(&b'!') {
        let parts = text.split(|byte| *byte == b',');
        unapplied.1.extend(parts.filter_map(|part| reply::parsed::<usize>(part.strip_prefix(b"!")?)));
    }
    for numbers in [&mut unapplied.0, &mut unapplied.1] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    unapplied
}

/// What became of the enters and, behind a semicolon, of attempts that will be repeated.
fn enter_outcomes(exchange: &Exchange, text: &[u8]) -> (Vec<Entered>, Vec<Repeated>) {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let (letters, repeats) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let repeat = |text: &[u8]| {
        let mut numbers = text.split(|byte| *byte == b':').map(reply::parsed::<u64>);
        let mut next = || numbers.next().flatten();
        let (index, left, delay_ms) = (next()?, next()?, next()?);
        Some(Repeated { index: usize::try_from(index).ok()?, left: u32::try_from(left).unwrap_or(u32::MAX), delay_ms })
    };
    (entered(exchange, letters), repeats.split(|byte| *byte == b',').filter_map(repeat).collect())
}

/// What became of each enter, from the letters that `enter.lua` writes.
fn entered(exchange: &Exchange, text: &[u8]) -> Vec<Entered> {
    let mut verdicts = text.split(|byte| *byte == b',');
    let read = |enter: &Enter| {
        let verdict = verdicts.next().unwrap_or_default();
        let plugin = || match reply::parsed::<usize>(verdict.get(1..)?).and_then(|gate| enter.gates.get(gate))? {
            Gate::TakeLock { plugin, .. } | Gate::Fresh { plugin, .. } => Some(*plugin),
            Gate::FreeLock { .. } | Gate::NextTick { .. } => None,
        };
        match verdict.first() {
            Some(b'T') => Entered::Taken,
            Some(b'P') => Entered::PutBack { plugin: plugin().unwrap_or_default() },
            Some(b'D') => Entered::Dropped { plugin: plugin().unwrap_or_default() },
            Some(b'U') => Entered::Undone,
            _ => Entered::Lost,
        }
    };
    exchange.enters.iter().map(read).collect()
}

#[cfg(test)]
mod tests;
