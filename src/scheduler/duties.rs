//! What only Windlass knows and one instance at a time should do: recovery and periodic tasks.
//!
//! Under a private leadership, so that it goes on while node-resque leads the promotion. Every duty
//! is safe under two leaders; who does not lead still looks after its own periodic tasks, at start
//! and once in a while, for the leader may not know them.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::periodic::{Undeclared, reconcile};
use super::recover::{Observer, duties_owner, is_gone_from_here, is_neighbour, recover};
use super::stuck;
use super::{Context, sleep_or_reload};
use crate::event::Event;
use crate::process::sweep;
use crate::store::StoreError;
use crate::store::instance::{HostIdentity, Oversee};
use crate::store::scheduling::{Leadership, Resign};

/// How often who does not lead looks after its own periodic tasks.
const OWN_LOOK: Duration = Duration::from_secs(60);
/// How often it is seen to that the neighbours live, which asks nothing of the store.
const GLANCE: Duration = Duration::from_secs(1);

/// Does the duties until told to stop, then resigns.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) {
    let owner = duties_owner(&context.name, &context.host);
    let mut duties = Duties {
        context: &context,
        owner: &owner,
        observer: Observer::default(),
        undeclared: Undeclared::default(),
        own_look: None,
        neighbours: Vec::new(),
        stuck_look: None,
    };
    tokio::select! {
        () = duties.go() => {}
        stopped = stop.wait_for(|stop| *stop) => drop(stopped),
    }
    let _ =
        tokio::time::timeout(Duration::from_secs(1), context.store.run(Resign { which: Leadership::Duties, owner }))
            .await;
}

struct Duties<'a> {
    context: &'a Context,
    owner: &'a str,
    observer: Observer,
    undeclared: Undeclared,
    /// When this instance last looked after its own periodic tasks; `None`: not since it started.
    own_look: Option<Instant>,
    /// Instances of this machine that lived at the last look.
    neighbours: Vec<HostIdentity>,
    stuck_look: Option<Instant>,
}

impl Duties<'_> {
    async fn go(&mut self) {
        let period = (self.context.lease / 2).clamp(Duration::from_millis(200), Duration::from_secs(10));
        let mut failing = false;
        let mut present = self.context.present.clone();
        loop {
            match self.round(period).await {
                Ok(()) => failing = false,
                Err(error) => {
                    self.observer.reset();
                    if !std::mem::replace(&mut failing, true) {
                        let error = format!("the scheduler's duties: failed to {error}; trying again");
                        self.context.bus.emit(Event::InternalError { error });
                    }
                }
            }
            let round = Instant::now() + period;
            loop {
                let left = round.saturating_duration_since(Instant::now());
                if left.is_zero()
                    || self.neighbours.iter().any(|there| !sweep::is_alive(there.pid, there.started_ticks))
                {
                    break;
                }
                if sleep_or_reload(&mut present, left.min(GLANCE)).await {
                    // Other tasks, other cadences: as at a start.
                    self.own_look = None;
                    break;
                }
            }
        }
    }

    async fn round(&mut self, period: Duration) -> Result<(), StoreError> {
        let store = &self.context.store;
        let ttl_ms = u64::try_from(self.context.lease.as_millis()).unwrap_or(u64::MAX);
        let (leads, instances) = store.run(Oversee { owner: self.owner.to_owned(), ttl_ms }).await?;
        let every = if leads { (self.context.lease * 2).min(OWN_LOOK) } else { OWN_LOOK };
        let mut entries = None;
        if self.own_look.is_none_or(|last| last.elapsed() >= every) {
            entries = Some(reconcile(self.context, self.own_look.is_none()).await?);
            self.own_look = Some(Instant::now());
        }
        // Looks that are slow because the store is slow still count; only real absence resets. Short of a lease, so that
        // who was stopped together with others does not judge them by what it missed.
        let patience = (period * 3 + Duration::from_secs(2)).min(self.context.lease * 4 / 5);
        let lapsed = self.observer.look(Instant::now(), patience, &instances);
        let (here, mut neighbours) = (&self.context.host, Vec::new());
        for state in &instances {
            if is_neighbour(here, &state.record.host)
                && sweep::is_alive(state.record.host.pid, state.record.host.started_ticks)
            {
                neighbours.push(state.record.host.clone());
            }
            let gone = is_gone_from_here(&self.context.host, state);
            if gone || (leads && lapsed.contains(state)) {
                recover(self.context, state).await?;
            }
        }
        self.neighbours = neighbours;
        if !leads {
            return Ok(());
        }
        if let Some(entries) = entries {
            self.undeclared.withdraw(self.context, &entries, &instances).await?;
        }
        if let Some(after) = self.context.stuck_worker_timeout() {
            let every = (after / 10).clamp(Duration::from_secs(1), Duration::from_secs(60));
            if self.stuck_look.is_none_or(|last| last.elapsed() >= every) {
                self.stuck_look = Some(Instant::now());
                stuck::sweep(self.context, after, &instances).await?;
            }
        }
        Ok(())
    }
}
