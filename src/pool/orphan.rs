//! Records of our own that no slot holds.
//!
//! After a failover to a replica that was behind, a store may have lost a settlement that it had acknowledged: the job's
//! working record stands again under an idle processor, which claims nothing as long as it stands. No other instance
//! recovers it, because this one is alive. So it is ended like a run that was cut off.
//!
//! A lane's reply names the idle processors that a claim passed over. Only the lane claims for them, and it knows what
//! became of all its claims, so that a record of ours there is an orphan beyond doubt and is ended at once. A lane that has
//! nothing to claim sees nothing: so every second lease the records of idle processors are read. A record that is found
//! wakes its lane, and one that is found twice in a row is ended here.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::core::Core;
use super::slots::{LANES, State};
use crate::event::Event;
use crate::event::kind::JobInfo;
use crate::job::{ClaimToken, Failure, WorkerName};
use crate::plugin::cut_off::{Blame, CutOff, cut_off};
use crate::store::StoreError;
use crate::store::wishes::{ReadWishes, Wish};
use crate::store::workers::{Recovered, Working};
use crate::store::working::WorkingRecord;
use crate::supervise::pulse::Pulse;

/// What fails if such a record cannot be ended.
const ENDING: &str = "end the record of a job that nobody runs";

/// Looks at this interval, for as long as it is polled.
pub(super) async fn watch(core: Rc<Core>, interval: Duration, pulse: Pulse) {
    let mut seen = Vec::new();
    loop {
        pulse.wait(sleep(interval)).await;
        // The lanes and the heartbeat tell of a store that fails.
        match look(&core, &seen).await {
            Ok(standing) => seen = standing,
            Err(_) => seen.clear(),
        }
    }
}

/// Ends the records of ours under these workers, as far as they are idle. For the lane that claims for them.
pub(super) async fn recover(core: &Core, mut workers: Vec<WorkerName>) {
    // One whose settlement could not be recorded is not idle: its record is no orphan.
    workers.retain(|worker| is_idle(core, worker));
    // The lanes and the heartbeat tell of a store that fails; what stays is found again.
    let Ok(records) = core.store.run(Working { workers }).await else { return };
    let mut ours: Vec<_> = records.into_iter().flatten().filter(|record| is_ours(core, record)).collect();
    // Each goes to the head of its queue. To keep their order, the newest must go first.
    ours.sort_by_key(|record| Reverse(record.claim.as_ref().map(ClaimToken::order)));
    let Ok(wishes) = wishes_about(core, &ours).await else { return };
    join_all(ours.into_iter().map(|record| end(core, record, &wishes))).await;
}

fn is_idle(core: &Core, worker: &WorkerName) -> bool {
    core.slots.any(|slot| slot.worker() == worker && matches!(slot.state(), State::Idle))
}

fn is_ours(core: &Core, record: &WorkingRecord) -> bool {
    record.claim.as_ref().is_some_and(|claim| claim.instance() == &*core.instance)
}

/// Ends the records that were seen at the last look, too; returns those seen now.
async fn look(core: &Core, seen: &[Bytes]) -> Result<Vec<Bytes>, StoreError> {
    let mut idle = Vec::new();
    core.slots.each(|slot| {
        if matches!(slot.state(), State::Idle) && slot.is_registered() {
            idle.push(slot.worker().clone());
        }
    });
    let records = core.store.run(Working { workers: idle }).await?.into_iter().flatten();
    let ours: Vec<_> = records.filter(|record| is_ours(core, record)).collect();
    let met_again = ours.iter().any(|record| seen.contains(&record.raw));
    let wishes = if met_again { wishes_about(core, &ours).await? } else { Vec::new() };
    let mut standing = Vec::new();
    for record in ours {
        if !is_idle(core, &record.worker) || !seen.contains(&record.raw) {
            core.slots.each(|slot| {
                if *slot.worker() == record.worker {
                    core.hunger.wake(slot.lane());
                }
            });
            standing.push(record.raw);
            continue;
        }
        end(core, record, &wishes).await?;
    }
    Ok(standing)
}

/// What people wish of the runs of these records.
pub(super) async fn wishes_about(core: &Core, records: &[WorkingRecord]) -> Result<Vec<Wish>, StoreError> {
    let claims = records.iter().filter_map(|record| record.claim.as_ref());
    let instances: BTreeSet<_> = claims.map(|claim| claim.instance().to_owned()).collect();
    let mut wishes = Vec::new();
    for instance in instances {
        wishes.extend(core.store.run(ReadWishes { instance }).await?);
    }
    Ok(wishes)
}

/// What becomes of a record of which nobody runs the job.
fn left_over(core: &Core, record: WorkingRecord, wishes: &[Wish]) -> CutOff {
    let blame = Blame::Possible.or_cancelled(wishes, &record);
    let dispatch = core.settings.dispatch();
    let find = |class: &str| dispatch.get(class).map(|(task, _)| &**task);
    cut_off(record, None, find, core.settings.policy(), blame, core.clock.now_ms())
}

/// Ends a record of which nobody runs the job, as a run that was cut off. `tell` hears what the store did and which job it
/// was, before the failure is told.
pub(super) async fn end_left_over(
    core: &Core,
    record: WorkingRecord,
    wishes: &[Wish],
    tell: impl FnOnce(Recovered, &JobInfo),
) -> Result<(), StoreError> {
    let mut cut = left_over(core, record, wishes);
    let mut recovered = core.store.run(cut.recovery.clone()).await;
    if let Err(error @ (StoreError::Corrupt { .. } | StoreError::Barred { .. })) = &recovered
        && cut.failure.is_none()
    {
        // Its record would stand for ever, and its processor with it. So it goes to the failed list, where people find it.
        let why = format!("its run was cut off, and it could not be given back: failed to {error}");
        cut.fail(Failure::new("Error", why), core.clock.now_ms());
        recovered = core.store.run(cut.recovery.clone()).await;
    }
    let CutOff { job, task, failure, end, .. } = cut;
    let recovered = recovered.inspect_err(|error| core.findings.failed(ENDING, error))?;
    tell(recovered, &job);
    if recovered == Recovered::Yes {
        core.counter.count(task.as_ref(), &job.queue, end, None);
        if let Some(failure) = failure {
            core.bus.emit(Event::failure(job, &failure, Duration::ZERO));
        }
    }
    Ok(())
}

async fn end(core: &Core, record: WorkingRecord, wishes: &[Wish]) -> Result<(), StoreError> {
    let worker = record.worker.clone();
    let tell = |recovered: Recovered, job: &JobInfo| {
        if recovered == Recovered::Yes {
            core.warn(format!(
                "job {} ({}) stood on record under {worker}, which had recorded its end: the store has lost that, as a \
                 failover may; it is treated as a run that was cut off",
                job.id, job.class
            ));
            (0..LANES).for_each(|lane| core.hunger.wake(lane));
        }
    };
    end_left_over(core, record, wishes, tell).await
}
