//! Shows runs to those who watch them: what they print, how far they are, what they use, and how they ended.
//!
//! While nobody watches nothing is sent, and the task waits.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::core::Core;
use super::tasks::Tasks;
use super::{cancels, figures};
use crate::process::usage;
use crate::store::showing::ShowRuns;
use crate::supervise::pulse::Pulse;

/// How often what has changed is shown.
const TICK: Duration = Duration::from_millis(500);
/// How often the processes are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Starts the tasks that answer those who look at this process and at its runs.
pub(super) fn start(tasks: &mut Tasks, core: &Core) {
    figures::start(tasks, core);
    tasks.start("pool showing", show);
}

/// Shows what is watched for as long as it is polled.
async fn show(core: Rc<Core>, pulse: Pulse) {
    let mut looked: Option<Instant> = None;
    loop {
        if core.watches.is_empty() {
            pulse.wait(core.watches.begun()).await;
            looked = None;
        }
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let groups = core.watches.groups();
            if !groups.is_empty() {
                // It reads files of all processes. A runtime that shuts down tells nothing.
                let used = core.handlers.spawn_blocking(move || usage::of_groups(groups));
                core.watches.used(pulse.wait(used).await.unwrap_or_default());
            }
        }
        let due = core.watches.due(core.clock.now_ms(), |claim| core.slots.holds(claim));
        if !due.shown.is_empty() || !due.over.is_empty() {
            let (shown, over) = (due.shown.clone(), due.over.iter().chain(&due.ended).cloned().collect());
            let sent = core.store.run(ShowRuns { instance: core.instance.to_string(), shown, over });
            // The lanes and the heartbeat tell of a store that fails.
            let wishes = pulse.wait(sent).await;
            core.watches.settle(&due, wishes.is_ok(), core.bus.live());
            cancels::heed(&core, &wishes.unwrap_or_default());
        }
        pulse.wait(sleep(TICK)).await;
    }
}
