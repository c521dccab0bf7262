//! The exchange: settle, enter and claim in one step, once per sequence number.
//!
//! A lane keeps the number of its last exchange and its outcome, without the claims. Those stand in `working` under
//! tokens that follow from the number, and are read from there when the exchange is repeated. Only registered workers
//! receive claims, so that a worker that was force-cleaned has none before its instance notices.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::commit::{Handle, Step};
use super::engine::SqliteStore;
use super::locks::Taken;
use super::number::stored;
use super::pause::PausedQueues;
use super::retries::Attempt;
use super::value::{AnyValue, bytes, opt_int, opt_text, text};
use super::verdict::{self, CounterDeltas};
use super::wake::SqliteWaker;
use super::{delayed, locks, periodic, retries, working};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName};
use crate::store::backend::{EngineLane, Opens};
use crate::store::effect::{Busy, Gate};
use crate::store::error::StoreError;
use crate::store::queueing::{Claim, Enter, Entered, Exchange, Exchanged, Repeated};

/// The outcome of an enter. The number of the gate that refused stands for its plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EnterOutcome {
    Taken,
    PutBack(usize),
    Dropped(usize),
    Lost,
}

/// What a lane remembers of its last exchange.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reply {
    lost: Vec<usize>,
    enter_outcomes: Vec<EnterOutcome>,
    repeated: Vec<Repeated>,
}

impl Opens for SqliteStore {
    type Lane = SqliteLane;
    type Waker = SqliteWaker;

    async fn open_lane(&self, instance: &str, lane: u8) -> Result<SqliteLane, StoreError> {
        Ok(SqliteLane { writer: self.writer.clone(), instance: Arc::from(instance), lane })
    }

    async fn open_waker(&self) -> Result<SqliteWaker, StoreError> {
        Ok(SqliteWaker::open(self.reader.clone(), &self.sockets))
    }
}

/// A lane of an instance.
pub(in crate::store) struct SqliteLane {
    writer: Handle,
    instance: Arc<str>,
    lane: u8,
}

impl EngineLane for SqliteLane {
    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        let (instance, lane, exchange) = (Arc::clone(&self.instance), self.lane, exchange.clone());
        self.writer.call(move |step| self::exchange(step, &instance, lane, &exchange)).await
    }
}

/// Applies an exchange, or answers a repeated one.
fn exchange(step: &Step<'_>, instance: &str, lane: u8, exchange: &Exchange) -> Result<Exchanged, StoreError> {
    if !step.sql("SELECT 1 FROM instances WHERE id = ?1")?.exists([instance])? {
        return Ok(Exchanged { dead: true, ..Exchanged::default() });
    }
    let sequence = stored(exchange.sequence);
    let last: Option<(Option<i64>, String)> = step
        .sql("SELECT sequence, reply FROM lanes WHERE instance = ?1 AND lane = ?2")?
        .query_row(params![instance, lane], |row| Ok((opt_int(row.get_ref(0)?), text(row.get_ref(1)?))))
        .optional()?;
    // It is unknown what was applied, so the instance starts anew and its claims are recovered.
    let unknown = || Ok(Exchanged { dead: true, ..Exchanged::default() });
    match last {
        Some((None, _)) => return unknown(),
        Some((Some(last), reply)) if sequence == last => {
            let Some(reply) = Reply::decode(&reply) else { return unknown() };
            return answer(exchange, &reply, standing(step, instance, lane, exchange)?);
        }
        Some((Some(last), _)) if sequence < last => {
            return Err(StoreError::Misuse(format!("exchange {sequence} of a lane that is at {last}")));
        }
        _ => {}
    }

    let mut deltas = CounterDeltas::default();
    let mut reply = Reply::default();
    let mut ending = working::Ending::prepare(step)?;
    for (index, settlement) in exchange.settlements.iter().enumerate() {
        if !ending.end(&settlement.worker, &settlement.claim)? {
            reply.lost.push(index);
            continue;
        }
        let (worker, queue) = (&settlement.worker, &settlement.queue);
        let attempt = verdict::carry_out(step, &mut deltas, worker, queue, &settlement.payload, &settlement.verdict)?;
        locks::free_owned(step, &settlement.free, &settlement.claim)?;
        if let Some(Attempt::Repeated { left, delay_ms }) = attempt {
            // A job that is repeated is still the current tick.
            reply.repeated.push(Repeated { index, left, delay_ms });
        } else if let Some(tick) = &settlement.tick {
            periodic::tick(step, tick)?;
        }
    }
    drop(ending);
    deltas.write(step)?;
    for at_gate in &exchange.enters {
        reply.enter_outcomes.push(enter(step, at_gate)?);
    }
    let (claims, occupied) = claim(step, instance, lane, exchange)?;
    step.sql("INSERT OR REPLACE INTO lanes (instance, lane, sequence, reply) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![instance, lane, sequence, reply.encode()])?;
    Ok(Exchanged { occupied, ..answer(exchange, &reply, claims)? })
}

/// Lets a claimed job through its gates, or ends its claim.
fn enter(step: &Step<'_>, enter: &Enter) -> Result<EnterOutcome, StoreError> {
    if !working::stands(step, &enter.worker, &enter.claim)? {
        return Ok(EnterOutcome::Lost);
    }
    let mut taken = Vec::new();
    for (number, gate) in enter.gates.iter().enumerate() {
        match gate {
            Gate::FreeLock { key } => locks::free(step, key)?,
            Gate::NextTick { tick } => periodic::tick(step, tick)?,
            Gate::Fresh { max_age_s, tick, free, retry, .. } => {
                if periodic::lateness_s(step, tick)? > stored(*max_age_s) {
                    locks::free_owned(step, &taken, &enter.claim)?;
                    let busy = Busy::Drop { free: free.clone(), tick: Some(tick.clone()), retry: retry.clone() };
                    return refuse(step, enter, &busy, number);
                }
            }
            Gate::TakeLock { key, ttl_s, busy, .. } => match locks::take_job_lock(step, key, &enter.claim, *ttl_s)? {
                Taken::New => taken.push(key.clone()),
                Taken::Before => {}
                Taken::No => {
                    locks::free_owned(step, &taken, &enter.claim)?;
                    return refuse(step, enter, busy, number);
                }
            },
        }
    }
    Ok(EnterOutcome::Taken)
}

fn refuse(step: &Step<'_>, enter: &Enter, busy: &Busy, number: usize) -> Result<EnterOutcome, StoreError> {
    working::Ending::prepare(step)?.end(&enter.worker, &enter.claim)?;
    match busy {
        Busy::PutBack { delay_ms } => {
            delayed::put_off(step, *delay_ms, &enter.queue, &enter.payload, &enter.identity)?;
            Ok(EnterOutcome::PutBack(number))
        }
        Busy::Drop { free, tick, retry } => {
            if let Some(keys) = retry {
                retries::forget(step, keys)?;
            }
            for key in free {
                locks::free(step, key)?;
            }
            if let Some(tick) = tick {
                periodic::tick(step, tick)?;
            }
            Ok(EnterOutcome::Dropped(number))
        }
    }
}

/// Claims jobs for idle workers, from the queues in their order. Also returns the workers that it met under which a record
/// stands.
fn claim(
    step: &Step<'_>,
    instance: &str,
    lane: u8,
    exchange: &Exchange,
) -> Result<(Vec<Claim>, Vec<usize>), StoreError> {
    let (mut claims, mut occupied) = (Vec::new(), Vec::new());
    if exchange.idle.is_empty() || exchange.queues.is_empty() {
        return Ok((claims, occupied));
    }
    let paused = PausedQueues::read(step)?;
    let mut idle = exchange.idle.iter().enumerate();
    let mut heads =
        step.sql("SELECT position, payload, identity FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2")?;
    let mut remove = step.sql("DELETE FROM jobs WHERE queue = ?1 AND position <= ?2")?;
    // A worker that has a record must be recovered first, so it is skipped like one that is not registered, and the next
    // one gets the job.
    let mut record = step.sql(
        "INSERT OR IGNORE INTO working (worker, claim, queue, run_at, payload, identity) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM workers WHERE id = ?1)",
    )?;
    for queue in exchange.queues.iter() {
        if idle.len() == 0 {
            break;
        }
        if paused.holds(queue) {
            continue;
        }
        let (most, shared) =
            if exchange.share > 1 { part(step, queue, idle.len(), exchange.share)? } else { (idle.len(), false) };
        let jobs: Vec<(AnyValue, Vec<u8>, Option<String>)> = heads
            .query_map(params![queue.as_str(), stored(most)], |row| {
                Ok((row.get(0)?, bytes(row.get_ref(1)?), opt_text(row.get_ref(2)?)))
            })?
            .collect::<Result<_, _>>()?;
        let mut last = None;
        'jobs: for (position, payload, identity) in jobs {
            let (index, token) = loop {
                let Some((index, worker)) = idle.next() else { break 'jobs };
                let token = ClaimToken::new(instance, lane, exchange.sequence, index);
                let (id, run_at) = (worker.id(), exchange.run_at.as_str());
                if record.execute(params![id, token.as_str(), queue.as_str(), run_at, payload, identity])? == 1 {
                    break (index, token);
                }
                if working::of(step, worker)?.is_some() {
                    occupied.push(index);
                }
            };
            last = Some(position);
            let identity = identity.as_deref().and_then(Identity::decode).unwrap_or_else(|| Identity::first(&token));
            claims.push(Claim { index, token, queue: queue.clone(), payload: Bytes::from(payload), identity });
        }
        if let Some(last) = last {
            remove.execute(params![queue.as_str(), last])?;
        }
        if shared {
            // The rest of this queue goes to other instances before the queues behind it.
            break;
        }
    }
    Ok((claims, occupied))
}

/// How many jobs of a queue are one of `share` parts, at most `most`, and whether idle workers are left that could take
/// more.
fn part(step: &Step<'_>, queue: &QueueName, most: usize, share: usize) -> Result<(usize, bool), StoreError> {
    // Counting further would change nothing.
    let enough = most.saturating_mul(share);
    let standing: i64 = step
        .sql("SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT ?2)")?
        .query_row(params![queue.as_str(), stored(enough)], |row| row.get(0))?;
    let standing = usize::try_from(standing).unwrap_or(0);
    let part = standing.div_ceil(share).min(most);
    Ok((part, part < most.min(standing)))
}

/// Those claims of this exchange that still stand after it was applied.
fn standing(step: &Step<'_>, instance: &str, lane: u8, exchange: &Exchange) -> Result<Vec<Claim>, StoreError> {
    let claimed = |(index, worker): (usize, &WorkerName)| {
        let token = ClaimToken::new(instance, lane, exchange.sequence, index);
        let record = working::of(step, worker)?.filter(|record| record.claim.as_ref() == Some(&token));
        Ok(record.and_then(|record| {
            Some(Claim { index, token, queue: record.queue?, payload: record.payload?, identity: record.identity? })
        }))
    };
    exchange.idle.iter().enumerate().map(claimed).filter_map(Result::transpose).collect()
}

fn answer(exchange: &Exchange, reply: &Reply, claims: Vec<Claim>) -> Result<Exchanged, StoreError> {
    let plugin = |enter: &Enter, gate: usize| match enter.gates.get(gate) {
        Some(Gate::TakeLock { plugin, .. } | Gate::Fresh { plugin, .. }) => Ok(*plugin),
        _ => Err(StoreError::Misuse("an exchange was repeated with other enters".to_owned())),
    };
    let entered = |(enter, outcome): (&Enter, &EnterOutcome)| {
        Ok(match *outcome {
            EnterOutcome::Taken => Entered::Taken,
            EnterOutcome::Lost => Entered::Lost,
            EnterOutcome::PutBack(gate) => Entered::PutBack { plugin: plugin(enter, gate)? },
            EnterOutcome::Dropped(gate) => Entered::Dropped { plugin: plugin(enter, gate)? },
        })
    };
    let entered = exchange.enters.iter().zip(&reply.enter_outcomes).map(entered).collect::<Result<_, StoreError>>()?;
    Ok(Exchanged {
        lost: reply.lost.clone(),
        repeated: reply.repeated.clone(),
        entered,
        claims,
        ..Exchanged::default()
    })
}

impl Reply {
    /// Lost indexes, outcomes of enters by letter and gate, attempts to be repeated: `3,8;T,P0,D1,L;4:2:1000`.
    fn encode(&self) -> String {
        let lost: Vec<String> = self.lost.iter().map(usize::to_string).collect();
        let enter_outcomes: Vec<String> = self.enter_outcomes.iter().map(EnterOutcome::encode).collect();
        let repeat = |Repeated { index, left, delay_ms }: &Repeated| format!("{index}:{left}:{delay_ms}");
        let repeated: Vec<String> = self.repeated.iter().map(repeat).collect();
        format!("{};{};{}", lost.join(","), enter_outcomes.join(","), repeated.join(","))
    }

    fn decode(text: &str) -> Option<Self> {
        let (lost, rest) = text.split_once(';')?;
        // Versions before Retry wrote two parts.
        let (enter_outcomes, repeated) = rest.split_once(';').unwrap_or((rest, ""));
        let repeat = |text: &String| {
            let mut numbers = text.split(':');
            let mut next = || numbers.next();
            let (index, left, delay_ms) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
            Some(Repeated { index, left, delay_ms })
        };
        let items =
            |text: &'_ str| text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        Some(Self {
            lost: items(lost).iter().map(|index| index.parse().ok()).collect::<Option<_>>()?,
            enter_outcomes: items(enter_outcomes)
                .iter()
                .map(|outcome| EnterOutcome::decode(outcome))
                .collect::<Option<_>>()?,
            repeated: items(repeated).iter().map(repeat).collect::<Option<_>>()?,
        })
    }
}

impl EnterOutcome {
    fn encode(&self) -> String {
        match self {
            Self::Taken => "T".to_owned(),
            Self::Lost => "L".to_owned(),
            Self::PutBack(gate) => format!("P{gate}"),
            Self::Dropped(gate) => format!("D{gate}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("T", "") => Some(Self::Taken),
            ("L", "") => Some(Self::Lost),
            ("P", gate) => gate.parse().ok().map(Self::PutBack),
            ("D", gate) => gate.parse().ok().map(Self::Dropped),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_survives_its_stored_form() {
        let full = Reply {
            lost: vec![0, 12],
            enter_outcomes: vec![
                EnterOutcome::Taken,
                EnterOutcome::PutBack(0),
                EnterOutcome::Dropped(3),
                EnterOutcome::Lost,
            ],
            repeated: vec![Repeated { index: 4, left: 2, delay_ms: 1000 }],
        };
        for reply in [full, Reply::default()] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        for bad in ["", "x;", ";X", ";P", "1", ";;1:2"] {
            assert_eq!(Reply::decode(bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[TLPD0-9:;,\\-\\PC]{0,40}") {
            if let Some(reply) = Reply::decode(&text) {
                proptest::prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
            }
        }
    }
}
