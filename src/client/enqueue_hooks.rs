//! The plugins of a task's own around an enqueue. Neither delaying a job nor promoting it asks them, as in node-resque.

use std::sync::Arc;

use bytes::Bytes;

use super::request::ResolvedJob;
use crate::event::Bus;
use crate::job::{QueueName, TaskName};
use crate::plugin::hook::{Cancelled, HookJob, HookPoint, HookPoints};
use crate::plugin::hooks::{HookFailure, Hooks, Refusal};
use crate::plugin::registry::Plugins;
use crate::task::definition::TaskDefinition;

/// The plugins to be asked about one job.
#[derive(Debug)]
pub struct EnqueueHooks {
    hooks: Hooks,
    job: HookJob,
}

impl EnqueueHooks {
    /// The plugins of this task, if any is asked around an enqueue.
    ///
    /// # Errors
    /// If one is not registered here.
    pub fn new(
        task: &TaskDefinition,
        queue: &QueueName,
        args: Bytes,
        plugins: &Plugins,
    ) -> Result<Option<Self>, HookFailure> {
        if !Hooks::any(task, plugins, HookPoints::ENQUEUE) {
            return Ok(None);
        }
        let hooks = Hooks::of(task, plugins, HookPoint::BeforeEnqueue, &Bus::silent())?;
        let job = HookJob {
            task: TaskName::clone(&task.name),
            queue: queue.clone(),
            args,
            scheduled_at: None,
            identity: None,
            claim: None,
            instance: None,
            options: Arc::from("{}"),
            cancelled: Cancelled::default(),
        };
        Ok(Some(Self { hooks, job }))
    }

    /// Asks before anything is written.
    ///
    /// # Errors
    /// The first plugin that cannot answer.
    pub async fn before(&self) -> Result<Option<Refusal>, HookFailure> {
        self.hooks.before_enqueue(&self.job).await
    }

    /// Tells that the job is on its queue; returns those that could not take it.
    pub async fn after(&self) -> Vec<HookFailure> {
        self.hooks.after_enqueue(&self.job).await
    }
}

/// The plugins to be asked about a job; a task that nobody here knows has none.
pub(super) fn of(job: &ResolvedJob, plugins: &Plugins) -> Result<Option<EnqueueHooks>, HookFailure> {
    let Some(task) = job.definition() else { return Ok(None) };
    EnqueueHooks::new(task, &job.queue, Bytes::from(job.args.as_str().to_owned()), plugins)
}

/// The refusal of a built-in plugin: its name says why.
#[must_use]
pub fn refused_by_rule(plugin: &str) -> Refusal {
    Refusal { plugin: Arc::from(plugin), reason: None }
}
