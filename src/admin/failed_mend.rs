//! What a failed job goes back with, if not as it was.

use bytes::Bytes;
use serde::Serialize;

use super::error::AdminError;
use super::failed::FoundFailure;
use crate::client::request::Request;
use crate::job::mend::mended;
use crate::job::{Args, FailureView, PayloadView, QueueName};
use crate::task::definition::Registry;

/// Other arguments, another queue, or both.
#[derive(Debug, Clone, Default)]
pub struct Mend {
    /// The arguments; `None`: as they were.
    pub args: Option<Args>,
    /// The queue; `None`: where it came from.
    pub queue: Option<QueueName>,
}

/// What was mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct MendedView {
    /// The arguments as they were, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_before: Option<String>,
    /// The arguments as they are now, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// The queue that its record named, if it went to another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_before: Option<String>,
}

impl Mend {
    /// Does it change nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.args.is_none() && self.queue.is_none()
    }

    /// Checks the arguments by the inputs of the job's task, as those of an enqueue are, and fills in their defaults. A task
    /// that is not defined here takes what it is given.
    ///
    /// # Errors
    /// If they are not what the task takes, or if the record holds no job that takes any.
    pub fn checked(self, registry: &Registry, found: &FoundFailure) -> Result<Self, AdminError> {
        let Self { args: Some(args), queue } = self else { return Ok(self) };
        let view = FailureView::parse(&found.record);
        let job = view.payload.as_ref().and_then(|payload| PayloadView::parse(payload).ok());
        let Some(job) = job else {
            let reason = "its record holds no job, so that there are no arguments to change".to_owned();
            return Err(AdminError::NotRetriable { id: found.id.clone(), reason });
        };
        let Some(task) = registry.get(&job.class) else { return Ok(Self { args: Some(args), queue }) };
        let request = Request::new(&*job.class).args(args).queue(task.queue.as_str());
        Ok(Self { args: Some(request.resolve(registry)?.args), queue })
    }

    /// The bytes of the mended job, and what changed; `None` if nothing did.
    pub(super) fn applied(&self, view: &FailureView) -> Option<(Bytes, MendedView)> {
        let payload = view.payload.as_ref()?;
        let job = PayloadView::parse(payload).ok()?;
        let before = Args::of(&job).ok();
        let args = self.args.as_ref().filter(|args| Some(*args) != before.as_ref());
        let queue = self.queue.as_ref().filter(|queue| view.queue.as_deref() != Some(queue.as_str()));
        if args.is_none() && queue.is_none() {
            return None;
        }
        let told = MendedView {
            args_before: args.map(|_| job.args().into_owned()),
            args: args.map(|args| args.as_str().to_owned()),
            queue_before: queue.and(view.queue.clone()),
        };
        Some((mended(payload, args, queue).ok()?, told))
    }
}
