//! Answers what metrics ask the pool: how its slots stand, what runs, and how long the lease lasts.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::probe;
use super::slots::State;
use super::tasks::Tasks;
use crate::event::question::PoolFigures;
use crate::job::TaskName;
use crate::supervise::pulse::Pulse;

/// How long the handlers' runtime is waited for.
const PATIENCE: Duration = Duration::from_millis(250);

/// Starts the task that answers, if somebody asks.
pub(super) fn start(tasks: &mut Tasks, core: &Core) {
    if core.bus.figures().is_watched() {
        tasks.start("pool figures", answer);
    }
}

/// Answers for as long as it is polled.
async fn answer(core: Rc<Core>, pulse: Pulse) {
    let question = core.bus.figures().pool();
    loop {
        pulse.wait(question.asked()).await;
        let delay = probe::delay(&core.handlers, PATIENCE).await;
        question.tell(read(&core, delay));
    }
}

fn read(core: &Core, delay: Duration) -> PoolFigures {
    let (mut busy, mut idle, mut running) = (0, 0, BTreeMap::<Option<TaskName>, u64>::new());
    core.slots.each(|slot| {
        match slot.state() {
            State::Idle | State::Claiming => idle += 1,
            State::Entering(_) | State::Running(_) | State::Lost(_) | State::Settling { .. } => busy += 1,
        }
        if let State::Running(job) = slot.state() {
            *running.entry(job.task().map(|task| task.name.clone())).or_default() += 1;
        }
    });
    PoolFigures {
        busy,
        idle,
        most: core.settings.config().max_task_processors,
        running: running.into_iter().collect(),
        lease_left: core.lease.length().saturating_sub(core.lease.age()),
        delay,
    }
}
