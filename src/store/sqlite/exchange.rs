//! The exchange: settle, enter and claim in one step, once per sequence number.
//!
//! A lane keeps the number of its last exchange and its outcome, without the claims. Those stand in `working` under
//! tokens that follow from the number, and are read from there when the exchange is repeated. Only registered workers
//! receive claims, so that a worker that was force-cleaned has none before its instance notices.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::apart::{Apart, Piece};
use super::claim::{RefusedJob, SteppedOver, claim};
use super::commit::Handle;
use super::engine::SqliteStore;
use super::exchanged::{EnterOutcome, Reply};
use super::locks::Taken;
use super::number::stored;
use super::retries::Attempt;
use super::step::Step;
use super::value::{opt_int, text};
use super::verdict::{self, CounterDeltas};
use super::wake::SqliteWaker;
use super::{delayed, locks, periodic, retries, runs, working};
use crate::job::{ClaimToken, RunOutcome, WorkerName};
use crate::store::backend::{EngineLane, Opens};
use crate::store::effect::{Busy, Gate, Verdict};
use crate::store::error::StoreError;
use crate::store::queueing::{
    Claim, Enter, Entered, Exchange, Exchanged, Extra, Part, RefusedPart, Repeated, Settlement, TickDue,
};

impl Opens for SqliteStore {
    type Lane = SqliteLane;
    type Waker = SqliteWaker;

    async fn open_lane(&self, instance: &str, lane: u8) -> Result<SqliteLane, StoreError> {
        let (writer, instance) = (self.writer.clone(), Arc::from(instance));
        Ok(SqliteLane { writer, instance, lane, over: Arc::default(), answered: None, sent: None, is_fresh: false })
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
    /// The jobs whose claim is refused.
    over: Arc<SteppedOver>,
    /// The number of the last exchange that was answered, and of the last that was sent.
    answered: Option<u64>,
    sent: Option<u64>,
    /// Is this exchange sent for the first time, after the answer to the one before? Then nothing of it was applied, whatever number
    /// somebody wrote into the file.
    is_fresh: bool,
}

impl EngineLane for SqliteLane {
    fn tell_progress(&mut self, _: Arc<dyn Fn() + Send + Sync>) {
        // An answer comes whole.
    }

    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        let sequence = exchange.sequence;
        let follows = self.answered.and_then(|answered| answered.checked_add(1)) == Some(sequence);
        self.is_fresh = follows && self.sent.replace(sequence) != Some(sequence);
        let exchanged = self.exchange_once(exchange).await;
        if exchanged.is_ok() {
            self.answered = Some(sequence);
        }
        exchanged
    }
}

impl SqliteLane {
    async fn exchange_once(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        match self.send(exchange).await {
            // A job that ends makes room, the record of its run takes some.
            Err(full @ StoreError::Full(_)) if keeps_runs(exchange) => {
                let mut without = exchange.clone();
                without.settlements.iter_mut().for_each(|settlement| settlement.run = None);
                without.enters.iter_mut().for_each(|enter| enter.run = None);
                let mut exchanged = self.send(&without).await?;
                exchanged.findings.push(full);
                Ok(exchanged)
            }
            done => done,
        }
    }

    async fn send(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        self.over = SteppedOver::without_old(&self.over);
        match self.apply(exchange, None).await {
            // Nothing of it was applied. Which part is refused shows when each is tried by itself.
            Err(StoreError::Barred { .. }) => {}
            done => return self.keep(done),
        }
        let apart = Arc::new(Apart::default());
        loop {
            let known = apart.count();
            match self.apply(exchange, Some(Arc::clone(&apart))).await {
                // Another part ended the transaction: again without that one.
                Err(StoreError::Barred { .. }) if apart.count() > known => {}
                done => return self.keep(done),
            }
        }
    }

    async fn apply(&self, exchange: &Exchange, apart: Option<Arc<Apart>>) -> Result<Applied, StoreError> {
        let (instance, lane, exchange) = (Arc::clone(&self.instance), self.lane, exchange.clone());
        let (over, is_fresh) = (Arc::clone(&self.over), self.is_fresh);
        let apply = move |step: &Step<'_>| {
            self::exchange(step, (&instance, lane), (&exchange, is_fresh), &over, apart.as_deref())
        };
        self.writer.call(apply).await
    }

    fn keep(&mut self, applied: Result<Applied, StoreError>) -> Result<Exchanged, StoreError> {
        let (exchanged, refused) = applied?;
        if !refused.is_empty() {
            Arc::make_mut(&mut self.over).add(refused);
        }
        Ok(exchanged)
    }
}

fn keeps_runs(exchange: &Exchange) -> bool {
    exchange.settlements.iter().any(|settlement| settlement.run.is_some())
        || exchange.enters.iter().any(|enter| enter.run.is_some())
}

/// The reply, and the jobs that were found to be refused.
type Applied = (Exchanged, Vec<RefusedJob>);

/// Applies an exchange, or answers a repeated one. With `apart` a part that is refused for good is left out.
fn exchange(
    step: &Step<'_>,
    (instance, lane): (&str, u8),
    (exchange, is_fresh): (&Exchange, bool),
    over: &SteppedOver,
    apart: Option<&Apart>,
) -> Result<Applied, StoreError> {
    if !step.sql("SELECT 1 FROM instances WHERE id = ?1")?.exists([instance])? {
        return Ok((Exchanged { dead: true, ..Exchanged::default() }, Vec::new()));
    }
    let sequence = stored(exchange.sequence);
    let last: Option<(Option<i64>, String)> = step
        .sql("SELECT sequence, reply FROM lanes WHERE instance = ?1 AND lane = ?2")?
        .query_row(params![instance, lane], |row| Ok((opt_int(row.get_ref(0)?), text(row.get_ref(1)?))))
        .optional()?;
    // It is unknown what was applied, so the instance starts anew and its claims are recovered.
    let unknown = || Ok((Exchanged { dead: true, ..Exchanged::default() }, Vec::new()));
    match last {
        // It is written anew, whatever stands there.
        _ if is_fresh => {}
        // Somebody else wrote it: numbers of a lane grow by one, from its first exchange on.
        Some((last, _)) if last.is_none_or(|last| last < 0 || sequence < last) => return unknown(),
        Some((Some(last), reply)) if sequence == last => {
            let Some(reply) = Reply::decode(&reply).filter(|reply| fits(exchange, reply)) else { return unknown() };
            let exchanged = answer(exchange, &reply, standing(step, instance, lane, exchange)?)?;
            let more = exchanged.claims.len() < exchange.idle.len();
            return Ok((Exchanged { more, ..exchanged }, Vec::new()));
        }
        _ => {}
    }

    let mut deltas = CounterDeltas::default();
    let mut reply = Reply::default();
    let mut ending = working::Ending::prepare(step)?;
    let (mut refused, mut findings) = (Vec::new(), Vec::new());
    for (index, settlement) in exchange.settlements.iter().enumerate() {
        let before = apart.map(|_| deltas.clone());
        let settled = match attempt(step, apart, Piece::Settlement(index), || {
            settle(step, &mut ending, &mut deltas, settlement)
        })? {
            Ok(settled) => settled,
            Err(error) => {
                deltas = before.unwrap_or_default();
                reply.undone.push(index);
                refused.push(RefusedPart { part: Part::Settlement { index, extras: extras(settlement) }, error });
                continue;
            }
        };
        if let Some(run) = settlement.run.as_deref().filter(|_| !matches!(settled, Settled::Lost)) {
            let repeated = matches!(settled, Settled::Repeated { .. });
            let outcome = if repeated { &RunOutcome::Retried } else { &run.run.outcome };
            // How the job ended is worth more than the record of it.
            findings.extend(attempt(step, apart, Piece::Run(index), || runs::write(step, run, outcome))?.err());
        }
        match settled {
            Settled::Lost => reply.lost.push(index),
            Settled::Repeated { left, delay_ms } => reply.repeated.push(Repeated { index, left, delay_ms }),
            Settled::Yes => {}
        }
    }
    drop(ending);
    if let Err(error) = attempt(step, apart, Piece::Counters, || deltas.write(step))? {
        // The jobs are done, only the statistics do not count them.
        findings.push(error);
    }
    for (index, at_gate) in exchange.enters.iter().enumerate() {
        let (outcome, due_s) = match attempt(step, apart, Piece::Enter(index), || enter(step, at_gate))? {
            Ok(entered) => entered,
            Err(error) => {
                refused.push(RefusedPart { part: Part::Enter(index), error });
                (EnterOutcome::Undone, None)
            }
        };
        if let (EnterOutcome::Dropped(number), Some(run)) = (outcome, &at_gate.run)
            && let Some(gate) = at_gate.gates.get(number)
        {
            let write = || runs::write(step, &runs::told(run, due_s), &gate.dropped_as());
            findings.extend(attempt(step, apart, Piece::DroppedRun(index), write)?.err());
        }
        reply.enter_outcomes.push(outcome);
    }
    let claimed = claim(step, (instance, lane), exchange, over, apart)?;
    findings.extend(claimed.findings);
    let sql = "INSERT OR REPLACE INTO lanes (instance, lane, sequence, reply) VALUES (?1, ?2, ?3, ?4)";
    step.change("lanes", sql, params![instance, lane, sequence, reply.encode()])?;
    let exchanged = answer(exchange, &reply, claimed.claims)?;
    let more = claimed.more && exchanged.claims.len() < exchange.idle.len();
    Ok((Exchanged { occupied: claimed.occupied, more, refused, findings, ..exchanged }, claimed.refused))
}

/// Does a part of an exchange; with `apart` so that a refusal undoes this part alone and is the inner result.
fn attempt<T>(
    step: &Step<'_>,
    apart: Option<&Apart>,
    piece: Piece,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<Result<T, StoreError>, StoreError> {
    match apart {
        Some(apart) => apart.attempt(step, piece, work),
        None => work().map(Ok),
    }
}

/// What became of a settlement.
enum Settled {
    Yes,
    Repeated { left: u32, delay_ms: u64 },
    Lost,
}

fn settle(
    step: &Step<'_>,
    ending: &mut working::Ending<'_>,
    deltas: &mut CounterDeltas,
    settlement: &Settlement,
) -> Result<Settled, StoreError> {
    let Settlement { worker, claim, queue, payload, verdict, free, tick, run: _ } = settlement;
    let came_ms = working::came_ms(step, worker, verdict)?;
    if !ending.end(step, worker, claim)? {
        return Ok(Settled::Lost);
    }
    let attempt = verdict::carry_out(step, deltas, worker, queue, payload, verdict, came_ms)?;
    locks::free_owned(step, free, claim)?;
    if let Some(Attempt::Repeated { left, delay_ms }) = attempt {
        // A job that is repeated is still the current tick.
        return Ok(Settled::Repeated { left, delay_ms });
    }
    if let Some(tick) = tick {
        periodic::tick(step, tick)?;
    }
    Ok(Settled::Yes)
}

/// All that a settlement writes besides the end of its claim and the run, which is a piece of its own: the file does not say what
/// of it is refused.
fn extras(settlement: &Settlement) -> Vec<Extra> {
    let mut extras: Vec<Extra> = settlement.free.iter().cloned().map(Extra::Lock).collect();
    extras.extend(settlement.tick.iter().map(|_| Extra::Tick));
    extras.extend(match &settlement.verdict {
        Verdict::DoneAtLast { .. } | Verdict::Vetoed { retry: Some(_) } | Verdict::Attempted(_) => Some(Extra::Retry),
        Verdict::Delayed { .. } | Verdict::Requeued { .. } => Some(Extra::Place),
        Verdict::Done | Verdict::Vetoed { retry: None } | Verdict::Failed { .. } => None,
    });
    extras
}

/// Lets a claimed job through its gates, or ends its claim. Tells for which second it was due.
fn enter(step: &Step<'_>, enter: &Enter) -> Result<(EnterOutcome, Option<i64>), StoreError> {
    if !working::stands(step, &enter.worker, &enter.claim)? {
        return Ok((EnterOutcome::Lost, None));
    }
    let (mut taken, mut due_s) = (Vec::new(), None);
    for (number, gate) in enter.gates.iter().enumerate() {
        match gate {
            Gate::TellDue { task } => due_s = periodic::present_due_s(step, task)?,
            Gate::FreeLock { key } => locks::free(step, key)?,
            Gate::NextTick { tick } => periodic::tick(step, tick)?,
            Gate::Fresh { max_age_s, tick, free, retry, .. } => {
                if periodic::lateness_s(step, tick)? > stored(*max_age_s) {
                    locks::free_owned(step, &taken, &enter.claim)?;
                    let busy = Busy::Drop { free: free.clone(), tick: Some(tick.clone()), retry: retry.clone() };
                    return Ok((refuse(step, enter, &busy, number)?, due_s));
                }
            }
            Gate::TakeLock { key, ttl_s, busy, .. } => match locks::take_job_lock(step, key, &enter.claim, *ttl_s)? {
                Taken::New => taken.push(key.clone()),
                Taken::Before => {}
                Taken::No => {
                    locks::free_owned(step, &taken, &enter.claim)?;
                    return Ok((refuse(step, enter, busy, number)?, due_s));
                }
            },
        }
    }
    Ok((EnterOutcome::Taken(due_s), due_s))
}

fn refuse(step: &Step<'_>, enter: &Enter, busy: &Busy, number: usize) -> Result<EnterOutcome, StoreError> {
    working::Ending::prepare(step)?.end(step, &enter.worker, &enter.claim)?;
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

/// Can this be the reply to this exchange? It is read from the file, where anybody may have written it.
fn fits(exchange: &Exchange, reply: &Reply) -> bool {
    let is_settlement = |index: &usize| *index < exchange.settlements.len();
    let is_outcome = |(enter, outcome): (&Enter, &EnterOutcome)| match *outcome {
        EnterOutcome::PutBack(gate) | EnterOutcome::Dropped(gate) => {
            matches!(enter.gates.get(gate), Some(Gate::TakeLock { .. } | Gate::Fresh { .. }))
        }
        EnterOutcome::Taken(_) | EnterOutcome::Lost | EnterOutcome::Undone => true,
    };
    reply.enter_outcomes.len() == exchange.enters.len()
        && exchange.enters.iter().zip(&reply.enter_outcomes).all(is_outcome)
        && reply.lost.iter().chain(&reply.undone).all(is_settlement)
        && reply.repeated.iter().all(|repeated| is_settlement(&repeated.index))
}

fn answer(exchange: &Exchange, reply: &Reply, claims: Vec<Claim>) -> Result<Exchanged, StoreError> {
    let plugin = |enter: &Enter, gate: usize| match enter.gates.get(gate) {
        Some(Gate::TakeLock { plugin, .. } | Gate::Fresh { plugin, .. }) => Ok(*plugin),
        _ => Err(StoreError::Misuse("an exchange was repeated with other enters".to_owned())),
    };
    let entered = |(enter, outcome): (&Enter, &EnterOutcome)| {
        Ok(match *outcome {
            EnterOutcome::Taken(_) => Entered::Taken,
            EnterOutcome::Lost => Entered::Lost,
            EnterOutcome::Undone => Entered::Undone,
            EnterOutcome::PutBack(gate) => Entered::PutBack { plugin: plugin(enter, gate)? },
            EnterOutcome::Dropped(gate) => Entered::Dropped { plugin: plugin(enter, gate)? },
        })
    };
    let entered = exchange.enters.iter().zip(&reply.enter_outcomes).map(entered).collect::<Result<_, StoreError>>()?;
    let due = |(index, outcome): (usize, &EnterOutcome)| match *outcome {
        EnterOutcome::Taken(due_s) => due_s.map(|due_s| TickDue { index, due_s }),
        _ => None,
    };
    Ok(Exchanged {
        due: reply.enter_outcomes.iter().take(exchange.enters.len()).enumerate().filter_map(due).collect(),
        lost: reply.lost.clone(),
        undone: reply.undone.clone(),
        repeated: reply.repeated.clone(),
        entered,
        claims,
        ..Exchanged::default()
    })
}
