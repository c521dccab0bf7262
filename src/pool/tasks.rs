//! The long-lived tasks of a pool. They have names, and their owner notices when one ends.
//!
//! Each goes on until the pool drains or is dead. In the daemon a panic in one of them ends the process at once; elsewhere
//! the panic goes on in the task that runs the pool.

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::rc::Rc;

use tokio::task::{JoinError, JoinSet};

use super::core::Core;
use crate::supervise::pulse::{LONGEST, Pulse};
use crate::supervise::scope::until_told;

/// The beginning of all their names.
pub(super) const TASKS: &str = "pool ";

/// Some tasks of one life. Dropping it ends them.
pub(super) struct Tasks {
    core: Rc<Core>,
    set: JoinSet<()>,
}

impl Tasks {
    pub(super) fn new(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core), set: JoinSet::new() }
    }

    /// Starts a task on the core's thread.
    pub(super) fn start<F>(&mut self, name: &'static str, task: impl FnOnce(Rc<Core>, Pulse) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let pulse = self.core.pulses.begin(name, LONGEST.max(self.core.lease.length()));
        let core = Rc::clone(&self.core);
        let task = task(Rc::clone(&self.core), pulse);
        self.set.spawn_local(until_told(name, task, move || core.orders.is_over()));
    }

    /// Never returns; panics if one of them has panicked.
    pub(super) async fn fail(&mut self) -> Infallible {
        self.ended().await;
        std::future::pending().await
    }

    /// Waits until all have ended.
    pub(super) async fn ended(&mut self) {
        while let Some(ended) = self.set.join_next().await {
            if let Some(panic) = ended.err().and_then(|error: JoinError| error.try_into_panic().ok()) {
                resume_unwind(panic);
            }
        }
    }
}
