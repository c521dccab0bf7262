//! What a caller asks for, and the job that a valid request becomes.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::config::error::closest;
use crate::job::ecma::EcmaError;
use crate::job::payload::encode;
use crate::job::{Args, NameError, QueueName, TaskName};
use crate::plugin::chain::Chain;
use crate::store::effect::Admission;
use crate::task::definition::Registry;
use crate::task::definition::TaskDefinition;
use crate::task::inputs::{self, InputError};

/// A request to run a task.
///
/// ```
/// use windlass::prelude::*;
///
/// # fn main() -> Result<(), RequestError> {
/// let mail = Request::new("sendMail").arg(&serde_json::json!({"to": "ada@example.org"}))?.queue("mail");
/// # let _ = mail;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The task's name.
    pub task: String,
    /// The arguments; `None` if the caller gave none.
    pub args: Option<Args>,
    /// The queue, if not the task's own.
    pub queue: Option<String>,
    /// The task need not be defined here, because other workers know it.
    pub foreign: bool,
}

/// Why a request is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The task is not defined here, and the request is not marked as foreign.
    #[error("no task is called {task:?}{}", suggestion.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default())]
    UnknownTask {
        /// The requested task.
        task: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// The file of the task has mistakes.
    #[error("task {task:?} cannot be used, because its file has mistakes")]
    Broken {
        /// The requested task.
        task: String,
    },
    /// A foreign task has no queue of its own.
    #[error("task {task:?} is not defined here, so its queue must be named")]
    QueueMissing {
        /// The requested task.
        task: String,
    },
    /// Periodic tasks take no arguments.
    #[error("task {task:?} is periodic and takes no arguments")]
    PeriodicArguments {
        /// The requested task.
        task: String,
    },
    /// An invalid name.
    #[error("{what} {text:?}: {error}")]
    Name {
        /// What it names.
        what: &'static str,
        /// The text.
        text: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// The arguments do not match the task's inputs.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The arguments are not JSON.
    #[error("arguments: {0}")]
    Args(#[from] EcmaError),
    /// A value cannot be written as JSON.
    #[error("arguments: {0}")]
    Encode(String),
}

/// A valid request as a job, ready for the store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResolvedJob {
    /// The task.
    pub task: TaskName,
    /// The queue it goes to.
    pub queue: QueueName,
    /// Its arguments.
    pub args: Args,
    /// Its bytes.
    pub payload: Bytes,
    definition: Option<Arc<TaskDefinition>>,
}

impl Request {
    /// A request for this task, without arguments, on its own queue.
    #[must_use]
    pub fn new(task: impl Into<String>) -> Self {
        Self { task: task.into(), ..Self::default() }
    }

    /// Sets a single argument, which is how ActionHero gives a task its inputs.
    ///
    /// # Errors
    /// Fails if the value cannot be written as JSON.
    pub fn arg(self, value: &impl Serialize) -> Result<Self, RequestError> {
        self.list(&[value])
    }

    /// Sets the list of arguments: a value that is an array in JSON, such as a slice or a tuple.
    ///
    /// # Errors
    /// Fails if the value cannot be written as JSON.
    pub fn list(self, values: &(impl Serialize + ?Sized)) -> Result<Self, RequestError> {
        let text = serde_json::to_string(values).map_err(|error| RequestError::Encode(error.to_string()))?;
        Ok(self.args(Args::from_json(&text)?))
    }

    /// Sets the arguments.
    #[must_use]
    pub fn args(self, args: impl Into<Option<Args>>) -> Self {
        Self { args: args.into(), ..self }
    }

    /// Sets the queue, instead of the task's own.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        Self { queue: Some(queue.into()), ..self }
    }

    /// Marks the task as foreign: it is not defined here, and other workers know it. Its queue must be set.
    #[must_use]
    pub fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Checks the request against the tasks of the registry.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn resolve(&self, registry: &Registry) -> Result<ResolvedJob, RequestError> {
        let mut job = self.resolve_as_written(registry)?;
        let inputs = job.definition.as_ref().map(|definition| &definition.inputs[..]).unwrap_or_default();
        if !inputs.is_empty() {
            job.args = inputs::apply(inputs, job.task.as_str(), &job.args)?;
            job.payload = encode(job.task.as_str(), job.queue.as_str(), &job.args);
        }
        Ok(job)
    }

    /// As [`resolve`](Self::resolve), but without applying the task's inputs: for jobs that exist already.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn resolve_as_written(&self, registry: &Registry) -> Result<ResolvedJob, RequestError> {
        let name = |what, text: &str, error| RequestError::Name { what, text: text.to_owned(), error };
        let definition = registry.get(&self.task).cloned();
        if definition.is_none() && !self.foreign {
            let names = registry.iter().map(|task| task.name.as_str());
            return Err(RequestError::UnknownTask { task: self.task.clone(), suggestion: nearest(&self.task, names) });
        }
        let task = TaskName::new(&self.task).map_err(|error| name("task", &self.task, error))?;
        let queue = match (&self.queue, &definition) {
            (Some(queue), _) => QueueName::new(queue).map_err(|error| name("queue", queue, error))?,
            (None, Some(definition)) => definition.queue.clone(),
            (None, None) => return Err(RequestError::QueueMissing { task: self.task.clone() }),
        };
        let periodic = definition.as_ref().is_some_and(|definition| definition.cadence.is_some());
        let args = match &self.args {
            // All three mean "no arguments" in ActionHero.
            Some(args) if periodic && !args.are_periodic() => {
                return Err(RequestError::PeriodicArguments { task: self.task.clone() });
            }
            _ if periodic => Args::periodic(),
            Some(args) => args.clone(),
            None => Args::none(),
        };
        let payload = encode(task.as_str(), queue.as_str(), &args);
        Ok(ResolvedJob { task, queue, args, payload, definition })
    }
}

impl ResolvedJob {
    /// The task, if it is defined here.
    pub(super) fn definition(&self) -> Option<&TaskDefinition> {
        self.definition.as_deref()
    }

    /// The rules of its task, which must hold when the job is enqueued. A foreign task has none here.
    #[must_use]
    pub fn admissions(&self) -> Vec<Admission> {
        self.definition
            .as_ref()
            .map(|definition| Chain::of(definition).admissions(&self.queue, &self.args))
            .unwrap_or_default()
    }
}

/// The name that is nearest to `written`, if one is near enough to be a misspelling.
#[must_use]
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    closest(written, names).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::enqueue::tests::registry;

    fn request(task: &str, args: Option<&str>) -> Request {
        let args = args.map(|args| Args::from_json(args).unwrap());
        Request { task: task.to_owned(), args, ..Request::default() }
    }

    #[test]
    fn a_known_task_brings_its_queue_and_its_rules() {
        let job = request("sendMail", Some(r#"{"to":"a"}"#)).resolve(&registry()).unwrap();
        assert_eq!(&job.payload[..], br#"{"class":"sendMail","queue":"mail","args":[{"to":"a"}]}"#);
        assert!(matches!(job.admissions()[..], [Admission::TakeLock { plugin: "QueueLock", .. }]));
        let elsewhere = Request { queue: Some("slow".into()), ..request("sendMail", None) };
        let job = elsewhere.resolve(&registry()).unwrap();
        assert_eq!(&job.payload[..], br#"{"class":"sendMail","queue":"slow","args":[]}"#);
    }

    #[test]
    fn an_unknown_task_is_refused_and_the_nearest_suggested() {
        let error = request("sendmial", None).resolve(&registry()).unwrap_err();
        assert_eq!(error.to_string(), r#"no task is called "sendmial" (did you mean "sendMail"?)"#);
        let error = request("zebra", None).resolve(&registry()).unwrap_err();
        assert_eq!(error.to_string(), r#"no task is called "zebra""#);
    }

    #[test]
    fn a_foreign_task_needs_a_queue_and_has_no_rules() {
        let foreign = Request { foreign: true, ..request("Add", Some("[1,2]")) };
        assert_eq!(foreign.resolve(&registry()).unwrap_err(), RequestError::QueueMissing { task: "Add".into() });
        let foreign = Request { queue: Some("math".into()), ..foreign };
        let job = foreign.resolve(&registry()).unwrap();
        assert_eq!(&job.payload[..], br#"{"class":"Add","queue":"math","args":[1,2]}"#);
        assert!(job.admissions().is_empty());
        let blank = Request { queue: Some(" ".into()), ..foreign };
        assert!(matches!(blank.resolve(&registry()), Err(RequestError::Name { what: "queue", .. })));
    }

    #[test]
    fn a_periodic_task_refuses_arguments() {
        for none in [None, Some("[]"), Some("{}"), Some("null")] {
            let job = request("hourly", none).resolve(&registry()).unwrap();
            assert_eq!(job.args.as_str(), "[{}]", "{none:?}");
        }
        let error = request("hourly", Some("[1]")).resolve(&registry()).unwrap_err();
        assert_eq!(error, RequestError::PeriodicArguments { task: "hourly".into() });
    }
}
