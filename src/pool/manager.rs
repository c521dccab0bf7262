//! How many processors there are: measures, asks [`autoscale`](super::autoscale), registers and
//! unregisters. Never waits for a job.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::autoscale::{Census, Decision, decide};
use super::core::Core;
use super::probe;
use super::roster::{Slot, lane_of};
use crate::event::{Event, Kind};
use crate::job::WorkerName;
use crate::plugin::cut_off::{CutOff, cut_off};
use crate::store::StoreError;
use crate::store::working::WorkingRecord;

/// The pool's bounds and how often they are reconsidered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) check: Duration,
    pub(super) max_delay: Duration,
}

/// Grows and shrinks the pool for as long as it is polled. `ready` is told when its first processors
/// are registered.
pub(super) async fn manage(core: Rc<Core>, bounds: Bounds, mut ready: Option<oneshot::Sender<()>>) {
    let mut checks = interval(bounds.check);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Slots that left the roster and could not be unregistered yet.
    let mut leaving: Vec<WorkerName> = Vec::new();
    loop {
        tokio::select! {
            _ = checks.tick() => {
                check(&core, bounds).await;
                let started = core.roster.borrow().census().0 >= bounds.min;
                if let Some(ready) = ready.take_if(|_| started) {
                    // Nobody need be waiting.
                    let _ = ready.send(());
                }
            }
            () = core.retired.notified() => {}
        }
        let retired = core.roster.borrow_mut().take_retired();
        leaving.extend(retired.into_iter().map(|slot| slot.worker));
        if leaving.is_empty() {
            continue;
        }
        match core.store.unregister(&core.instance, &leaving).await {
            Ok(()) => {
                for worker in leaving.drain(..) {
                    core.bus.emit(Event::WorkerEnd { worker });
                }
            }
            Err(error) => core.store_failed("unregister processors", &error),
        }
    }
}

async fn check(core: &Core, bounds: Bounds) {
    let started = Instant::now();
    let delay = probe::delay(&core.handlers, bounds.check).await;
    let (processors, busy) = core.roster.borrow().census();
    let census = Census { processors, busy, blocked: delay > bounds.max_delay };
    let decision = decide(census, bounds.min, bounds.max);
    match decision {
        // The first ones all at once, then one a check.
        Decision::Grow => grow(core, bounds.min.saturating_sub(processors).max(1), bounds.max).await,
        Decision::Shrink => core.roster.borrow_mut().retire_one(),
        Decision::Hold => {}
    }
    if core.bus.wants(Kind::MultiWorkerAction) && (decision != Decision::Hold || started.elapsed() > bounds.check) {
        let (processors, _) = core.roster.borrow().census();
        core.bus.emit(Event::MultiWorkerAction { verb: decision.verb(), delay, processors });
    }
}

/// Registers so many more processors. Numbers stay within `max`, for others compute from it where
/// our working records may be.
async fn grow(core: &Core, count: usize, max: usize) {
    let mut numbers = core.roster.borrow().free_numbers(count);
    numbers.retain(|&number| number <= max);
    let workers: Vec<_> = numbers.iter().map(|&number| core.record.borrow().worker(number)).collect();
    if workers.is_empty() {
        return;
    }
    let left_over = match core.store.register(&core.instance, &workers).await {
        Ok(left_over) => left_over,
        Err(error) => return core.store_failed("register processors", &error),
    };
    let mut blocked = Vec::new();
    for record in left_over {
        let worker = record.worker.clone();
        if let Err(error) = give_back(core, record).await {
            core.store_failed("recover the job of an earlier life", &error);
            blocked.push(worker);
        }
    }
    for (number, worker) in numbers.into_iter().zip(workers) {
        if blocked.contains(&worker) {
            continue;
        }
        core.roster.borrow_mut().add(Slot::new(number, worker.clone()));
        core.bus.emit(Event::WorkerStart { worker });
        // It may claim at once where its lane is hungry; else the lane is woken as usual.
        core.bells[lane_of(number)].notify_one();
        core.came_short.notify_one();
    }
}

/// A record under one of our names that an earlier life left: its job is settled as cut off.
async fn give_back(core: &Core, record: WorkingRecord) -> Result<(), StoreError> {
    let worker = record.worker.clone();
    let find = |class: &str| core.dispatch.get(class).map(|(task, _)| &**task);
    let CutOff { recovery, .. } = cut_off(record, None, find, core.policy, core.clock.now_ms());
    let recovered = core.store.recover(&recovery).await?;
    core.bus.emit(Event::CleaningWorker { worker, why: format!("an earlier life left a job: {recovered:?}") });
    Ok(())
}
