//! A lane: half of the slots, one connection, one exchange in flight.
//!
//! In each round a lane takes what ended while the last exchange was in flight, sends it together with claims for the idle
//! slots, and begins the jobs that came back. It never waits for a batch to fill.

mod eased;
mod ended;
mod holding;
mod late;
mod lost;
mod sending;
mod undone;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use self::undone::Undone;
use super::cancels;
use super::core::{Core, Finished};
use super::counted::{self, Afterwards};
use super::hooked_run::Performed;
use super::orphan;
use super::perform::{self, PreparedJob};
use super::report;
use super::slots::{Job, Slot, Taken};
use crate::job::failure::iso_date;
use crate::job::{Failure, Identity, Outcome, WorkerName};
use crate::plugin::ending::{self, Run};
use crate::store::Lane;
use crate::store::effect::Verdict;
use crate::store::path::Path;
use crate::store::queueing::{Claim, Enter, Entered, Exchange, Exchanged, Settlement};
use crate::supervise::pulse::Pulse;

/// One lane's task.
pub(super) struct LaneTask {
    index: usize,
    pub(super) core: Rc<Core>,
    lane: Lane,
    finished: mpsc::UnboundedReceiver<Finished>,
    sequence: u64,
    /// The last exchange brought a job for every idle slot, and many of them ended at once.
    eager: bool,
    /// What is to be settled, and whose it is.
    settlements: Vec<(Settled, Settlement)>,
    enters: Vec<(usize, Enter)>,
    undone: Undone,
    /// The path that its exchanges take.
    path: Path,
    pulse: Arc<Pulse>,
}

/// Whose a settlement is, and what is told and counted only after the store has decided.
struct Settled {
    slot: usize,
    /// Who the job is.
    identity: Identity,
    afterwards: Afterwards,
    /// It was told that it could not be recorded.
    told: bool,
}

/// An exchange, and the slots that its parts belong to.
struct Round {
    exchange: Exchange,
    settled: Vec<Settled>,
    entering: Vec<usize>,
    idle: Vec<usize>,
}

/// How many jobs of an exchange must have ended at once for a lane to stay awake for the next reply.
const WORTHWHILE: usize = 4;

/// The workers that a claim passed over because a record stands under them.
fn occupied(round: &Round, reply: &Exchanged) -> Vec<WorkerName> {
    reply.occupied.iter().filter_map(|&index| round.exchange.idle.get(index).cloned()).collect()
}

impl LaneTask {
    pub(super) fn new(
        index: usize,
        core: Rc<Core>,
        mut lane: Lane,
        finished: mpsc::UnboundedReceiver<Finished>,
        pulse: Pulse,
    ) -> Self {
        let pulse = Arc::new(pulse);
        let (turning, moved) = (Arc::clone(&pulse), core.exchanges.progress(index));
        lane.tell_progress(Arc::new(move || {
            turning.turn();
            moved.store(true, Ordering::Relaxed);
        }));
        let (settlements, enters, undone) = (Vec::new(), Vec::new(), Undone::default());
        let path = Path::default();
        Self { index, core, lane, finished, sequence: 0, eager: false, settlements, enters, undone, path, pulse }
    }

    /// Runs until the pool drains and nothing of this lane is left, or the instance is dead and
    /// its runs have ended.
    pub(super) async fn run(mut self) {
        self.core.emptied.set_at_work(self.index, true);
        loop {
            // The heartbeat wakes a lane that only waits.
            self.pulse.turn();
            while let Ok(finished) = self.finished.try_recv() {
                self.run_ended(finished);
            }
            if self.core.orders.is_abandoned() {
                // This was set before the children were killed, so their deaths are not settled.
                return std::future::pending().await;
            }
            if self.core.orders.is_dead() {
                self.forget(None);
            }
            self.hold_still(None).await;
            if let Some(round) = self.compose() {
                if let Some(reply) = self.exchange(&round).await {
                    let occupied = occupied(&round, &reply);
                    self.apply(round, reply);
                    if !occupied.is_empty() {
                        // Before the next claim: as long as none is in flight, no record is newer than what we know.
                        orphan::recover(&self.core, occupied).await;
                    }
                }
                continue;
            }
            if self.core.orders.is_over() && self.core.slots.is_quiet(self.index) {
                self.core.emptied.set_at_work(self.index, false);
                return;
            }
            tokio::select! {
                Some(finished) = self.finished.recv() => self.run_ended(finished),
                () = self.core.hunger.notified(self.index) => {}
                () = self.undone.wait() => {}
                () = self.core.shortage.raised() => {}
            }
        }
    }

    /// Takes all that is ready, and claims for the idle slots if there may be jobs.
    fn compose(&mut self) -> Option<Round> {
        let mut idle = (Vec::new(), Vec::new());
        self.settlements.extend(self.undone.take_due());
        let ticks = || self.settlements.iter().any(|(_, settlement)| settlement.tick.is_some());
        if self.path.is_long() && self.core.slots.idle()[self.index] > 0 && ticks() {
            // A tick that is late already goes to its queue in this exchange, and can be claimed in it.
            self.core.hunger.set_hungry(self.index);
        }
        if self.core.hunger.is_polled() && !self.settlements.is_empty() {
            // Nobody tells of jobs that came meanwhile, and this call is made anyway.
            self.core.hunger.set_hungry(self.index);
        }
        if self.core.orders.accept() && self.core.hunger.is_hungry(self.index) && self.core.lease.is_fresh() {
            let most = self.core.shortage.most().map_or(usize::MAX, |most| most.saturating_sub(self.core.slots.held()));
            idle = self.core.slots.claim(self.index, most, |number| self.undone.holds(number));
        }
        if self.settlements.is_empty() && self.enters.is_empty() && idle.0.is_empty() {
            return None;
        }
        self.sequence += 1;
        let mut settlements = std::mem::take(&mut self.settlements);
        if settlements.iter().any(|(_, settlement)| matches!(settlement.verdict, Verdict::Requeued { .. })) {
            // Each goes to the head of its queue. To keep their order, the newest must go first.
            settlements.sort_by_key(|(_, settlement)| std::cmp::Reverse(settlement.claim.order()));
        }
        let (mut settled, mut settling) = (Vec::new(), Vec::with_capacity(settlements.len()));
        for (whose, settlement) in settlements {
            settled.push(whose);
            settling.push(settlement);
        }
        let (entering, enters) = std::mem::take(&mut self.enters).into_iter().unzip();
        let queues = if idle.0.is_empty() { Arc::from([]) } else { self.core.queues.claiming() };
        Some(Round {
            exchange: Exchange {
                sequence: self.sequence,
                settlements: settling,
                enters,
                idle: idle.1,
                queues,
                share: self.core.hunger.peers().max(1),
                run_at: iso_date(self.core.clock.now_ms()),
            },
            settled,
            entering,
            idle: idle.0,
        })
    }

    fn apply(&mut self, mut round: Round, reply: Exchanged) {
        if reply.dead {
            self.core.declare_dead();
            return self.forget(Some(&round));
        }
        for &index in &reply.lost {
            if let Some(Settled { identity, .. }) = round.settled.get(index) {
                self.core.warn(format!(
                    "job {} was finished here, but its claim was lost: another instance or a person has \
                     failed it or given it back, or the store lost it in a failover; nothing was recorded for this \
                     run, and the job may run again under another id",
                    identity.id
                ));
            }
        }
        self.core.slots.rest(round.settled.iter().map(|settled| &settled.slot).chain(&round.idle));
        self.keep_undone(&mut round, &reply);
        for (index, settled) in round.settled.iter().enumerate() {
            if reply.lost.contains(&index) {
                continue;
            }
            let repeated = reply.repeated.iter().find(|repeated| repeated.index == index);
            let Afterwards { untold, counted } = &settled.afterwards;
            if let Some(untold) = untold {
                untold.tell(&self.core.bus, repeated, self.core.clock.now_ms());
            }
            if let Some(counted) = counted {
                counted.count(repeated.is_some());
            }
        }
        for (index, (number, entered)) in round.entering.into_iter().zip(reply.entered).enumerate() {
            let fault = match entered {
                Entered::Undone => eased::of_enter(&reply.refused, index)
                    .or_else(|| undone::fault(&reply.findings, &undone::Goes::Later)),
                _ => None,
            };
            let due_s = reply.due.iter().find(|due| due.index == index).map(|due| due.due_s);
            self.entered(number, entered, due_s, fault);
        }
        let asked = round.idle.len();
        let claimed = reply.claims.len();
        for claim in reply.claims {
            self.core.findings.mended(claim.queue.as_str());
            self.core.queues.claimed_from(&claim.queue);
            if let Some((&number, worker)) = round.idle.get(claim.index).zip(round.exchange.idle.get(claim.index)) {
                self.claimed(number, worker, claim);
            }
        }
        // A lane stays awake only for jobs that end as they begin; other jobs need the processor for themselves.
        self.eager = claimed == asked && self.settlements.len() >= WORTHWHILE;
        if asked > 0 {
            // What was left because of its bytes is claimed with the next exchange.
            self.core.hunger.got(self.index, if reply.more { claimed } else { asked }, claimed);
        }
    }

    fn claimed(&mut self, number: usize, worker: &WorkerName, claim: Claim) {
        if claim.identity.may_be_poison() && self.core.slots.any(Slot::may_hold_poison) {
            return self.put_off(number, worker, claim);
        }
        match perform::ready(&self.core, worker, claim) {
            PreparedJob::Refused(job, failure) => self.end(number, worker, *job, Outcome::Failure(failure)),
            PreparedJob::Unknown(job, class) => self.unknown(number, worker, *job, &class),
            PreparedJob::AtGates(job, _) | PreparedJob::Ready(job) if self.is_held_up(&job) => {
                self.put_off_again(number, worker, *job);
            }
            PreparedJob::AtGates(job, gates) => {
                let run = job.dropped_run(worker, &gates, self.core.clock.now_ms());
                let enter = Enter {
                    worker: worker.clone(),
                    claim: job.claim.clone(),
                    queue: job.queue.clone(),
                    payload: job.payload.clone(),
                    identity: job.identity.clone(),
                    gates,
                    run,
                };
                self.core.slots.enter(number, job);
                self.enters.push((number, enter));
            }
            PreparedJob::Ready(job) => self.begin(number, worker, job),
        }
    }

    /// `due_s`: for which second it was due, if it is a tick.
    fn entered(&mut self, number: usize, entered: Entered, due_s: Option<i64>, fault: Option<Failure>) {
        let Some((mut job, worker)) = self.take_job(number) else { return };
        match entered {
            Entered::Taken => {
                self.core.locks.taken(&job);
                if let Some(due_s) = due_s {
                    job.is_due(due_s);
                }
                self.begin(number, &worker, job);
            }
            Entered::PutBack { plugin } => report::vetoed(&self.core.bus, &job, format!("put back by {plugin}")),
            Entered::Dropped { plugin } => {
                report::dropped(&self.core.bus, &job, plugin);
                counted::dropped(&self.core, &job);
            }
            // Its claim stands, so that it can be settled. If a right is missing it may be claimed again later.
            Entered::Undone => match fault {
                Some(fault) => self.end(number, &worker, *job, Outcome::Failure(fault)),
                None => self.release(number, &worker, *job),
            },
            Entered::Lost => self.core.warn(format!("the claim of job {} was lost before it began", job.identity.id)),
        }
    }

    fn begin(&mut self, number: usize, worker: &WorkerName, job: Box<Job>) {
        if self.core.orders.is_draining() || !self.core.lease.is_fresh() {
            return self.release(number, worker, *job);
        }
        let start = |slot: &Slot, job: &mut Job| perform::begin(&self.core, slot, job);
        if let Some((job, outcome)) = self.core.slots.begin(number, job, start) {
            self.end(number, worker, *job, outcome);
        }
    }

    /// Gives back a claimed job that is not to begin, as if it had never been claimed.
    pub(super) fn release(&mut self, number: usize, worker: &WorkerName, job: Job) {
        let why = if self.core.orders.is_draining() { "the instance drains" } else { "its lease may have lapsed" };
        self.give_back(number, worker, job, why);
    }

    fn give_back(&mut self, number: usize, worker: &WorkerName, job: Job, why: &str) {
        let run = Run { worker, queue: &job.queue, payload: &job.payload, identity: &job.identity, ms: None };
        let ending = ending::release(job.task(), run);
        report::vetoed(&self.core.bus, &job, format!("given back without a run, because {why}"));
        self.settle(number, worker, job, ending, Afterwards::default(), None);
    }

    fn run_ended(&mut self, finished: Finished) {
        // All that it says was said.
        self.core.bus.live().end(&finished.claim);
        // A report of an earlier run must not end the run that the slot has now.
        if !self.core.slots.runs(finished.number, &finished.claim) {
            return;
        }
        let Some((job, worker)) = self.take_job(finished.number) else { return };
        match self.core.timeouts.judge(finished.number, &job, finished.performed) {
            Performed::Ran(outcome) => {
                let outcome = self.doubted(&job, cancels::judge(&job, outcome));
                self.end(finished.number, &worker, *job, outcome);
            }
            Performed::NotBegun if job.cancelled_by.is_some() => {
                let outcome = cancels::judge(&job, Outcome::Interrupted);
                self.end(finished.number, &worker, *job, outcome);
            }
            // A drain is not the job's fault, so it costs no redelivery.
            Performed::NotBegun if self.core.orders.is_draining() => self.release(finished.number, &worker, *job),
            Performed::NotBegun => self.end(finished.number, &worker, *job, Outcome::Interrupted),
            Performed::Vetoed(refusal) => self.drop_vetoed(finished.number, &worker, *job, refusal),
        }
    }

    /// Takes the job out of a slot; a lost one is dropped.
    fn take_job(&self, number: usize) -> Option<(Box<Job>, WorkerName)> {
        match self.core.slots.take(number) {
            Taken::Job(job, worker) => Some((job, worker)),
            Taken::Lost(job) => {
                self.tell_lost(&job.identity);
                self.core.hunger.notify(self.index);
                None
            }
            Taken::Nothing => None,
        }
    }
}
