//! What became of an enqueue, as the command line and the API tell it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::refusing_lock::RefusingLock;
use crate::client::moment::Moment;
use crate::client::once::DoneBefore;
use crate::client::request::ResolvedJob;
use crate::plugin::hooks::{HookFailure, Refusal};
use crate::store::queueing::Scheduled;

/// The result. For a refused job it is `{"enqueued":false,"refused_by":"QueueLock","lock":{..}}`.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct EnqueueView {
    /// Is the job on its queue, or delayed?
    pub enqueued: bool,
    /// The plugin that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
    /// The reason, if the plugin gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The lock that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<RefusingLock>,
    /// Was a job of the same bytes due at this second already?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The arguments, as they stand in the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<RawValue>>,
    /// When it is due: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<i64>,
    /// The zone whose clocks were meant, by its name, or "here".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The time in this zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_in_zone: Option<String>,
    /// The id of a job that is tracked. Equal jobs on a queue are interchangeable: the one that is claimed first takes the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Plugins that failed when the job was on its queue already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_enqueue_errors: Vec<PluginErrorView>,
    /// Was it enqueued before under the same key? Left out if not, and over HTTP, where a header says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// The failure of a plugin.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct PluginErrorView {
    /// The line of the job, if there are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The plugin.
    pub plugin: String,
    /// What happened.
    pub error: String,
}

impl PluginErrorView {
    /// A failure, of the job on this line.
    #[must_use]
    pub fn of(line: Option<usize>, failure: &HookFailure) -> Self {
        Self { line, plugin: failure.plugin.to_string(), error: failure.to_string() }
    }
}

impl EnqueueView {
    /// The job is on its queue.
    #[must_use]
    pub fn now(job: &ResolvedJob, complaints: &[HookFailure]) -> Self {
        let after_enqueue_errors = complaints.iter().map(|failure| PluginErrorView::of(None, failure)).collect();
        Self { after_enqueue_errors, ..Self::of(job, None) }
    }

    /// The job is delayed, or was so already.
    #[must_use]
    pub fn later(job: &ResolvedJob, scheduled: Scheduled) -> Self {
        match scheduled {
            Scheduled::At(second) => Self::of(job, Some(second)),
            Scheduled::Duplicate(second) => {
                Self { enqueued: false, duplicate: Some(true), ..Self::of(job, Some(second)) }
            }
            // Anyone who enqueues under a key is told what was done before.
            Scheduled::Marked => Self { replayed: true, ..Self::of(job, None) },
        }
    }

    /// It was enqueued before under the same key, and nothing was done.
    #[must_use]
    pub fn before(done: DoneBefore) -> Self {
        let due = done.second.map(Moment::of_second);
        Self {
            enqueued: true,
            replayed: true,
            task: Some(done.task),
            queue: Some(done.queue),
            args: done.args,
            at: due.map(Moment::rfc3339),
            ms: due.map(Moment::ms),
            ..Self::default()
        }
    }

    /// A plugin refused it; nothing was written.
    #[must_use]
    pub fn refused(Refusal { plugin, reason }: Refusal, lock: Option<RefusingLock>) -> Self {
        Self { refused_by: Some(plugin.to_string()), reason, lock, ..Self::default() }
    }

    fn of(job: &ResolvedJob, due: Option<i64>) -> Self {
        let due = due.map(Moment::of_second);
        Self {
            enqueued: true,
            task: Some(job.task.as_str().to_owned()),
            queue: Some(job.queue.as_str().to_owned()),
            args: RawValue::from_string(job.args.as_str().to_owned()).ok(),
            at: due.map(Moment::rfc3339),
            ms: due.map(Moment::ms),
            ..Self::default()
        }
    }
}
