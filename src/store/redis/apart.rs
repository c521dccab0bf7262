//! An exchange of which the server refuses a key.
//!
//! The server refuses the whole script for it. So the keys are asked for one by one (`refused_keys`), and the settlements,
//! enters and workers that need a refused one are set apart: the rest is sent without them, under the same number.

use bytes::Bytes;

use super::connection::Connection;
use super::gates::gates;
use super::keys::Keys;
use super::refused_keys::refused_keys;
use super::verdict;
use crate::job::RetryKeys;
use crate::job::queue_member::with_queue;
use crate::store::effect::Verdict;
use crate::store::error::StoreError;
use crate::store::queueing::{
    Enter, Entered, Exchange, Exchanged, Extra, Part, RefusedPart, Repeated, Settlement, TickDue,
};

/// An exchange whose refused parts are set apart.
pub(super) struct Apart {
    /// What is left.
    pub(super) rest: Exchange,
    /// Where the settlements, enters and workers of the rest stand in the whole.
    settlements: Vec<usize>,
    enters: Vec<usize>,
    idle: Vec<usize>,
    /// How many enters the whole has.
    entered: usize,
    refused: Vec<RefusedPart>,
    /// Why workers get no job, and runs are not kept.
    findings: Vec<StoreError>,
}

impl Apart {
    /// Finds out what is refused. `None` if nothing is.
    ///
    /// # Errors
    /// Fails when a key is refused that all exchanges need, and when the server cannot be reached.
    pub(super) async fn of(
        connection: &Connection,
        lane: &[Bytes],
        whole: &Exchange,
    ) -> Result<Option<Self>, StoreError> {
        let keys = connection.keys();
        let mut call = connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.departed());
        call.keys(lane);
        let shared = call.into_keys();
        let settlements: Vec<_> = whole.settlements.iter().map(|settlement| extras(keys, settlement)).collect();
        let entering = |enter| {
            let mut call = connection.call();
            gates(&mut call, keys, &Enter { run: None, ..Enter::clone(enter) }, 0);
            call.key(keys.working(&enter.worker));
            call.into_keys()
        };
        let enters: Vec<_> = whole.enters.iter().map(entering).collect();
        let idle: Vec<_> = whole.idle.iter().map(|worker| keys.working(worker)).collect();
        let of_settlements = settlements.iter().flatten().map(|(_, key)| key);
        let run_of = |enter: &Enter| enter.run.as_ref().map(|run| keys.runs(&run.list));
        let of_enters: Vec<_> = whole.enters.iter().filter_map(run_of).collect();
        let asked = shared
            .iter()
            .chain(of_settlements)
            .chain(enters.iter().flatten())
            .chain(&of_enters)
            .chain(&idle)
            .cloned()
            .collect();
        let refused = refused_keys(connection, asked).await?;
        if let Some(error) = shared.iter().find_map(|key| refused.get(key)) {
            connection.origin.rights.doubt();
            return Err(error.clone());
        }
        if refused.is_empty() {
            return Ok(None);
        }
        let mut apart = Self {
            rest: Exchange { settlements: Vec::new(), enters: Vec::new(), idle: Vec::new(), ..whole.clone() },
            settlements: Vec::new(),
            enters: Vec::new(),
            idle: Vec::new(),
            entered: whole.enters.len(),
            refused: Vec::new(),
            findings: Vec::new(),
        };
        for (index, (settlement, keys)) in whole.settlements.iter().zip(settlements).enumerate() {
            let hit: Vec<_> = keys.into_iter().filter_map(|(extra, key)| Some((extra, refused.get(&key)?))).collect();
            if let Some((_, error)) = hit.first() {
                let error = (*error).clone();
                let mut extras: Vec<Extra> = hit.into_iter().filter_map(|(extra, _)| extra).collect();
                extras.dedup();
                apart.refused.push(RefusedPart { part: Part::Settlement { index, extras }, error });
            } else {
                apart.settlements.push(index);
                apart.rest.settlements.push(settlement.clone());
            }
        }
        for (index, (enter, keys)) in whole.enters.iter().zip(enters).enumerate() {
            if let Some(error) = keys.iter().find_map(|key| refused.get(key)) {
                apart.refused.push(RefusedPart { part: Part::Enter(index), error: error.clone() });
            } else {
                let refused_run = run_of(enter).and_then(|key| refused.get(&key));
                apart.findings.extend(refused_run.cloned());
                let run = enter.run.clone().filter(|_| refused_run.is_none());
                apart.enters.push(index);
                apart.rest.enters.push(Enter { run, ..enter.clone() });
            }
        }
        for (index, (worker, key)) in whole.idle.iter().zip(idle).enumerate() {
            if let Some(error) = refused.get(&key) {
                apart.findings.push(error.clone());
            } else {
                apart.idle.push(index);
                apart.rest.idle.push(worker.clone());
            }
        }
        Ok(Some(apart))
    }

    /// The reply to the whole, from the reply to the rest.
    pub(super) fn reply(&self, rest: Exchanged) -> Exchanged {
        if rest.dead {
            return rest;
        }
        let settled =
            |indexes: Vec<usize>| indexes.into_iter().filter_map(|index| self.settlements.get(index).copied());
        let mut undone: Vec<usize> = settled(rest.undone).collect();
        undone.extend(self.refused.iter().filter_map(|refused| match refused.part {
            Part::Settlement { index, .. } => Some(index),
            Part::Enter(_) => None,
        }));
        undone.sort_unstable();
        let mut entered = vec![Entered::Undone; self.entered];
        for (&index, outcome) in self.enters.iter().zip(rest.entered) {
            if let Some(place) = entered.get_mut(index) {
                *place = outcome;
            }
        }
        let mut refused = self.refused.clone();
        refused.extend(rest.refused.into_iter().filter_map(|RefusedPart { part, error }| {
            let part = match part {
                Part::Enter(index) => Part::Enter(*self.enters.get(index)?),
                Part::Settlement { index, extras } => Part::Settlement { index: *self.settlements.get(index)?, extras },
            };
            Some(RefusedPart { part, error })
        }));
        let due = |one: TickDue| Some(TickDue { index: *self.enters.get(one.index)?, ..one });
        let repeat = |one: Repeated| Some(Repeated { index: *self.settlements.get(one.index)?, ..one });
        let mut claims = rest.claims;
        claims.retain_mut(|claim| self.idle.get(claim.index).map(|index| claim.index = *index).is_some());
        let (mut findings, mut occupied, more) = (rest.findings, rest.occupied, rest.more);
        findings.extend(self.findings.iter().cloned());
        occupied.retain_mut(|worker| self.idle.get(*worker).map(|index| *worker = *index).is_some());
        let lost = rest.lost.into_iter().filter_map(|index| self.settlements.get(index).copied()).collect();
        let repeated = rest.repeated.into_iter().filter_map(repeat).collect();
        let due = rest.due.into_iter().filter_map(due).collect();
        Exchanged { dead: false, lost, undone, refused, findings, repeated, entered, due, claims, occupied, more }
    }
}

/// The keys that a settlement needs, and for which extra of it; `None` for the end of its claim.
pub(super) fn extras(keys: &Keys, settlement: &Settlement) -> Vec<(Option<Extra>, Bytes)> {
    let Settlement { worker, queue, payload, verdict, free, tick, run, .. } = settlement;
    let mut all = vec![(None, keys.working(worker))];
    for lock in free {
        all.push((Some(Extra::Lock(lock.clone())), keys.lock(lock)));
        all.push((Some(Extra::Lock(lock.clone())), keys.lock_shadow(lock)));
    }
    let delayed = || (Some(Extra::Place), keys.timestamps(&with_queue(payload, queue.as_str())));
    let processed = || (None, keys.processed_by(worker.name()));
    let failures = || (None, keys.failures_of(worker.name()));
    let retry = |names: &RetryKeys| [&names.counter, &names.failure].map(|name| (Some(Extra::Retry), keys.named(name)));
    match verdict {
        Verdict::Done => all.push(processed()),
        Verdict::DoneAtLast { keys: names } => {
            all.push(processed());
            all.extend(retry(names));
        }
        Verdict::Vetoed { retry: names } => all.extend(names.iter().flat_map(retry)),
        Verdict::Attempted(attempted) => {
            all.extend([processed(), failures()]);
            all.extend(retry(&attempted.keys));
            all.push(delayed());
        }
        Verdict::Failed { .. } => all.push(failures()),
        Verdict::Delayed { .. } => all.push(delayed()),
        Verdict::Requeued { .. } => all.push((Some(Extra::Place), keys.queue(queue))),
    }
    if let Some(tick) = tick {
        let lock = tick.lock.iter().map(|(lock, _)| keys.lock(lock));
        let places = [keys.timestamps(&tick.payload), keys.queue(&tick.queue)];
        all.extend(places.into_iter().chain(lock).map(|key| (Some(Extra::Tick), key)));
    }
    if let Some(run) = run {
        all.push((Some(Extra::Run), keys.runs(&run.list)));
        all.extend(run.result.iter().map(|kept| (Some(Extra::Run), keys.result(&kept.job))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{ClaimToken, FinishedRun, Identity, LockKey, QueueName, RunOutcome, TaskName, WorkerName};
    use crate::store::effect::{Next, Retry, Tick};
    use crate::store::redis::script::Call;
    use crate::store::redis::verdict::Ending;
    use crate::store::runs::{KeepResult, KeepRun, RunList};

    /// A key that is declared and not known here would be refused for ever.
    #[test]
    fn every_key_that_a_settlement_declares_is_known() {
        let keys = Keys::new("r");
        let claim = ClaimToken::new("00ff", 0, 1, 0);
        let (identity, raw) = (Identity::first(&claim), Bytes::from_static(b"{\"class\":\"a\"}"));
        let names = RetryKeys { counter: "retry:c".to_owned(), failure: "retry:f".to_owned() };
        let retry = Retry {
            keys: names.clone(),
            last_error: raw.clone(),
            attempts: 2,
            delays_ms: vec![1],
            identity: identity.clone(),
            last: Some(raw.clone()),
        };
        let tick = Tick {
            task: TaskName::as_stored("t"),
            queue: QueueName::as_stored("q"),
            payload: Bytes::from_static(b"{}"),
            next: Next::Every { seconds: 1 },
            lock: Some((LockKey::Namespaced("lock:t".to_owned()), 60)),
            halt: false,
            beside: false,
        };
        for verdict in [
            Verdict::Done,
            Verdict::Failed { record: raw.clone() },
            Verdict::DoneAtLast { keys: names.clone() },
            Verdict::Vetoed { retry: Some(names) },
            Verdict::Attempted(Box::new(retry)),
            Verdict::Delayed { delay_ms: 1, identity: identity.clone() },
            Verdict::Requeued { identity: identity.clone() },
        ] {
            let settlement = Settlement {
                worker: WorkerName::parse("h:1:*"),
                claim: claim.clone(),
                queue: QueueName::as_stored("q"),
                payload: raw.clone(),
                verdict,
                free: vec![LockKey::Namespaced("l".to_owned())],
                tick: Some(tick.clone()),
                run: Some(Box::new(KeepRun {
                    list: RunList::Task(tick.task.clone()),
                    most: 1,
                    lasts_s: 1,
                    run: FinishedRun::new(RunOutcome::Done, 0),
                    result: Some(KeepResult { job: "7".to_owned(), lasts_s: 1, result: None }),
                })),
            };
            let mut call = Call::at(None);
            Ending::of(&settlement).write(&mut call, &keys);
            let mut known: Vec<Bytes> = extras(&keys, &settlement).into_iter().map(|(_, key)| key).collect();
            let mut declared = call.into_keys();
            declared.push(keys.working(&settlement.worker));
            known.sort();
            declared.sort();
            assert_eq!(known, declared, "{:?}", settlement.verdict);
        }
    }
}
