//! Killing what runs without stopping work: TERM, the grace, KILL.
//!
//! A job that is killed ends as a run that was cut off and is settled by its `on_crash`. If the order is repeated while
//! some of the runs go on, they are killed at once.

use std::rc::Rc;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use super::core::Core;
use crate::event::Event;
use crate::handler::contract::Stop;
use crate::job::ClaimToken;
use crate::text::count::counted;

/// The runs that were asked to end, and until when they may take.
pub(super) struct Interrupts {
    /// How many orders were obeyed.
    heeded: u32,
    asked: Vec<(usize, ClaimToken)>,
    until: Instant,
}

impl Interrupts {
    /// Orders up to this number were obeyed before.
    pub(super) fn after(heeded: u32) -> Self {
        Self { heeded, asked: Vec::new(), until: Instant::now() }
    }

    /// How many orders were obeyed.
    pub(super) fn heeded(&self) -> u32 {
        self.heeded
    }

    /// Obeys orders that are new.
    pub(super) fn heed(&mut self, core: &Rc<Core>, orders: u32) {
        let news = orders.wrapping_sub(std::mem::replace(&mut self.heeded, orders));
        if news == 0 {
            return;
        }
        let running = core.slots.running();
        let asked = |run| self.asked.contains(run);
        let again = news > 1 || (Instant::now() < self.until && running.iter().any(asked));
        let (count, verb) = (running.len(), if again { "killed" } else { "asked to end" });
        let jobs = counted(count, "running job is", "running jobs are");
        core.bus.emit(Event::Notice { text: format!("{jobs} {verb}; work goes on") });
        self.asked = running;
        if again {
            return core.slots.kill(&self.asked);
        }
        core.slots.stop_all(Stop::Terminate);
        self.until = Instant::now() + core.settings.config().shutdown.kill_grace;
        // A task of its own, because the runs are killed after the grace even if the pool has begun to drain.
        let (core, asked, until) = (Rc::clone(core), self.asked.clone(), self.until);
        spawn_local(async move {
            sleep_until(until).await;
            core.slots.kill(&asked);
        });
    }
}
