//! The heartbeat: extends the lease, the pings and the locks of running jobs, in one call for all processors. What ran goes
//! along.
//!
//! A worker at work is pinged and looked after with every beat, because what happens to it concerns a job. An idle one is
//! pinged as often as the protocol asks, and looked after less often. What must happen if the lease cannot be extended is
//! in `lease_guard`.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};

use super::cancels;
use super::core::Core;
use super::lease::Moment;
use super::rejoin;
use super::slots::{LostRun, State};
use super::tasks::TASKS;
use crate::backoff;
use crate::event::Event;
use crate::job::{ClaimToken, Failure, RunEnd};
use crate::store::StoreError;
use crate::store::instance::{Extend, Extended, LockRenewal, LongJob, Removed, RemovedState};
use crate::supervise::pulse::Pulse;
use crate::text::clean::named;

/// How old the ping of an idle worker may get. Schedulers of node-resque remove a worker whose ping is older than their
/// `stuckWorkerTimeout`, and the protocol's clients ping every 5 s.
const PING: Duration = Duration::from_millis(4800);
/// How often at least idle workers are looked after and the instances counted; every fourth lease if that is sooner. By
/// default that is every twelfth beat.
const LOOK: Duration = Duration::from_secs(53);
/// How soon an extension that failed is sent again, at first and at most.
const RETRY: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(500);
/// For how long after the start the instances are counted with every beat: others may start at the same time.
const CENSUS: Duration = Duration::from_secs(12);
/// How many extensions may be under way at once beside one.
const MORE_UNDER_WAY: usize = 3;
/// From how many bytes on a job with locks is told with them: its locks have its arguments in their names.
const LONG: usize = 16 * 1024;
/// What a beat does, for messages.
const EXTENDING: &str = "extend the lease";
/// An extension that was sent.
struct Beat {
    sent: Moment,
    /// The version of the record that it publishes.
    version: u64,
    /// It pings idle workers, too.
    pings: bool,
    /// It looks after idle workers, and counts the instances.
    looks: bool,
    extend: Extend,
    asked: Vec<ExtendedSlot>,
}

/// Extends the lease for as long as it is polled. On a long path the next extension is sent before the reply to the last
/// one has come, so that the lease never gets older than a period and a round trip.
pub(super) async fn beat(core: Rc<Core>, pulse: Pulse) {
    let core = &core;
    let mut sent = core.lease.extended();
    let begun = sent.instant();
    let (mut pinged, mut looked) = (begun, begun);
    // How often extensions failed in a row, and when the next one is sent after the last failure.
    let (mut failures, mut again) = (0, None);
    let mut round_trip = Duration::ZERO;
    let mut under_way = FuturesUnordered::new();
    // The first one goes out at once: it teaches the server the script, and the next ones take one round trip.
    core.lease.want_extension();
    loop {
        pulse.turn();
        let length = core.lease.length();
        let period = period(length, core.settings.config().timeout, core.locks.shortest_s(), round_trip);
        // Counted from one sending to the next, because the lease counts from the sending, too.
        let due = again.unwrap_or_else(|| sent.instant() + period);
        let may_send = under_way.len() < most_under_way(round_trip, period);
        tokio::select! {
            Some((beat, extended)) = under_way.next() => {
                let Beat { sent, version, pings, looks, extend, asked }: Beat = beat;
                let extended: Result<Extended, StoreError> = extended;
                match extended {
                    Ok(extended) if core.emptied.is_shown_by(&extended) => {
                        // Those that are under way would find the same.
                        under_way.clear();
                        core.history.forsake();
                        (failures, again) = (0, None);
                        rejoin::join_again(core, &pulse).await;
                    }
                    Ok(extended) => {
                        (failures, again) = (0, None);
                        round_trip = sent.instant().elapsed().max(round_trip / 2);
                        if pings || looks {
                            pinged = sent.instant();
                        }
                        if looks {
                            looked = sent.instant();
                        }
                        settle(core, sent, version, &extend, &asked, extended);
                    }
                    Err(error) => {
                        if !extend.ran.is_empty() {
                            core.history.failed(&error);
                        }
                        core.watches.progress.forsaken(extend.progress);
                        // Those that were under way over the same connection fail together.
                        if again.is_none() {
                            // Soon, because there may be a new connection, or the store may have room again.
                            let delay = backoff::exponential(failures, RETRY, period.min(AGAIN), 0.2);
                            again = Some(Instant::now() + delay);
                            failures += 1;
                        }
                        core.findings.failed(EXTENDING, &error);
                        // The waker may wait on a connection that is as dead as this one was.
                        core.hunger.arm_anew();
                    }
                }
                if core.orders.is_dead() {
                    return;
                }
                continue;
            }
            () = sleep_until(due), if may_send => {}
            // A lock was taken that runs out sooner than the period: extend more often from now on.
            () = core.locks.taken_sooner() => continue,
            // What the instance says of itself has changed, and others wait until the store has it.
            () = core.lease.extension_wanted(), if may_send => {}
        }
        // Each beat also wakes the lanes, so that one that waits shows that it is alive.
        core.hunger.notify_all();
        if core.pulses.is_stalled(TASKS) {
            // An instance of which a part is stuck must not keep its lease: its runs are ended in time, and others recover
            // their jobs.
            sleep(period.min(Duration::from_secs(1))).await;
            continue;
        }
        let pings = pings_are_due(pinged.elapsed(), period);
        let looks = looked.elapsed() >= LOOK.min(length * 4);
        let (mut extend, asked) = gather(core, pings, looks);
        extend.census = looks || begun.elapsed() < CENSUS;
        (sent, again) = (core.lease.now(), None);
        let beat = Beat { sent, version: core.lease.version(), pings, looks, extend: extend.clone(), asked };
        under_way.push(async move { (beat, core.store.run(extend).await) });
    }
}

/// An extension succeeded.
fn settle(core: &Rc<Core>, sent: Moment, version: u64, extend: &Extend, asked: &[ExtendedSlot], extended: Extended) {
    core.findings.answered();
    core.findings.accepted(EXTENDING);
    match (extend.ran.is_empty(), extended.dead) {
        (true, _) => {}
        (false, true) => core.history.refused(),
        (false, false) => core.history.taken(extended.taken),
    }
    core.emptied.learn(extended.birth.as_ref());
    for finding in &extended.findings {
        core.findings.tell(finding);
    }
    if let Some(instances) = extended.instances {
        core.hunger.set_peers(instances);
    }
    if core.lease.extend(sent) {
        // The lanes did not claim meanwhile.
        core.hunger.notify_all();
        core.exchanges.count_anew();
    }
    core.tell_stuck();
    if core.lease.publish(version) {
        core.slots.ask_manager();
    }
    cancels::heed(core, &extended.wishes);
    settle_findings(core, extend, asked, extended);
}

/// How long after one extension the next one is sent: every third of the lease and of the shortest lock, often enough for
/// the pings, and so soon that the lease is extended before half of it has passed, however long the path is.
fn period(lease: Duration, timeout: Duration, shortest_lock_s: Option<u64>, round_trip: Duration) -> Duration {
    let far = (lease * 2 / 5).saturating_sub(round_trip).max(lease / 10);
    let calm = (lease / 3).min(timeout).min(PING).min(far);
    shortest_lock_s.map_or(calm, |ttl_s| calm.min(Duration::from_secs(ttl_s) / 3))
}

/// How many extensions may be under way at once: as many as are sent within a round trip.
fn most_under_way(round_trip: Duration, period: Duration) -> usize {
    let more = round_trip.as_millis() / period.as_millis().max(1);
    1 + usize::try_from(more).unwrap_or(usize::MAX).min(MORE_UNDER_WAY)
}

/// Are idle workers to be pinged with this extension? Yes, if the next one would be too late.
fn pings_are_due(since: Duration, period: Duration) -> bool {
    since + period > PING
}

/// A slot at the time when an extension was sent for its worker.
struct ExtendedSlot {
    number: usize,
    /// What it ran.
    claim: Option<ClaimToken>,
}

fn gather(core: &Core, pings: bool, looks: bool) -> (Extend, Vec<ExtendedSlot>) {
    let (mut workers, mut pinged, mut asked, mut locks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut long = Vec::new();
    core.slots.each(|slot| {
        if !slot.is_registered() {
            return;
        }
        let running = if let State::Running(job) = slot.state() { Some(job) } else { None };
        if looks || !matches!(slot.state(), State::Idle) {
            workers.push(slot.worker().clone());
            asked.push(ExtendedSlot { number: slot.number(), claim: running.map(|job| job.claim.clone()) });
        } else if pings {
            pinged.push(slot.worker().clone());
        }
        if let Some(job) = running {
            let renewals = job.held.iter().map(|held| LockRenewal {
                key: held.key.clone(),
                claim: job.claim.clone(),
                ttl_s: held.ttl_s,
            });
            locks.extend(renewals);
            // A lock's name ends with the arguments of its job.
            if job.payload.len() >= LONG && !job.held.is_empty() {
                let (claim, payload) = (job.claim.clone(), job.payload.clone());
                long.push(LongJob { claim, worker: slot.worker().clone(), payload });
            }
        }
    });
    core.locks.counted(locks.iter().map(|lock| lock.ttl_s));
    (
        Extend {
            record: core.lease.record().clone(),
            publish: !core.lease.is_published(),
            census: false,
            workers,
            pinged,
            locks,
            done: core.wishes.done(|claim| core.slots.holds(claim)),
            progress: core.watches.progress.changed(core.bus.live(), |claim| core.slots.holds(claim)),
            ran: core.history.next(),
            long,
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
        // The slot may run another claim by now.
        let (lost, goes_on) = match left {
            RemovedState::Nothing => (asked.claim.clone(), false),
            RemovedState::Failed(claim) => (Some(claim), false),
            RemovedState::Claim(_) => (None, true),
        };
        let run = lost.and_then(|claim| core.slots.lose(asked.number, worker, &claim));
        core.warn(if run.is_some() {
            format!(
                "worker {worker} was force-cleaned while it ran a job; the claim is lost, the job is \
                 killed and nothing is recorded for it",
                worker = named(&worker)
            )
        } else if goes_on {
            format!(
                "worker {worker} was removed and is registered again; its job, which was not failed, goes on",
                worker = named(&worker)
            )
        } else {
            format!("worker {worker} was removed and is registered again", worker = named(&worker))
        });
        // Who cleaned it has put the job on the failed list, and counts nothing.
        let Some(LostRun { task, queue, job, began }) = run else { continue };
        core.counter.count(task.as_ref(), &queue, RunEnd::Failed, None);
        if let Some(job) = job {
            let failure = Failure::stuck(&extend.record.host.hostname, core.clock.now_ms());
            core.bus.emit(Event::failure(job, &failure, began.elapsed()));
        }
    }
    for &index in &extended.lost_locks {
        // A run that has ended meanwhile has lost nothing: its lock was free for others.
        if let Some(LockRenewal { key, claim, .. }) = extend.locks.get(index)
            && core.slots.forgo_lock(claim, key)
        {
            let key = key.as_str();
            core.warn(format!("lock {key} of the running job with claim {claim} was lost: it has another owner"));
        }
    }
    for &index in &extended.deleted_locks {
        if let Some(LockRenewal { key, claim, .. }) = extend.locks.get(index)
            && core.slots.forgo_lock(claim, key)
        {
            let key = key.as_str();
            core.warn(format!(
                "lock {key} of the running job with claim {claim} was deleted by somebody: an equal job may run beside it"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);
    const TIMEOUT: Duration = Duration::from_secs(5);

    #[test]
    fn the_lease_is_extended_before_half_of_it_has_passed_however_long_the_path_is() {
        assert_eq!(period(LEASE, TIMEOUT, None, Duration::ZERO), LEASE / 3);
        for round_trip in (0..=800).map(Duration::from_millis) {
            let period = period(LEASE, TIMEOUT, None, round_trip);
            assert!(period + round_trip <= LEASE / 2, "{round_trip:?}: {period:?}");
            // Or the next one would wait for a reply.
            let under_way = round_trip.as_millis().div_ceil(period.as_millis()).max(1);
            assert!(most_under_way(round_trip, period) as u128 >= under_way, "{round_trip:?}: {period:?}");
        }
    }

    #[test]
    fn a_near_store_is_asked_once_at_a_time_and_no_more_often_than_the_lease_or_a_lock_needs() {
        let near = Duration::from_millis(1);
        assert_eq!(most_under_way(near, period(LEASE, TIMEOUT, None, near)), 1);
        assert_eq!(period(LEASE * 10, TIMEOUT, None, near), PING);
        assert_eq!(period(LEASE * 10, TIMEOUT, Some(3), near), Duration::from_secs(1));
    }
}
