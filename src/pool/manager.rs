//! Changes the number of processors: measures, asks [`autoscale`](super::autoscale), registers and unregisters. It never
//! waits for a job.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::autoscale::{Census, Decision, decide};
use super::core::Core;
use super::slots::lane_of;
use super::{orphan, probe};
use crate::event::{Event, EventKind};
use crate::job::WorkerName;
use crate::store::instance::{Register, Unregister};
use crate::store::working::WorkingRecord;
use crate::supervise::pulse::{Pulse, TURN};

/// What the manager does, for messages.
const REGISTERING: &str = "register processors";
const UNREGISTERING: &str = "unregister processors";
/// By how many the highest number of a processor grows at least.
const STEP: usize = 10;
const RECOVERING: &str = "recover the job of an earlier life";

/// The pool's bounds and how often they are reconsidered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) check: Duration,
    pub(super) max_delay: Duration,
}

impl Bounds {
    fn of(core: &Core) -> Self {
        let config = core.settings.config();
        Self {
            min: config.min_task_processors,
            max: config.max_task_processors,
            check: config.check_timeout,
            max_delay: config.max_event_loop_delay,
        }
    }
}

/// Grows and shrinks the pool for as long as it is polled. `ready` is told when its first processors
/// are registered.
pub(super) async fn manage(core: Rc<Core>, mut ready: Option<oneshot::Sender<()>>, pulse: Pulse) {
    let mut turns = every(TURN);
    let mut checks = every(Bounds::of(&core).check);
    // Workers that left the slots and could not be unregistered yet.
    let mut leaving: Vec<WorkerName> = Vec::new();
    loop {
        pulse.turn();
        tokio::select! {
            _ = turns.tick() => continue,
            _ = checks.tick() => {
                let bounds = Bounds::of(&core);
                // A worker that is still registered holds its number and its ping, which a new one would share.
                if leaving.is_empty() {
                    check(&core, bounds).await;
                }
                let started = core.slots.census().0 >= bounds.min;
                if let Some(ready) = ready.take_if(|_| started) {
                    // The receiver may have been dropped.
                    let _ = ready.send(());
                }
            }
            () = core.slots.manager_asked() => {
                let check = Bounds::of(&core).check;
                if check != checks.period() {
                    checks = every(check);
                }
            }
        }
        renew(&core).await;
        leaving.extend(core.slots.take_retired());
        if leaving.is_empty() {
            continue;
        }
        match core.store.run(Unregister { instance: core.instance.to_string(), workers: leaving.clone() }).await {
            Ok(()) => {
                core.findings.accepted(UNREGISTERING);
                for worker in leaving.drain(..) {
                    core.bus.emit(Event::WorkerEnd { worker });
                }
            }
            Err(error) => core.findings.failed(UNREGISTERING, &error),
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut checks = interval(period);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    checks
}

async fn check(core: &Core, bounds: Bounds) {
    let started = Instant::now();
    let delay = probe::delay(&core.handlers, bounds.check).await;
    let (processors, busy) = core.slots.census();
    let census = Census { processors, busy, blocked: delay > bounds.max_delay };
    let decision = decide(census, bounds.min, bounds.max);
    match decision {
        // Up to the least number all at once, then one a check.
        Decision::Grow => grow(core, bounds.min.saturating_sub(processors).max(1), bounds.max).await,
        // Down to the greatest number all at once, then one a check.
        Decision::Shrink => core.slots.retire(processors.saturating_sub(bounds.max).max(1)),
        Decision::Hold => {}
    }
    if core.bus.wants(EventKind::MultiWorkerAction) && (decision != Decision::Hold || started.elapsed() > bounds.check)
    {
        let (processors, _) = core.slots.census();
        core.bus.emit(Event::MultiWorkerAction { verb: decision.verb(), delay, processors });
    }
}

/// Registers so many more processors. Numbers stay within those that the record of the instance tells, because other
/// instances compute from it where our working records may be. Each processor that is set aside keeps its number.
async fn grow(core: &Core, count: usize, max: usize) {
    let most = max + core.slots.aside();
    if core.lease.record().processors < most {
        // In steps, because each change of the record is published. It is registered at a later check.
        core.lease.change_record(|record| record.raise_processors(most.next_multiple_of(STEP)));
    }
    let most = most.min(core.lease.record().processors);
    let mut numbers = core.slots.free_numbers(count);
    numbers.retain(|&number| number <= most);
    let workers: Vec<_> = numbers.iter().map(|&number| core.lease.record().worker(number)).collect();
    let Some(blocked) = enlist(core, &workers).await else { return };
    for (number, worker) in numbers.into_iter().zip(workers) {
        if blocked.contains(&worker) {
            continue;
        }
        core.slots.add(number, worker.clone(), &core.lease.record());
        started(core, number, worker);
    }
}

/// Gives idle processors the names that a reload gave them. What fails is tried again at the next check. The old name is
/// unregistered before the new one is registered, because both have the same ping.
async fn renew(core: &Core) {
    if !core.lease.is_published() {
        return;
    }
    let (mut numbers, mut former, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    for renaming in core.slots.unname(&core.lease.record()) {
        numbers.push(renaming.number);
        former.push(renaming.old);
        workers.push(renaming.new);
    }
    if former.is_empty() {
        return;
    }
    if let Err(error) =
        core.store.run(Unregister { instance: core.instance.to_string(), workers: former.clone() }).await
    {
        return core.findings.failed(UNREGISTERING, &error);
    }
    core.findings.accepted(UNREGISTERING);
    for worker in former {
        core.bus.emit(Event::WorkerEnd { worker });
    }
    let Some(blocked) = enlist(core, &workers).await else { return };
    for (number, worker) in numbers.into_iter().zip(workers) {
        if !blocked.contains(&worker) {
            core.slots.name(number, &worker, &core.lease.record());
            started(core, number, worker);
        }
    }
}

fn started(core: &Core, number: usize, worker: WorkerName) {
    core.bus.emit(Event::WorkerStart { worker });
    // If its lane is hungry it may claim at once.
    core.hunger.notify(lane_of(number));
    core.hunger.ask_waker();
}

/// Registers workers; returns those that may not claim yet. `None` if none was registered.
async fn enlist(core: &Core, workers: &[WorkerName]) -> Option<Vec<WorkerName>> {
    if workers.is_empty() || !core.lease.is_published() {
        return None;
    }
    let left_over =
        match core.store.run(Register { instance: core.instance.to_string(), workers: workers.to_vec() }).await {
            Ok(left_over) => {
                core.findings.accepted(REGISTERING);
                left_over
            }
            Err(error) => {
                core.findings.failed(REGISTERING, &error);
                return None;
            }
        };
    Some(give_back(core, left_over).await)
}

/// Settles the jobs of working records that an earlier process left under our names, as runs that were cut off. Returns the
/// workers whose records stay.
async fn give_back(core: &Core, left_over: Vec<WorkingRecord>) -> Vec<WorkerName> {
    let wishes = match orphan::wishes_about(core, &left_over).await {
        Ok(wishes) => wishes,
        Err(error) => {
            core.findings.failed(RECOVERING, &error);
            return left_over.into_iter().map(|record| record.worker).collect();
        }
    };
    let mut blocked = Vec::new();
    for record in left_over {
        let worker = record.worker.clone();
        let tell = |recovered, _: &_| {
            core.findings.accepted(RECOVERING);
            let why = format!("an earlier life left a job: {recovered:?}");
            core.bus.emit(Event::CleaningWorker { worker: worker.clone(), why });
        };
        if let Err(error) = orphan::end_left_over(core, record, &wishes, tell).await {
            core.findings.failed(RECOVERING, &error);
            blocked.push(worker);
        }
    }
    blocked
}
