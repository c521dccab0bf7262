//! Dead instances: how they are recognised, and how their jobs are recovered.
//!
//! Death is observed, not computed from clocks: an instance is dead when its counter has not changed
//! for one lease while the observer could read it all that time. After an outage of the store or a
//! stop of the observer every observation begins again, so neither declares a living instance dead. On
//! the same machine the end of the process shows at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::SchedulerContext;
use super::failures::Bulkheads;
use crate::event::Event;
use crate::event::figures::Whose;
use crate::job::Failure;
use crate::plugin::cut_off::{Blame, CutOff, cut_off};
use crate::plugin::poison::judge;
use crate::process::leftovers::{self, Marks};
use crate::process::mark::Daemon;
use crate::process::sweep;
use crate::store::StoreError;
use crate::store::instance::{Bury, HostIdentity, InstanceState};
use crate::store::scheduling::{Leadership, Resign};
use crate::store::wishes::{ReadWishes, Wish};
use crate::store::workers::{Recovered, Working};
use crate::store::working::WorkingRecord;
use crate::text::clean::named;
use crate::text::count::counted;

/// Watches the counters of instances.
#[derive(Debug, Default)]
pub struct Observer {
    /// Per instance: its counter, and when the counter last changed.
    seen: HashMap<String, (u64, Instant)>,
    /// Instances whose processes were seen alive on this machine.
    here: HashSet<String>,
    last: Option<Instant>,
}

impl Observer {
    /// Begins every observation again, because the store could not be read and no counter could be seen to change.
    pub fn reset(&mut self) {
        self.seen.clear();
        self.last = None;
    }

    /// Reads the counters once, and returns the dead instances. If the last call is longer ago than `patience`, the
    /// observer itself was stopped, and every observation begins again.
    pub fn look(&mut self, now: Instant, patience: Duration, instances: &[InstanceState]) -> Vec<InstanceState> {
        if self.last.is_some_and(|last| now.duration_since(last) > patience) {
            self.reset();
        }
        self.last = Some(now);
        self.seen.retain(|id, _| instances.iter().any(|state| state.record.id == *id));
        self.here.retain(|id| instances.iter().any(|state| state.record.id == *id));
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

    /// Remembers that an instance's process was alive on this machine.
    pub fn saw_here(&mut self, state: &InstanceState) {
        self.here.insert(state.record.id.clone());
    }

    /// Does the absence of this instance's process mean that it is dead? Yes if the process was seen here before.
    /// Otherwise its counter must also be unchanged for half a lease: a machine that was cloned while it ran has the
    /// identity of the original, and an instance on the other machine lives although no process here has its number.
    #[must_use]
    pub fn believes_absence(&self, now: Instant, state: &InstanceState) -> bool {
        let half = Duration::from_millis(state.record.lease_ms / 2);
        let stands =
            |(counter, since): &(u64, Instant)| *counter == state.counter && now.duration_since(*since) >= half;
        self.here.contains(&state.record.id) || self.seen.get(&state.record.id).is_some_and(stands)
    }
}

/// Are these processes on one machine, and can they see each other? Unknown values are equal to nothing.
#[must_use]
pub fn is_neighbour(here: &HostIdentity, there: &HostIdentity) -> bool {
    let is_known = !here.boot_id.is_empty() && here.pid_namespace != 0;
    is_known
        && here.hostname == there.hostname
        && here.boot_id == there.boot_id
        && here.pid_namespace == there.pid_namespace
}

/// The marks by which the processes of an instance are recognised on its machine.
#[must_use]
pub fn marks(instance: &str, host: &HostIdentity) -> Marks {
    let HostIdentity { hostname: _, boot_id, pid_namespace, pid, started_ticks } = host;
    let (pid_namespace, pid, started_ticks) = (*pid_namespace, *pid, *started_ticks);
    Marks::new(instance, Some(Daemon { boot_id, pid_namespace, pid, started_ticks }))
}

/// Is this instance a process of this machine that no longer exists? True only when its leftover
/// children are killed and gone.
pub async fn is_gone_from_here(here: &HostIdentity, state: &InstanceState) -> bool {
    let there = &state.record.host;
    if !is_neighbour(here, there) || sweep::is_alive(there.pid, there.started_ticks) {
        return false;
    }
    let marks = marks(&state.record.id, there);
    // Reading all processes blocks, and so does waiting for their end.
    let swept = tokio::task::spawn_blocking(move || leftovers::kill(&marks)).await;
    // A process that could not be killed, or looked for, may still run the job: then only the lease decides, as for other machines.
    swept.is_ok_and(|swept| swept.is_clean())
}

/// Kills the children of an instance of this machine whose lease lapsed. Its process may exist, stopped or hanging, and then
/// it does not end them itself, so that they would go on beside the next run of their jobs.
pub async fn end_lapsed_neighbour(context: &SchedulerContext, state: &InstanceState) {
    let there = &state.record.host;
    if !is_neighbour(&context.host, there) {
        return;
    }
    let marks = marks(&state.record.id, there).sparing(there.pid);
    if let Ok(swept) = tokio::task::spawn_blocking(move || leftovers::kill(&marks)).await
        && swept.killed > 0
    {
        let (name, killed) = (&state.record.name, swept.killed);
        let text = format!(
            "instance {name} on this machine did not extend its lease in time, but {killed} processes of its jobs still \
             ran; they are killed before its jobs are given to others"
        );
        context.bus.emit(Event::Warning { text });
    }
}

/// Recovers the jobs of a dead instance and removes its registration. False if it proved to be alive, or if one of its
/// jobs could not be recovered; the failure of one job does not stop the others.
///
/// # Errors
/// Fails when the store cannot be reached. The call may be repeated, because each job is recovered only once.
pub async fn recover(
    context: &SchedulerContext,
    bulkheads: &mut Bulkheads,
    dead: &InstanceState,
) -> Result<bool, StoreError> {
    let SchedulerContext { store, bus, .. } = context;
    let what = format!("recovery of instance {} on {}", dead.record.id, dead.record.name);
    if !bulkheads.may_try(&what) {
        return Ok(false);
    }
    let workers = dead.record.workers();
    let Some(records) = bulkheads.note(bus, &what, store.run(Working { workers: workers.clone() }).await)? else {
        return Ok(false);
    };
    let ours = |record: &WorkingRecord| record.claim.as_ref().is_some_and(|claim| claim.instance() == dead.record.id);
    let records = judge(records.into_iter().flatten().filter(ours).collect());
    let instance = dead.record.id.clone();
    let asked = async {
        // Only they can have been wished anything of.
        if records.is_empty() { Ok(Vec::new()) } else { store.run(ReadWishes { instance }).await }
    };
    let Some(wishes): Option<Vec<Wish>> = bulkheads.note(bus, &what, asked.await)? else { return Ok(false) };
    let (mut recovered, mut left) = (0, 0);
    for (record, blame) in records {
        let blame = blame.or_cancelled(&wishes, &record);
        let job = format!("recovery of the job of worker {}", named(&record.worker));
        if !bulkheads.may_try(&job) {
            left += 1;
            continue;
        }
        let tries = bulkheads.tries(&job);
        let result = recover_one(context, Some((dead.record.id.clone(), dead.counter)), record, blame, tries).await;
        match bulkheads.note(bus, &job, result)? {
            Some(result) => recovered += u64::from(result),
            None => left += 1,
        }
    }
    if left > 0 {
        return Ok(false);
    }
    let buried = bulkheads.note(bus, &what, store.run(Bury { dead: dead.clone() }).await)?.unwrap_or(false);
    if buried {
        // Frees its leaderships at once, instead of when the locks expire.
        let scheduler = store.run(Resign { which: Leadership::Scheduler, owner: dead.record.name.clone() }).await;
        bulkheads.note(bus, "the leadership of a dead scheduler", scheduler)?;
        let owner = duties_owner(&dead.record.name, &dead.record.host);
        let duties = store.run(Resign { which: Leadership::Duties, owner }).await;
        bulkheads.note(bus, "the duties of a dead instance", duties)?;
    }
    if buried && let Some(worker) = workers.into_iter().next() {
        let jobs = counted(recovered, "job", "jobs");
        let why = format!("instance {} on {} is dead; {jobs} recovered", dead.record.id, dead.record.name);
        bus.emit(Event::CleaningWorker { worker, why });
    }
    Ok(buried)
}

/// The name under which an instance holds the duties. It is unique even if two hosts have the same name.
#[must_use]
pub fn duties_owner(name: &str, host: &HostIdentity) -> String {
    format!("{name}#{}", host.started_ticks)
}

/// How often a job is given back to its queue in vain before it goes to the failed list.
const MAX_TRIES: u32 = 3;

/// Settles the job of a dead owner as a run that was cut off.
async fn recover_one(
    context: &SchedulerContext,
    instance: Option<(String, u64)>,
    record: WorkingRecord,
    blame: Blame<'_>,
    tries: u32,
) -> Result<bool, StoreError> {
    let SchedulerContext { store, clock, bus, tally, .. } = context;
    let registry = context.registry();
    let worker = record.worker.clone();
    let find = |class: &str| registry.get(class).map(|task| &**task);
    let mut cut = cut_off(record, instance, find, context.policy(), blame, clock.now_ms());
    if tries >= MAX_TRIES && cut.failure.is_none() {
        // The queue cannot take its job back, so the job goes to the failed list, where people find it.
        let queue = &cut.recovery.queue;
        let why = format!(
            "its worker is gone, and queue {queue} did not take it back in {tries} tries",
            queue = named(&queue)
        );
        cut.fail(Failure::new("Error", why), clock.now_ms());
    }
    let CutOff { recovery, job, task, failure, end, why } = cut;
    match store.run(recovery).await? {
        Recovered::Yes => {
            tally.count(task.as_ref(), &job.queue, end, None);
            bus.figures().recovered(Whose::Windlass);
            match failure {
                Some(failure) => bus.emit(Event::failure(job, &failure, Duration::ZERO)),
                None => bus.emit(Event::Warning {
                    text: format!(
                        "job {} ({}) goes back to queue {}: {why}",
                        job.id,
                        named(&job.class),
                        named(&job.queue)
                    ),
                }),
            }
            Ok(true)
        }
        Recovered::AlreadyCleaned => {
            let why = "it was force-cleaned and its record was left behind; the record is removed".to_owned();
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
            halt: None,
            tasks: None,
            skipped: Vec::new(),
            stuck: None,
            reload_refused: None,
            queues_given: false,
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
    async fn whose_counter_grows_is_alive_whatever_its_process_number_says() {
        let (mut observer, start) = (Observer::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        for second in (0..60).step_by(5) {
            let state = instance("cloned", second);
            dead(&mut observer, at(second), std::slice::from_ref(&state));
            assert!(!observer.believes_absence(at(second), &state), "it was never here, and its counter grows");
        }
        let still = instance("cloned", 55);
        dead(&mut observer, at(60), std::slice::from_ref(&still));
        assert!(!observer.believes_absence(at(60), &still));
        assert!(observer.believes_absence(at(63), &still), "it stands still for half a lease");
        let seen = instance("seen", 1);
        dead(&mut observer, at(63), &[still, seen.clone()]);
        observer.saw_here(&seen);
        assert!(observer.believes_absence(at(63), &seen), "it was here");
    }

    #[test]
    fn what_is_unknown_is_equal_to_nothing() {
        let host = instance("a", 1).record.host;
        assert!(is_neighbour(&host, &host));
        for unknown in
            [HostIdentity { boot_id: String::new(), ..host.clone() }, HostIdentity { pid_namespace: 0, ..host.clone() }]
        {
            assert!(!is_neighbour(&unknown, &unknown), "{unknown:?}");
            assert!(!is_neighbour(&host, &unknown) && !is_neighbour(&unknown, &host));
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
