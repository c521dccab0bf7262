//! An instance joins a store again that lost everything.
//!
//! It is the only one that still knows its claimed jobs, so it registers again under its id and puts them on record again,
//! in one step, while its lanes hold still (`emptied`).

use std::time::Duration;

use tokio::time::sleep;

use super::core::Core;
use super::emptied::Account;
use super::slots::{Job, State};
use crate::backoff;
use crate::job::failure::iso_date;
use crate::store::instance::{InstanceRecord, LockRenewal};
use crate::store::rejoin::{HeldJob, Rejoin, Rejoined};
use crate::supervise::pulse::Pulse;
use crate::text::count::counted;

/// How soon a step that failed is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Joins again with all that runs and waits to be settled, as often as it takes, unless the instance is dead.
pub(super) async fn join_again(core: &Core, pulse: &Pulse) {
    let emptied = &core.emptied;
    emptied.ask();
    core.hunger.notify_all();
    let accounts = tokio::select! {
        accounts = pulse.wait(emptied.accounts()) => accounts,
        () = core.orders.died() => Vec::new(),
    };
    let version = core.lease.version();
    let rejoin = gather(core, accounts);
    let (mut attempt, mut joined) = (0, false);
    loop {
        pulse.turn();
        if core.orders.is_dead() {
            break;
        }
        let sent = core.lease.now();
        match core.store.run(rejoin.clone()).await {
            Ok(Rejoined::Yes { birth, lost_locks }) => {
                core.findings.answered();
                emptied.learn(Some(&birth));
                joined = true;
                core.lease.extend(sent);
                core.lease.publish(version);
                tell(core, &rejoin, &lost_locks);
                break;
            }
            // The mark came back, as after a failover to a server that was not emptied.
            Ok(Rejoined::Buried | Rejoined::NameTaken) => {
                core.declare_dead();
                break;
            }
            Err(error) => core.findings.failed("join the store again", &error),
        }
        sleep(backoff::exponential(attempt, RETRY.0, RETRY.1, 0.5)).await;
        attempt += 1;
    }
    emptied.end(joined);
    core.hunger.arm_anew();
    core.hunger.notify_all();
}

/// All that the store must know of this instance, while its lanes hold still.
fn gather(core: &Core, accounts: Vec<(u8, Account)>) -> Rejoin {
    let (mut workers, mut jobs, mut locks, mut lanes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    core.slots.each(|slot| {
        if !slot.is_registered() {
            return;
        }
        workers.push(slot.worker().clone());
        let (State::Entering(job) | State::Running(job)) = slot.state() else { return };
        if matches!(slot.state(), State::Running(_)) {
            let held = job.held.iter();
            locks.extend(held.map(|held| LockRenewal {
                key: held.key.clone(),
                claim: job.claim.clone(),
                ttl_s: held.ttl_s,
            }));
        }
        let Job { claim, queue, identity, payload, .. } = &**job;
        let ran_ms = i64::try_from(job.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        jobs.push(HeldJob {
            worker: slot.worker().clone(),
            claim: claim.clone(),
            queue: queue.clone(),
            identity: identity.clone(),
            run_at: iso_date(core.clock.now_ms().saturating_sub(ran_ms)),
            payload: payload.clone(),
        });
    });
    for (lane, account) in accounts {
        lanes.push((lane, account.answered));
        jobs.extend(account.settling);
    }
    Rejoin {
        record: core.lease.record().clone(),
        lost: core.emptied.lost(),
        birth: InstanceRecord::new_id(),
        workers,
        lanes,
        jobs,
        locks,
    }
}

fn tell(core: &Core, rejoin: &Rejoin, lost_locks: &[usize]) {
    core.warn(format!(
        "the store has lost all that it held: it was emptied, or was started again without its data. Jobs that waited in \
         queues or were delayed are gone, and so is the failed list; enqueue again what is missing. Pauses of queues and of all of them \
         are gone too, and so is that periodic tasks and schedules were stopped: pause (windlass queues pause) and stop \
         (windlass periodic stop) again what must not run. Instance {} has \
         registered again, and {} on record again",
        rejoin.record.id,
        counted(rejoin.jobs.len(), "job that it holds is", "jobs that it holds are")
    ));
    for lock in lost_locks.iter().filter_map(|&index| rejoin.locks.get(index)) {
        core.warn(format!(
            "lock {} of the running job with claim {} was lost with the store, and another job has taken it since",
            lock.key.as_str(),
            lock.claim
        ));
    }
}
