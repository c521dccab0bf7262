//! Records of our own that no slot holds.
//!
//! After a failover to a replica that was behind, a store may have lost a settlement that it had acknowledged: the job's
//! working record stands again under an idle processor, which claims nothing as long as it stands. No other instance
//! recovers it, because this one is alive. So every second lease the records of idle processors are read, and one that is
//! found twice in a row is ended like a run that was cut off.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::core::Core;
use super::slots::{LANES, State};
use crate::plugin::cut_off::{CutOff, cut_off};
use crate::store::StoreError;
use crate::store::workers::{Recovered, Working};
use crate::store::working::WorkingRecord;
use crate::supervise::pulse::Pulse;

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

/// Ends the records that were seen at the last look, too; returns those seen now.
async fn look(core: &Core, seen: &[Bytes]) -> Result<Vec<Bytes>, StoreError> {
    let mut idle = Vec::new();
    core.slots.each(|slot| {
        if matches!(slot.state(), State::Idle) && slot.is_registered() {
            idle.push(slot.worker().clone());
        }
    });
    let ours = |record: &WorkingRecord| record.claim.as_ref().is_some_and(|claim| claim.instance() == &*core.instance);
    let mut standing = Vec::new();
    for record in core.store.run(Working { workers: idle }).await?.into_iter().flatten().filter(ours) {
        let is_idle = core.slots.any(|slot| *slot.worker() == record.worker && matches!(slot.state(), State::Idle));
        if !is_idle || !seen.contains(&record.raw) {
            standing.push(record.raw);
            continue;
        }
        end(core, record).await?;
    }
    Ok(standing)
}

async fn end(core: &Core, record: WorkingRecord) -> Result<(), StoreError> {
    let worker = record.worker.clone();
    let CutOff { recovery, job, .. } = {
        let dispatch = core.settings.dispatch();
        let find = |class: &str| dispatch.get(class).map(|(task, _)| &**task);
        cut_off(record, None, find, core.settings.policy(), core.clock.now_ms())
    };
    if core.store.run(recovery).await? == Recovered::Yes {
        core.warn(format!(
            "job {} ({}) stood on record under {worker}, which had recorded its end: the store has lost that, as a \
             failover may; it is treated as a run that was cut off",
            job.id, job.class
        ));
        (0..LANES).for_each(|lane| core.hunger.wake(lane));
    }
    Ok(())
}
