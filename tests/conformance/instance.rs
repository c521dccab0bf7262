//! An instance for the tests: it joins, claims and settles, and counts its lane's sequence.

use std::sync::Arc;

use bytes::Bytes;
use windlass::job::{Failure, Identity, LockKey, QueueName, WorkerName};
use windlass::store::effect::{Gate, Tick, Verdict};
use windlass::store::instance::{Extend, Extended, HostIdentity, InstanceRecord, InstanceState, Joined};
use windlass::store::queueing::{Claim, Enter, Entered, Exchange, Exchanged, Settlement};
use windlass::store::working::WorkingRecord;
use windlass::store::{Store, StoreError};

use crate::fixture::NOW_MS;
use crate::support::verbs::Verbs as _;
use windlass::store::Lane;
use windlass::store::role::Whole;

/// An instance with one lane.
pub(crate) struct Instance {
    pub(crate) store: Store<Whole>,
    pub(crate) record: InstanceRecord,
    lane: Lane,
    sequence: u64,
}

/// A claim and its worker.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) worker: WorkerName,
    pub(crate) claim: Claim,
}

/// The record of an instance; its name follows from its id.
pub(crate) fn record(id: &str, processors: usize) -> InstanceRecord {
    InstanceRecord {
        id: id.to_owned(),
        name: format!("host-windlass:{id}"),
        queues: "*".to_owned(),
        former_queues: Vec::new(),
        host: HostIdentity {
            hostname: "host".to_owned(),
            boot_id: "boot".to_owned(),
            pid_namespace: 1,
            pid: 7,
            started_ticks: 11,
        },
        processors,
        lease_ms: 15_000,
        periodic: Vec::new(),
        version: "test".to_owned(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}

impl Instance {
    /// Joins with this many registered workers.
    pub(crate) async fn join(store: &Store<Whole>, id: &str, processors: usize) -> Self {
        let record = record(id, processors);
        assert_eq!(store.join(&record).await.expect("join"), Joined::Yes);
        let leftovers = store.register(&record.id, &record.workers()).await.expect("register");
        assert_eq!(leftovers, [], "a fresh instance finds nothing under its workers");
        let lane = store.lane(&record.id, 0).await.expect("lane");
        Self { store: store.clone(), record, lane, sequence: 0 }
    }

    /// Its worker `n`, from 1.
    pub(crate) fn worker(&self, n: usize) -> WorkerName {
        self.record.worker(n)
    }

    /// The lane's next exchange, still empty.
    pub(crate) fn next(&mut self) -> Exchange {
        self.sequence += 1;
        Exchange {
            sequence: self.sequence,
            settlements: Vec::new(),
            enters: Vec::new(),
            idle: Vec::new(),
            queues: Arc::from([]),
            share: 1,
            run_at: windlass::job::failure::iso_date(NOW_MS),
        }
    }

    /// The lane's next exchange: a claim for the workers of these numbers.
    pub(crate) fn next_claim(&mut self, queues: &[&str], numbers: &[usize]) -> Exchange {
        let idle = numbers.iter().map(|n| self.worker(*n)).collect();
        Exchange { idle, queues: queues.iter().map(|name| QueueName::as_stored(name)).collect(), ..self.next() }
    }

    /// Sends an exchange, which must succeed.
    pub(crate) async fn send(&mut self, exchange: &Exchange) -> Exchanged {
        self.try_send(exchange).await.expect("exchange")
    }

    /// Sends an exchange.
    pub(crate) async fn try_send(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        self.lane.exchange(exchange).await
    }

    /// Drops the lane and opens a new one, as after a lost connection.
    pub(crate) async fn reopen(&mut self) {
        self.lane = self.store.lane(&self.record.id, 0).await.expect("lane");
    }

    /// Claims for the workers of these numbers.
    pub(crate) async fn claim(&mut self, queues: &[&str], numbers: &[usize]) -> Vec<Claimed> {
        let exchange = self.next_claim(queues, numbers);
        let exchanged = self.send(&exchange).await;
        claimed(&exchange, &exchanged)
    }

    /// Claims one job for its first worker; there must be one.
    pub(crate) async fn claim_one(&mut self, queue: &str) -> Claimed {
        let mut claims = self.claim(&[queue], &[1]).await;
        assert_eq!(claims.len(), 1, "a job must be on {queue}");
        claims.remove(0)
    }

    /// Settles; returns the whole reply.
    pub(crate) async fn settlements(&mut self, settlements: Vec<Settlement>) -> Exchanged {
        let exchange = Exchange { settlements, ..self.next() };
        self.send(&exchange).await
    }

    /// Settles; returns what was lost.
    pub(crate) async fn settle(&mut self, settlements: Vec<Settlement>) -> Vec<usize> {
        let exchange = Exchange { settlements, ..self.next() };
        self.send(&exchange).await.lost
    }

    /// Settles one claim, which must not be lost.
    pub(crate) async fn settle_one(&mut self, claimed: &Claimed, verdict: Verdict) {
        assert_eq!(self.settle(vec![claimed.ends(verdict)]).await, [0_usize; 0], "the claim must be ours");
    }

    /// Passes one claim through gates.
    pub(crate) async fn enter(&mut self, claimed: &Claimed, gates: &[Gate]) -> Entered {
        let exchange = Exchange { enters: vec![claimed.enters(gates)], ..self.next() };
        let mut entered = self.send(&exchange).await.entered;
        assert_eq!(entered.len(), 1);
        entered.remove(0)
    }

    /// Passes one claim through gates that tell for which second its tick is due. The exchange is sent twice, as after a lost reply.
    pub(crate) async fn enter_tick(&mut self, claimed: &Claimed, gates: &[Gate]) -> (Entered, Option<i64>) {
        let exchange = Exchange { enters: vec![claimed.enters(gates)], ..self.next() };
        let (first, again) = (self.send(&exchange).await, self.send(&exchange).await);
        assert_eq!((&first.entered, &first.due), (&again.entered, &again.due), "a repetition tells the same");
        let due = first.due.iter().map(|due| (due.index, due.due_s)).collect::<Vec<_>>();
        assert!(due.iter().all(|(index, _)| *index == 0) && due.len() <= 1, "{due:?}");
        (first.entered[0].clone(), due.first().map(|due| due.1))
    }

    /// An extension of its lease for all its workers, with no locks.
    pub(crate) fn extension(&self) -> Extend {
        Extend {
            progress: Vec::new(),
            ran: Vec::new(),
            record: self.record.clone(),
            publish: false,
            census: false,
            workers: self.record.workers(),
            pinged: Vec::new(),
            locks: Vec::new(),
            done: Vec::new(),
            long: Vec::new(),
        }
    }

    /// Extends its lease with all its workers. What it tells of the store's mark is left to the chapter `emptied`.
    pub(crate) async fn extend(&self) -> Extended {
        let extend = Extend { publish: true, ..self.extension() };
        Extended { birth: None, ..self.store.extend(&extend).await.expect("extend") }
    }

    /// The working records of its workers.
    pub(crate) async fn working(&self) -> Vec<WorkingRecord> {
        let working = self.store.working(&self.record.workers()).await.expect("working");
        working.into_iter().flatten().collect()
    }

    /// Its registration as an observer sees it.
    pub(crate) async fn state(&self) -> Option<InstanceState> {
        let instances = self.store.instances().await.expect("instances");
        instances.into_iter().find(|state| state.record.id == self.record.id)
    }
}

/// The claims of an exchange, each with its worker.
pub(crate) fn claimed(exchange: &Exchange, exchanged: &Exchanged) -> Vec<Claimed> {
    let claimed = |claim: &Claim| Claimed { worker: exchange.idle[claim.index].clone(), claim: claim.clone() };
    exchanged.claims.iter().map(claimed).collect()
}

/// The jobs of these claims, in order.
pub(crate) fn payloads(claims: &[Claimed]) -> Vec<Bytes> {
    claims.iter().map(|claimed| claimed.claim.payload.clone()).collect()
}

impl Claimed {
    /// The claim's end.
    pub(crate) fn ends(&self, verdict: Verdict) -> Settlement {
        Settlement {
            worker: self.worker.clone(),
            claim: self.claim.token.clone(),
            queue: self.claim.queue.clone(),
            payload: self.claim.payload.clone(),
            verdict,
            free: Vec::new(),
            tick: None,
            run: None,
        }
    }

    /// The claim's end, with locks to free.
    pub(crate) fn frees(&self, verdict: Verdict, free: &[LockKey]) -> Settlement {
        Settlement { free: free.to_vec(), ..self.ends(verdict) }
    }

    /// The claim's end, with a next tick.
    pub(crate) fn ticks(&self, verdict: Verdict, tick: &Tick) -> Settlement {
        Settlement { tick: Some(tick.clone()), ..self.ends(verdict) }
    }

    /// The claim at its gates.
    pub(crate) fn enters(&self, gates: &[Gate]) -> Enter {
        Enter {
            worker: self.worker.clone(),
            claim: self.claim.token.clone(),
            queue: self.claim.queue.clone(),
            payload: self.claim.payload.clone(),
            identity: self.claim.identity.clone(),
            gates: gates.to_vec(),
            run: None,
        }
    }

    /// The failure record of this claim's job.
    pub(crate) fn failure(&self) -> Bytes {
        let failure = Failure::new("Error", "it broke");
        failure.record(self.worker.name(), self.claim.queue.as_str(), &self.claim.payload, NOW_MS)
    }

    /// Failed, with [`failure`](Self::failure).
    pub(crate) fn failed(&self) -> Verdict {
        Verdict::Failed { record: self.failure() }
    }

    /// Back to the head of its queue, as a redelivery.
    pub(crate) fn requeued(&self) -> Verdict {
        Verdict::Requeued { identity: self.claim.identity.redelivered() }
    }

    /// Delayed, with one more attempt.
    pub(crate) fn retried(&self, delay_ms: u64) -> Verdict {
        let identity = Identity { attempt: self.claim.identity.attempt + 1, ..self.claim.identity.clone() };
        Verdict::Delayed { delay_ms, identity }
    }
}
