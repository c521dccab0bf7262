//! The user's plugins of a task, called in order.
//!
//! Errors and panics of a plugin are reported with its name and the hook. A plugin is never skipped: a task that lists
//! a missing plugin fails and names it, because the plugin may be what prevents harm.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::exec::ExecHook;
use super::hook::{Decision, Hook, HookError, HookJob, HookPoint, HookPoints};
use super::registry::Plugins;
use crate::event::{Bus, Event};
use crate::job::{Failure, Outcome};
use crate::supervise::scope::{contained_future, message};
use crate::task::plugin_spec::{CustomPlugin, CustomPluginSource};
use crate::task::{PluginSpec, TaskDefinition};

/// The refusal of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Its name.
    pub plugin: Arc<str>,
    /// The reason that it gave; built-in plugins give none.
    pub reason: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{} refused: {reason}", self.plugin),
            None => write!(f, "{} refused", self.plugin),
        }
    }
}

/// The failure of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin:?} failed in {}: {}: {error}", point.name(), error.exception)]
#[non_exhaustive]
pub struct HookFailure {
    /// Its name.
    pub plugin: Arc<str>,
    /// The hook that failed.
    pub point: HookPoint,
    /// What happened.
    pub error: HookError,
}

impl HookFailure {
    /// The failure of a job because of it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let HookError { exception, error, backtrace, killed, .. } = &self.error;
        Failure {
            exception: exception.clone(),
            error: format!("plugin {:?}, {}: {error}", self.plugin, self.point.name()),
            backtrace: backtrace.clone(),
            killed: *killed,
        }
    }
}

/// The user's plugins of one task, ready to be called.
pub struct Hooks {
    bound: Vec<BoundHook>,
    bus: Bus,
}

struct BoundHook {
    name: Arc<str>,
    options: Arc<str>,
    points: HookPoints,
    hook: Arc<dyn Hook>,
}

impl Hooks {
    /// Is any plugin of this task called at one of these points? A missing plugin counts, so that its absence is
    /// reported.
    #[must_use]
    pub fn any(task: &TaskDefinition, plugins: &Plugins, points: HookPoints) -> bool {
        let asked = |own: &CustomPlugin| match &own.source {
            CustomPluginSource::Program(program) => program.points.any_of(points),
            CustomPluginSource::Code => plugins.get(&own.name).is_none_or(|hook| hook.points().any_of(points)),
        };
        task.plugins.iter().any(|plugin| matches!(plugin, PluginSpec::Custom(own) if asked(own)))
    }

    /// The plugins of this task. `point` is the hook that is about to be called, for the error. Log lines of the
    /// plugins go to `bus`.
    ///
    /// # Errors
    /// If a plugin is not registered here.
    pub fn of(task: &TaskDefinition, plugins: &Plugins, point: HookPoint, bus: &Bus) -> Result<Self, HookFailure> {
        let own = task.plugins.iter().filter_map(|plugin| match plugin {
            PluginSpec::Custom(own) => Some(own),
            _ => None,
        });
        let bind = |own: &CustomPlugin| {
            let (hook, points): (Arc<dyn Hook>, _) = match &own.source {
                CustomPluginSource::Program(program) => {
                    (Arc::new(ExecHook::new(Arc::clone(program), Arc::clone(&own.name), bus.clone())), program.points)
                }
                CustomPluginSource::Code => match plugins.get(&own.name) {
                    Some(hook) => (Arc::clone(hook), hook.points()),
                    None => {
                        let error = HookError::new("no plugin of this name is registered in this program");
                        return Err(HookFailure { plugin: Arc::clone(&own.name), point, error });
                    }
                },
            };
            Ok(BoundHook { name: Arc::clone(&own.name), options: Arc::clone(&own.options), points, hook })
        };
        Ok(Self { bound: own.map(bind).collect::<Result<_, _>>()?, bus: bus.clone() })
    }

    /// Calls the hooks before an enqueue writes anything; the first refusal ends the calls.
    ///
    /// # Errors
    /// The first error, which also ends the calls.
    pub async fn before_enqueue(&self, job: &HookJob) -> Result<Option<Refusal>, HookFailure> {
        for bound in self.asked(HookPoint::BeforeEnqueue) {
            let job = bound.view(job);
            let answer = caught(bound.hook.before_enqueue(&job)).await;
            if let Decision::Deny { reason } = bound.named(HookPoint::BeforeEnqueue, answer)? {
                return Ok(Some(bound.refusal(reason)));
            }
        }
        Ok(None)
    }

    /// Calls the hooks after a job is on its queue; returns their errors.
    pub async fn after_enqueue(&self, job: &HookJob) -> Vec<HookFailure> {
        let mut failures = Vec::new();
        for bound in self.asked(HookPoint::AfterEnqueue) {
            let job = bound.view(job);
            let answer = caught(bound.hook.after_enqueue(&job)).await;
            failures.extend(bound.named(HookPoint::AfterEnqueue, answer).err());
        }
        failures
    }

    /// Calls the hooks before the job's run; the first refusal ends the calls. `passed` counts the plugins that are
    /// done, even if this future is dropped.
    ///
    /// # Errors
    /// The first error, which also ends the calls.
    pub async fn before_perform(&self, job: &HookJob, passed: &mut usize) -> Result<Option<Refusal>, HookFailure> {
        for bound in &self.bound {
            if bound.points.contains(HookPoint::BeforePerform) {
                let job = bound.view(job);
                let answer = caught(bound.hook.before_perform(&job)).await;
                if let Decision::Deny { reason } = bound.named(HookPoint::BeforePerform, answer)? {
                    return Ok(Some(bound.refusal(reason)));
                }
            }
            *passed += 1;
        }
        Ok(None)
    }

    /// Is any hook called after a run, if this many plugins were passed before it?
    #[must_use]
    pub fn any_after(&self, passed: usize) -> bool {
        self.bound.iter().take(passed).any(|bound| bound.points.contains(HookPoint::AfterPerform))
    }

    /// Calls each of the first `passed` plugins after the run, with the outcome that the one before returned. An error
    /// fails the job; a job that had failed before keeps that failure.
    pub async fn after_perform(&self, job: &HookJob, mut outcome: Outcome, passed: usize) -> Outcome {
        for bound in self.bound.iter().take(passed).filter(|bound| bound.points.contains(HookPoint::AfterPerform)) {
            let job = bound.view(job);
            let before = outcome.clone();
            let answer = caught(bound.hook.after_perform(&job, outcome)).await;
            outcome = match (bound.named(HookPoint::AfterPerform, answer), before) {
                (Ok(outcome), Outcome::Failure(failure)) => {
                    if matches!(outcome, Outcome::Success { .. }) {
                        self.say_cleared(bound, &job, &failure);
                    }
                    outcome
                }
                (Ok(outcome), _) => outcome,
                (Err(failed), Outcome::Failure(mut failure)) => {
                    failure.backtrace.push(failed.to_string());
                    Outcome::Failure(failure)
                }
                (Err(failed), _) => Outcome::Failure(failed.failure()),
            };
        }
        outcome
    }

    fn say_cleared(&self, bound: &BoundHook, job: &HookJob, failure: &Failure) {
        let id = job.identity.as_ref().map_or("", |identity| &identity.id);
        let text =
            format!("plugin {:?} took the failure of job {id} ({}) for done: {failure}", bound.name, job.task.as_str());
        self.bus.emit(Event::Warning { text });
    }

    fn asked(&self, point: HookPoint) -> impl Iterator<Item = &BoundHook> {
        self.bound.iter().filter(move |bound| bound.points.contains(point))
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bound.iter().map(|bound| &bound.name)).finish()
    }
}

impl BoundHook {
    /// The job with this plugin's options.
    fn view(&self, job: &HookJob) -> HookJob {
        HookJob { options: Arc::clone(&self.options), ..job.clone() }
    }

    fn named<T>(&self, point: HookPoint, answer: Result<T, HookError>) -> Result<T, HookFailure> {
        answer.map_err(|error| HookFailure { plugin: Arc::clone(&self.name), point, error })
    }

    fn refusal(&self, reason: String) -> Refusal {
        Refusal { plugin: Arc::clone(&self.name), reason: Some(reason).filter(|reason| !reason.is_empty()) }
    }
}

/// Turns a panic of a plugin into an error.
async fn caught<T>(asking: impl Future<Output = Result<T, HookError>>) -> Result<T, HookError> {
    contained_future(Box::pin(asking)).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> HookError {
    let error = format!("it panicked: {}", message(panic));
    HookError { exception: "PluginPanic".to_owned(), ..HookError::new(error) }
}

#[cfg(test)]
mod tests;
