//! Orders and settings that a pool gets from outside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::handler::dispatch::Dispatch;
use crate::store::instance::Stuck;
use crate::task::load::BrokenTasks;

/// How far a shutdown has come. It only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Phase {
    /// Work.
    #[default]
    Run,
    /// Another instance has taken over: claim nothing more, let running jobs end in their own time.
    Retire,
    /// Claim nothing more, let running jobs end until the deadline.
    Drain,
    /// Kill running jobs now.
    Kill,
}

/// The present orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Control {
    /// How far a shutdown has come.
    pub phase: Phase,
    /// Claim nothing for now.
    pub paused: bool,
    /// How often an order came to kill the running jobs.
    pub kills: u32,
}

/// What a pool works by. A reload replaces all of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Work {
    /// Bounds, times, queues and policy.
    pub config: Arc<Config>,
    /// The tasks and their handlers.
    pub dispatch: Arc<Dispatch>,
    /// The periodic tasks that the instance declares.
    pub periodic: Arc<[String]>,
    /// All tasks that it has loaded.
    pub tasks: Arc<[String]>,
    /// The tasks that it skips. Their jobs wait.
    pub broken: Arc<BrokenTasks>,
    /// The queues were given on the command line.
    pub queues_given: bool,
    /// A later reload was refused: since when, and why.
    pub refused: Option<Stuck>,
}

impl Work {
    /// Work with these tasks, none of which is declared as periodic.
    #[must_use]
    pub fn new(config: Arc<Config>, dispatch: Arc<Dispatch>) -> Self {
        Self {
            config,
            dispatch,
            periodic: Arc::default(),
            tasks: Arc::default(),
            broken: Arc::default(),
            queues_given: false,
            refused: None,
        }
    }
}

/// How a pool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Everything is settled and unregistered.
    Clean,
    /// The deadline came first: some claims are still on record, and recovery will find them.
    Unsettled,
}

/// Awaits something. `None` if an order to end comes first; then it is dropped.
pub async fn unless_told<T>(control: &mut watch::Receiver<Control>, something: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        output = something => Some(output),
        // Without a sender no order can come any more: that is the end, too.
        told = control.wait_for(|now| now.phase > Phase::Run) => {
            drop(told);
            None
        }
    }
}
