//! The enqueue hooks of a task's own plugins. As in node-resque, they do not run when a job is delayed or promoted.

use std::sync::Arc;

use bytes::Bytes;

use super::request::ResolvedJob;
use crate::event::Bus;
use crate::job::{QueueName, TaskName};
use crate::plugin::chain::DELAY_QUEUE_LOCK;
use crate::plugin::hook::{HookJob, HookPoint, HookPoints};
use crate::plugin::hooks::{HookFailure, Hooks, Refusal};
use crate::plugin::registry::Plugins;
use crate::task::definition::TaskDefinition;

/// The enqueue hooks of one job.
#[derive(Debug)]
pub(crate) struct EnqueueHooks {
    hooks: Hooks,
    job: HookJob,
}

impl EnqueueHooks {
    /// The hooks of this task's plugins; `None` if no plugin has an enqueue hook.
    ///
    /// # Errors
    /// Fails if a plugin is not registered here.
    pub(crate) fn new(
        task: &TaskDefinition,
        queue: &QueueName,
        args: Bytes,
        plugins: &Plugins,
    ) -> Result<Option<Self>, HookFailure> {
        if !Hooks::any(task, plugins, HookPoints::ENQUEUE) {
            return Ok(None);
        }
        let hooks = Hooks::of(task, plugins, HookPoint::BeforeEnqueue, &Bus::silent())?;
        let job = HookJob::new(TaskName::clone(&task.name), queue.clone(), args);
        Ok(Some(Self { hooks, job }))
    }

    /// Runs the hooks before the enqueue, and returns the first refusal.
    ///
    /// # Errors
    /// The first hook that failed.
    pub(crate) async fn before(&self) -> Result<Option<Refusal>, HookFailure> {
        self.hooks.before_enqueue(&self.job).await
    }

    /// Runs the hooks after the enqueue, and returns those that failed.
    pub(crate) async fn after(&self) -> Vec<HookFailure> {
        self.hooks.after_enqueue(&self.job).await
    }
}

/// The hooks for a job; a task that is not in the registry has none.
pub(super) fn of(job: &ResolvedJob, plugins: &Plugins) -> Result<Option<EnqueueHooks>, HookFailure> {
    let Some(task) = job.definition() else { return Ok(None) };
    EnqueueHooks::new(task, &job.queue, Bytes::from(job.args.as_str().to_owned()), plugins)
}

/// The refusal of a built-in plugin. That of a lock has no reason, because the lock and its end are told.
#[must_use]
pub(crate) fn refused_by_rule(plugin: &str) -> Refusal {
    let reason = (plugin == DELAY_QUEUE_LOCK).then(|| "an equal job is delayed".to_owned());
    Refusal { plugin: Arc::from(plugin), reason }
}
