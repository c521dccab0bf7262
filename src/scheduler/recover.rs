//! Dead instances: how they are told from living ones, and what becomes of their jobs.
//!
//! Death is observed, not computed from clocks: an instance is dead when its counter stood still
//! for one lease while the observer itself could read it all that time. An outage of the store or
//! a stopped observer starts every observation anew, so neither kills anybody. On the same
//! machine a process that is gone is known at once.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use crate::event::Event;
use crate::plugin::cut_off::{CutOff, cut_off};
use crate::process::sweep;
use crate::store::StoreError;
use crate::store::instance::{Bury, HostIdentity, InstanceState};
use crate::store::scheduling::{Leadership, Resign};
use crate::store::workers::{Recovered, Working};
use crate::store::working::WorkingRecord;

/// Watches counters.
#[derive(Debug, Default)]
pub struct Observer {
    /// Per instance: its counter and since when it stands.
    seen: HashMap<String, (u64, Instant)>,
    last: Option<Instant>,
}

impl Observer {
    /// The store could not be read, so nobody could have been seen alive: begin anew.
    pub fn reset(&mut self) {
        self.seen.clear();
        self.last = None;
    }

    /// Takes one look; tells who is dead. `patience` is how far apart two looks may lie before the
    /// observer must suppose that it was itself not there.
    pub fn look(&mut self, now: Instant, patience: Duration, instances: &[InstanceState]) -> Vec<InstanceState> {
        if self.last.is_some_and(|last| now.duration_since(last) > patience) {
            self.reset();
        }
        self.last = Some(now);
        self.seen.retain(|id, _| instances.iter().any(|state| state.record.id == *id));
        let mut dead = Vec::new();
        for state in instances {
            let entry = self.seen.entry(state.record.id.clone()).or_insert((state.counter, now));
            if entry.0 != state.counter {
                *entry = (state.counter, now);
            } else if now.duration_since(entry.1) >= Duration::from_millis(state.record.lease_ms) {
                dead.push(state.clone());
            }
        }
        dead
    }
}

/// Are these processes of one machine that can see each other?
#[must_use]
pub fn is_neighbour(here: &HostIdentity, there: &HostIdentity) -> bool {
    here.hostname == there.hostname && here.boot_id == there.boot_id && here.pid_namespace == there.pid_namespace
}

/// Is this instance a process of this machine that no longer exists? The answer is yes only when
/// its leftover children are killed and gone.
#[must_use]
pub fn is_gone_from_here(here: &HostIdentity, state: &InstanceState) -> bool {
    let there = &state.record.host;
    if !is_neighbour(here, there) || sweep::is_alive(there.pid, there.started_ticks) {
        return false;
    }
    sweep::kill_marked(&state.record.id);
    // What could not be killed may still do the job: then only the lease decides, as from afar.
    sweep::marked(&state.record.id).is_empty()
}

/// Recovers everything a dead instance held and buries it. False if it showed life meanwhile.
///
/// # Errors
/// Fails when the store cannot be reached; to be repeated, for each job's step is taken once.
pub async fn recover(context: &Context, dead: &InstanceState) -> Result<bool, StoreError> {
    let Context { store, bus, .. } = context;
    let workers = dead.record.workers();
    let records = store.run(Working { workers: workers.clone() }).await?;
    let mut recovered = 0;
    for record in records.into_iter().flatten() {
        let ours = record.claim.as_ref().is_some_and(|claim| claim.instance() == dead.record.id);
        if ours && recover_one(context, Some((dead.record.id.clone(), dead.counter)), record).await? {
            recovered += 1;
        }
    }
    let buried = store.run(Bury { dead: dead.clone() }).await?;
    if buried {
        // What it led is free at once, and not only when the lock runs out.
        store.run(Resign { which: Leadership::Scheduler, owner: dead.record.name.clone() }).await?;
        store
            .run(Resign { which: Leadership::Duties, owner: duties_owner(&dead.record.name, &dead.record.host) })
            .await?;
    }
    if buried && let Some(worker) = workers.into_iter().next() {
        let why = format!("instance {} on {} is dead; {recovered} jobs recovered", dead.record.id, dead.record.name);
        bus.emit(Event::CleaningWorker { worker, why });
    }
    Ok(buried)
}

/// The name under which an instance holds the duties: unique even where two hosts share a name.
#[must_use]
pub fn duties_owner(name: &str, host: &HostIdentity) -> String {
    format!("{name}#{}", host.started_ticks)
}

/// Settles one dead owner's job as a run that was cut off.
async fn recover_one(
    context: &Context,
    instance: Option<(String, u64)>,
    record: WorkingRecord,
) -> Result<bool, StoreError> {
    let Context { store, clock, bus, .. } = context;
    let registry = context.registry();
    let worker = record.worker.clone();
    let find = |class: &str| registry.get(class).map(|task| &**task);
    let CutOff { recovery, job, failure, why } = cut_off(record, instance, find, context.policy(), clock.now_ms());
    match store.run(recovery).await? {
        Recovered::Yes => {
            match failure {
                Some(failure) => bus.emit(Event::Failure { job, failure, duration: Duration::ZERO }),
                None => bus.emit(Event::Warning {
                    text: format!("job {} ({}) goes back to queue {}: {why}", job.id, job.class, job.queue),
                }),
            }
            Ok(true)
        }
        Recovered::AlreadyCleaned => {
            let why = "somebody force-cleaned it and left its record behind; the record is removed".to_owned();
            bus.emit(Event::CleaningWorker { worker, why });
            Ok(false)
        }
        Recovered::No => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::instance::InstanceRecord;

    fn instance(id: &str, counter: u64) -> InstanceState {
        let host =
            HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 1, started_ticks: 1 };
        let record = InstanceRecord {
            id: id.into(),
            name: format!("h-windlass:{id}"),
            queues: "*".into(),
            former_queues: Vec::new(),
            host,
            processors: 1,
            lease_ms: 15_000,
            periodic: Vec::new(),
            version: String::new(),
        };
        InstanceState { record, counter }
    }

    fn dead(observer: &mut Observer, at: Instant, instances: &[InstanceState]) -> Vec<String> {
        let dead = observer.look(at, Duration::from_secs(12), instances);
        dead.into_iter().map(|state| state.record.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn dead_is_who_stood_still_for_a_lease_under_watching_eyes() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        for second in (0..=20).step_by(5) {
            let at = start + Duration::from_secs(second);
            let found = dead(&mut observer, at, &[instance("still", 7), instance("lively", second)]);
            assert_eq!(found, if second >= 15 { vec!["still"] } else { vec![] }, "after {second} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_dies_of_an_outage_or_of_an_observer_that_was_away() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(dead(&mut observer, at(0), &[instance("a", 1)]).is_empty());
        assert!(dead(&mut observer, at(60), &[instance("a", 1)]).is_empty(), "the observer was away");
        assert!(dead(&mut observer, at(70), &[instance("a", 1)]).is_empty());
        observer.reset();
        assert!(dead(&mut observer, at(76), &[instance("a", 1)]).is_empty(), "the store was away");
        assert!(dead(&mut observer, at(86), &[instance("a", 1)]).is_empty());
        assert_eq!(dead(&mut observer, at(91), &[instance("a", 1)]), ["a"]);
    }
}
