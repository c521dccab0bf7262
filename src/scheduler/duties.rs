//! Duties that only Windlass has and that one instance at a time should do: recovery and periodic tasks.
//!
//! They have a private leadership, so that they continue while node-resque leads the promotion. Every duty
//! is safe under two leaders. An instance that does not lead still reconciles its own periodic tasks, at its
//! start and then at intervals, because the leader may not know them.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::failures::Bulkheads;
use super::identities::IdentitySweep;
use super::periodic::{CheckedTasks, UndeclaredTasks, reconcile};
use super::recover::{Observer, duties_owner, end_lapsed_neighbour, is_gone_from_here, is_neighbour, recover};
use super::stuck;
use super::{Failing, SchedulerContext, sleep_or_reload};
use crate::event::figures::Lead;
use crate::job::run_counts::millis;
use crate::process::sweep;
use crate::store::StoreError;
use crate::store::instance::{HostIdentity, InstanceRecord, InstanceState, Instances, Oversee, Overseen, Suspect};
use crate::store::outage::Asker;
use crate::store::scheduling::{Leadership, Resign};

/// How often an instance that does not lead reconciles its own periodic tasks.
const OWN_TASKS_INTERVAL: Duration = Duration::from_secs(60);
/// How often at least workers of other programs are checked, if there are any.
const FOREIGNERS: Duration = Duration::from_secs(60);
/// How often at least the record of an instance that is alone is read again.
const ALONE: Duration = Duration::from_secs(60);
/// How often the processes of this machine's other instances are checked. The check does not use the store.
const NEIGHBOUR_INTERVAL: Duration = Duration::from_secs(1);
/// When the clock and the timers are further apart than so much after a round, the clock was set.
const CLOCK_STEP_MS: i64 = 1_000;
/// How long a round may take that recovers many jobs from a slow store.
const ROUND: Duration = Duration::from_secs(600);

/// Does the duties until `stop` is true, then resigns. `leads` is set to whether this instance leads them.
pub async fn run(context: SchedulerContext, leads: watch::Sender<bool>, mut stop: watch::Receiver<bool>) {
    let owner = duties_owner(&context.name, &context.host);
    let mut duties = Duties::new(&context, &owner, leads);
    tokio::select! {
        () = duties.run_forever() => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
    context.bus.figures().lead(Lead::Duties, false);
    let resign = Resign { which: Leadership::Duties, owner: owner.clone() };
    let _ = tokio::time::timeout(Duration::from_secs(1), context.store.run(resign)).await;
}

/// The duties of one instance, and their state between rounds.
pub struct Duties<'a> {
    context: &'a SchedulerContext,
    owner: &'a str,
    leads: watch::Sender<bool>,
    observer: Observer,
    undeclared: UndeclaredTasks,
    bulkheads: Bulkheads,
    /// The periodic tasks that were reconciled since this instance started or was reloaded.
    checked: CheckedTasks,
    /// When this instance last reconciled its own periodic tasks; `None` if not since it started.
    own_tasks_checked: Option<Instant>,
    /// The two clocks in the last round.
    clocks: (Instant, i64),
    /// The other instances of this machine that were alive in the last round.
    neighbours: Vec<HostIdentity>,
    stuck_checked: Option<Instant>,
    /// There were workers of other programs at that check.
    foreigners: bool,
    identities: IdentitySweep,
    /// The record of this instance, if it was the only one in the last round, and when it was read.
    alone: Option<(InstanceRecord, Instant)>,
}

impl<'a> Duties<'a> {
    /// The duties of a context. The leadership is held under the name `owner`.
    #[must_use]
    pub fn new(context: &'a SchedulerContext, owner: &'a str, leads: watch::Sender<bool>) -> Self {
        Self {
            context,
            owner,
            leads,
            observer: Observer::default(),
            undeclared: UndeclaredTasks::default(),
            bulkheads: Bulkheads::default(),
            checked: CheckedTasks::default(),
            own_tasks_checked: None,
            clocks: (Instant::now(), context.clock.now_ms()),
            neighbours: Vec::new(),
            stuck_checked: None,
            foreigners: true,
            identities: IdentitySweep::default(),
            alone: None,
        }
    }

    fn period(&self) -> Duration {
        (self.context.lease / 2).clamp(Duration::from_millis(200), Duration::from_secs(10))
    }

    /// The time between two rounds. An instance that is alone has nobody to watch, and renews the leadership only.
    fn pause(&self) -> Duration {
        if self.alone.is_none() {
            return self.period();
        }
        (self.context.lease * 2 / 3).clamp(Duration::from_millis(200), Duration::from_secs(10))
    }

    async fn run_forever(&mut self) {
        let mut failing = Failing::new(Asker::Duties, "the scheduler's duties");
        let mut config = self.context.config.clone();
        let pulse = self.context.pulses.begin("scheduler duties", ROUND);
        loop {
            pulse.turn();
            match self.round().await {
                Ok(()) => failing.worked(self.context),
                Err(error) => {
                    self.observer.reset();
                    failing.failed(self.context, &error);
                }
            }
            let round = Instant::now() + self.pause();
            self.context.shared_renewal.plan(round);
            loop {
                let left = round.saturating_duration_since(Instant::now());
                if left.is_zero()
                    || self.neighbours.iter().any(|there| !sweep::is_alive(there.pid, there.started_ticks))
                {
                    break;
                }
                tokio::select! {
                    reloaded = sleep_or_reload(&mut config, left.min(NEIGHBOUR_INTERVAL)) => if reloaded {
                        // The tasks may have other cadences now, so they are reconciled as at a start.
                        self.own_tasks_checked = None;
                        self.checked = CheckedTasks::default();
                        break;
                    },
                    () = self.context.lost.notified() => {
                        self.own_tasks_checked = None;
                        break;
                    }
                    () = self.context.shared_renewal.asked() => break,
                }
            }
        }
    }

    /// Does each duty once, beginning with the recovery of dead instances. A failed duty does not stop the others, but
    /// this instance then gives the leadership back, because another instance may succeed.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn round(&mut self) -> Result<(), StoreError> {
        let result = self.each_duty().await;
        let failed = self.bulkheads.take_failed() || result.is_err();
        if failed && self.lead(false) && result.is_ok() {
            let resign = Resign { which: Leadership::Duties, owner: self.owner.to_owned() };
            self.context.store.run(resign).await?;
        }
        result
    }

    /// Tells whether this instance leads, and returns whether it did before.
    fn lead(&self, leads: bool) -> bool {
        self.context.bus.figures().lead(Lead::Duties, leads);
        self.leads.send_replace(leads)
    }

    async fn each_duty(&mut self) -> Result<(), StoreError> {
        let SchedulerContext { store, bus, .. } = self.context;
        let ttl_ms = millis(self.context.lease);
        let alone = self.alone.take().filter(|(_, read)| read.elapsed() < ALONE);
        let known = alone.as_ref().map(|(record, _)| record.clone());
        let shared = self.context.shared_renewal.begin();
        let also = shared.as_ref().map(|call| call.lead.clone());
        let overseen = store.run(Oversee { owner: self.owner.to_owned(), ttl_ms, alone: known, also }).await;
        if let (Some(call), Ok(Overseen { also: Some(leads), .. })) = (shared, &overseen) {
            call.answer(*leads);
        }
        let mut seen = None;
        if overseen.as_ref().is_err_and(|error| !error.is_transient()) {
            // If the instances cannot be read either, the whole round fails for that one reason.
            seen = Some(store.run(Instances).await?);
        }
        let (leads, instances) = match self.bulkheads.note(bus, "the leadership of the duties", overseen)? {
            Some(Overseen { leads, instances, .. }) => (leads, instances),
            // If nobody can take the lock, every instance does the duties: each is safe under two leaders.
            None => (true, seen.unwrap_or_default()),
        };
        self.lead(leads);
        if let [only] = instances.as_slice()
            && only.record.host == self.context.host
        {
            let read = alone.map_or_else(Instant::now, |(_, read)| read);
            self.alone = Some((only.record.clone(), read));
        }
        self.recover_dead(leads, &instances).await?;

        if self.clock_was_set() {
            self.own_tasks_checked = None;
        }
        let has_tasks = self.context.registry().periodic().next().is_some();
        let every = if leads && has_tasks { self.context.lease * 2 } else { OWN_TASKS_INTERVAL };
        let every = every.min(OWN_TASKS_INTERVAL);
        let mut entries = None;
        if self.own_tasks_checked.is_none_or(|last| last.elapsed() >= every) {
            let looked = reconcile(self.context, &mut self.bulkheads, &mut self.checked).await;
            entries = self.bulkheads.note(bus, "periodic tasks", looked)?;
            self.own_tasks_checked = Some(Instant::now());
        }
        if !leads {
            return Ok(());
        }
        if let Some(entries) = entries {
            let withdrawn = self.undeclared.withdraw(self.context, &mut self.bulkheads, &entries, &instances).await;
            self.bulkheads.note(bus, "the withdrawal of periodic tasks", withdrawn)?;
        }
        let swept = self.identities.turn(store).await;
        self.bulkheads.note(bus, "the sweep of job identities", swept)?;
        if let Some(after) = self.context.stuck_worker_timeout() {
            // A worker that was not there can only be silent for so long later.
            let most = if self.foreigners { FOREIGNERS } else { FOREIGNERS * 5 };
            let every = (after / 10).clamp(Duration::from_secs(1), most);
            if self.stuck_checked.is_none_or(|last| last.elapsed() >= every) {
                self.stuck_checked = Some(Instant::now());
                let swept = stuck::sweep(self.context, &mut self.bulkheads, after, &instances).await;
                let noted = self.bulkheads.note(bus, "workers that stopped pinging", swept)?;
                self.foreigners = noted.unwrap_or(true);
            }
        }
        Ok(())
    }

    /// Was this machine's clock set since the last round, or was the machine asleep? Then ticks may lie far ahead.
    fn clock_was_set(&mut self) -> bool {
        let now = (Instant::now(), self.context.clock.now_ms());
        let (before, before_ms) = std::mem::replace(&mut self.clocks, now);
        let turned_ms = i64::try_from(now.0.duration_since(before).as_millis()).unwrap_or(i64::MAX);
        now.1.saturating_sub(before_ms).saturating_sub(turned_ms).abs() > CLOCK_STEP_MS
    }

    /// Recovers what dead instances held.
    async fn recover_dead(&mut self, leads: bool, instances: &[InstanceState]) -> Result<(), StoreError> {
        // Rounds that are slow because the store is slow still count; only an absence of the observer resets it. The
        // limit is less than a lease, so that an instance that was stopped together with others does not declare them
        // dead.
        let patience = (self.period() * 3 + Duration::from_secs(2)).min(self.context.lease * 4 / 5);
        let (now, store) = (Instant::now(), &self.context.store);
        let lapsed = self.observer.look(now, patience, instances);
        self.neighbours.clear();
        for state in instances {
            let there = &state.record.host;
            if is_neighbour(&self.context.host, there) && sweep::is_alive(there.pid, there.started_ticks) {
                self.neighbours.push(there.clone());
                self.observer.saw_here(state);
            }
            let gone = self.observer.believes_absence(now, state) && is_gone_from_here(&self.context.host, state).await;
            let has_lapsed =
                !gone && leads && lapsed.contains(state) && store.run(Suspect { state: state.clone() }).await?;
            if has_lapsed {
                end_lapsed_neighbour(self.context, state).await;
            }
            if gone || has_lapsed {
                recover(self.context, &mut self.bulkheads, state).await?;
            }
        }
        Ok(())
    }
}
