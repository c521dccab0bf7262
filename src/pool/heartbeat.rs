//! That we are alive: the lease, the pings and the locks, extended in one call for all processors.
//!
//! And the other side of the bargain: who cannot extend must be gone before others may think so.
//! [`guard`] counts from the moment the last successful extension was *sent*, the time that the machine was suspended
//! included; it asks all runs to end in time for them to obey, and kills what is left before the lease is over. Their jobs
//! stay on record; when the store answers again they are settled by their `on_crash`, unless somebody else has recovered
//! them by then, which the store tells from the claim.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::core::Core;
use super::slots::State;
use super::tasks::TASKS;
use crate::backoff;
use crate::handler::contract::Stop;
use crate::job::ClaimToken;
use crate::store::instance::{Extend, Extended, LockRenewal, ReadSuspicion, Removed, RemovedState, Suspicion};
use crate::supervise::pulse::Pulse;

/// How old the ping of an idle worker may get. Schedulers of node-resque remove a worker whose ping is older than their
/// `stuckWorkerTimeout`, and the protocol's clients ping every 5 s.
const PING: Duration = Duration::from_millis(4800);
/// How often at least the instances are counted; every second lease if that is sooner.
const COUNT: Duration = Duration::from_secs(30);
/// How soon an extension that failed is sent again.
const RETRY: Duration = Duration::from_millis(50);
/// For how long after the start the instances are counted with every beat: others may start with us.
const CENSUS: Duration = Duration::from_secs(12);

/// How long at most after an extension that failed the next one is tried.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the guard sleeps at most: it says that it turns.
const GLANCE: Duration = Duration::from_secs(2);

/// Extends for as long as it is polled.
pub(super) async fn beat(core: Rc<Core>, pulse: Pulse) {
    let mut sent = core.lease.extended();
    let begun = sent.instant();
    let (mut pinged, mut counted) = (begun, begun);
    let mut failures = 0;
    // The first one goes out at once: it teaches the server the script, and the next ones take one round trip.
    core.lease.want_extension();
    loop {
        pulse.turn();
        // Lanes that wait turn with every beat.
        core.hunger.notify_all();
        let period = period(core.lease.length(), core.settings.config().timeout, core.locks.shortest_s());
        let due = match failures {
            // From one sending to the next: an extension that came back late is old already.
            0 => sent.instant() + period,
            // At once over a new connection; and a store that has room again, or can be reached again, is used at once.
            failed => Instant::now() + backoff::exponential(failed - 1, RETRY, period.min(AGAIN), 0.2),
        };
        tokio::select! {
            () = sleep_until(due) => {}
            // A lock that runs out sooner than our period was taken; beat faster from now on.
            () = core.locks.taken_sooner() => continue,
            // What we say of ourselves has changed, and others wait until the store has it.
            () = core.lease.extension_wanted() => {}
        }
        if core.pulses.is_stalled(TASKS) {
            // An instance that works only in part does not live: its runs are ended in time, and others recover them.
            sleep(period.min(Duration::from_secs(1))).await;
            continue;
        }
        let version = core.lease.version();
        let all = pings_are_due(pinged.elapsed(), period);
        let (mut extend, asked) = gather(&core, all);
        extend.census = counted.elapsed() >= COUNT.min(core.lease.length() * 2) || begun.elapsed() < CENSUS;
        sent = core.lease.now();
        match core.store.run(extend.clone()).await {
            Ok(extended) => {
                failures = 0;
                core.findings.answered();
                for finding in &extended.findings {
                    core.findings.tell(finding);
                }
                if all {
                    pinged = sent.instant();
                }
                if let Some(instances) = extended.instances {
                    counted = sent.instant();
                    core.hunger.set_peers(instances);
                }
                if core.lease.extend(sent) {
                    // Lanes have not claimed meanwhile.
                    core.hunger.notify_all();
                }
                if core.lease.publish(version) {
                    core.slots.ask_manager();
                }
                settle_findings(&core, &extend, &asked, extended);
            }
            Err(error) => {
                failures += 1;
                core.findings.failed("extend the lease", &error);
                // The waker may wait on a connection that is as dead as this one was.
                core.hunger.arm_anew();
            }
        }
        if core.orders.is_dead() {
            return;
        }
    }
}

/// How long after one extension the next one is sent: every third of the lease and of the shortest lock, and often enough
/// for the pings.
fn period(lease: Duration, timeout: Duration, shortest_lock_s: Option<u64>) -> Duration {
    let calm = (lease / 3).min(timeout).min(PING);
    shortest_lock_s.map_or(calm, |ttl_s| calm.min(Duration::from_secs(ttl_s) / 3))
}

/// Are idle workers to be pinged with this extension? Yes, if the next one would be too late. Workers at work are pinged
/// with every extension, because what happens to them concerns a job.
fn pings_are_due(since: Duration, period: Duration) -> bool {
    since + period > PING
}

/// A slot when its worker was extended.
struct ExtendedSlot {
    number: usize,
    /// What it ran.
    claim: Option<ClaimToken>,
}

fn gather(core: &Core, all: bool) -> (Extend, Vec<ExtendedSlot>) {
    let (mut workers, mut asked, mut locks) = (Vec::new(), Vec::new(), Vec::new());
    core.slots.each(|slot| {
        if !slot.is_registered() {
            return;
        }
        let running = if let State::Running(job) = slot.state() { Some(job) } else { None };
        if all || !matches!(slot.state(), State::Idle) {
            workers.push(slot.worker().clone());
            asked.push(ExtendedSlot { number: slot.number(), claim: running.map(|job| job.claim.clone()) });
        }
        if let Some(job) = running {
            let renewals = job.held.iter().map(|held| LockRenewal {
                key: held.key.clone(),
                claim: job.claim.clone(),
                ttl_s: held.ttl_s,
            });
            locks.extend(renewals);
        }
    });
    core.locks.counted(locks.iter().map(|lock| lock.ttl_s));
    (
        Extend {
            record: core.lease.record().clone(),
            publish: !core.lease.is_published(),
            census: false,
            workers,
            locks,
        },
        asked,
    )
}

fn settle_findings(core: &Core, extend: &Extend, asked: &[ExtendedSlot], extended: Extended) {
    if extended.dead {
        return core.declare_dead();
    }
    for Removed { index, left } in extended.removed {
        let (Some(asked), Some(worker)) = (asked.get(index), extend.workers.get(index)) else { continue };
        if !core.slots.any(|slot| slot.number() == asked.number && slot.worker() == worker) {
            continue;
        }
        // What runs now may have been claimed since.
        let (lost, goes_on) = match left {
            RemovedState::Nothing => (asked.claim.clone(), false),
            RemovedState::Failed(claim) => (Some(claim), false),
            RemovedState::Claim(_) => (None, true),
        };
        let runs_lost = lost.is_some_and(|claim| core.slots.lose(asked.number, worker, &claim));
        core.warn(if runs_lost {
            format!(
                "worker {worker} was force-cleaned by somebody while it ran a job; the claim is lost, the job is \
                 killed and nothing is recorded for it"
            )
        } else if goes_on {
            format!(
                "worker {worker} was removed by somebody and is registered again; its job, which nobody has failed, \
                 goes on"
            )
        } else {
            format!("worker {worker} was removed by somebody and is registered again")
        });
    }
    for &index in &extended.lost_locks {
        if let Some(lock) = extend.locks.get(index) {
            let key = lock.key.as_str();
            core.warn(format!("lock {key} of the running job with claim {} was lost to somebody else", lock.claim));
        }
    }
}

/// How often who cannot extend asks whether others are about to declare it dead; at least ten times a lease.
const DOUBT: Duration = Duration::from_millis(200);

/// Ends all runs before the lease does, when it cannot be extended and somebody else may take it for dead. While a
/// database file is locked nobody can, and the runs go on.
pub(super) async fn guard(core: Rc<Core>, pulse: Pulse) {
    let lease = core.lease.length();
    // When runs that were asked to end are killed.
    let mut kill_at = None;
    let mut told = false;
    loop {
        pulse.turn();
        let grace = core.settings.kill_grace().min(lease / 3);
        let (ask, kill) = (lease - grace, lease - lease / 10);
        let (extended, silent) = (core.lease.extended(), core.lease.age());
        if silent < ask {
            (kill_at, told) = (None, false);
            sleep((ask - silent).min(GLANCE)).await;
            continue;
        }
        let Some(at) = kill_at else {
            let suspicion = suspicion(&core).await;
            let silent = humantime::format_duration(Duration::from_secs(silent.as_secs()));
            if suspicion == Suspicion::Trusted {
                if !std::mem::replace(&mut told, true) {
                    core.warn(format!(
                        "the lease could not be extended for {silent}, because nothing can be written to the database \
                         file; nobody else can take the lease meanwhile, so the running jobs go on"
                    ));
                }
                sleep(DOUBT.min(lease / 10)).await;
            } else if core.lease.extended() == extended {
                let soon = grace.saturating_sub(lease / 10);
                kill_at = Some(match suspicion {
                    // Half a lease passes before anything is done about it.
                    Suspicion::Suspected => Instant::now() + soon,
                    Suspicion::Unknown | Suspicion::Trusted => core.lease.when_aged(kill),
                });
                core.warn(format!(
                    "the lease could not be extended for {silent}; running jobs are ended before it runs out"
                ));
                core.slots.stop_all(Stop::Terminate);
                // After a suspension of the machine the next extension may be far away.
                core.lease.want_extension();
            }
            continue;
        };
        if Instant::now() < at {
            sleep_until(at.min(Instant::now() + GLANCE)).await;
        } else {
            // Again and again until the store answers, for a run may have been about to begin.
            core.slots.stop_all(Stop::Kill);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What the store says of this instance; unknown if it cannot be read, or if the answer took so long that it may be
/// false by now.
async fn suspicion(core: &Core) -> Suspicion {
    let asked = core.store.run(ReadSuspicion { instance: core.instance.to_string() });
    match tokio::time::timeout(core.lease.length() / 10, asked).await {
        Ok(Ok(suspicion)) => suspicion,
        Ok(Err(_)) | Err(_) => Suspicion::Unknown,
    }
}
