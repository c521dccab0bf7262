//! The events, as data.

use std::sync::Arc;
use std::time::Duration;

use crate::job::output_end::last_of_stderr;
#[cfg(feature = "otel")]
use crate::job::trace::{RunTrace, SentSpan};
use crate::job::{Failure, QueueName, TaskName, WorkerName};
use crate::text::cut::{cut, cut_bytes, shorten};

/// The kind of an event. A listener selects kinds, and a sender checks the selection before it builds an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is described at the event of the same name")]
#[non_exhaustive]
pub enum EventKind {
    WorkerStart,
    WorkerEnd,
    WorkerPoll,
    WorkerPause,
    Job,
    Success,
    Failure,
    Retry,
    Later,
    ReEnqueue,
    CleaningWorker,
    InternalError,
    MultiWorkerAction,
    SchedulerStart,
    SchedulerEnd,
    SchedulerPoll,
    SchedulerEnqueue,
    SchedulerReEnqueue,
    WorkingTimestamp,
    TransferredJob,
    Output,
    Notice,
    Warning,
    FormattedLine,
    Missed,
    #[cfg(feature = "otel")]
    Sent,
}

/// The number of ranks.
pub const RANKS: usize = 4;

/// The longest text of others that an event holds, in bytes: arguments, results, errors, reasons.
pub const LONGEST_TEXT: usize = 1024;
/// The longest line of output that an event holds, in bytes.
pub const LONGEST_LINE: usize = 16 * 1024;

impl EventKind {
    /// This kind's bit in a listener's interest.
    #[must_use]
    pub fn bit(self) -> u32 {
        1 << (self as u8)
    }

    /// The importance of the event, below [`RANKS`]. If a queue is full, events of a lower rank are dropped first. 3:
    /// must be seen; 2: a successful job; 1: useful only as a detail; 0: what jobs say, who may say more than anybody reads.
    #[must_use]
    pub fn rank(self) -> usize {
        match self {
            Self::Failure
            | Self::Retry
            | Self::Later
            | Self::ReEnqueue
            | Self::CleaningWorker
            | Self::InternalError
            | Self::Notice
            | Self::Missed
            | Self::Warning => 3,
            Self::Success => 2,
            Self::WorkerStart
            | Self::WorkerEnd
            | Self::WorkerPoll
            | Self::WorkerPause
            | Self::Job
            | Self::MultiWorkerAction
            | Self::SchedulerStart
            | Self::SchedulerEnd
            | Self::SchedulerPoll
            | Self::SchedulerEnqueue
            | Self::SchedulerReEnqueue
            | Self::WorkingTimestamp
            | Self::TransferredJob => 1,
            #[cfg(feature = "otel")]
            Self::Sent => 1,
            Self::Output | Self::FormattedLine => 0,
        }
    }
}

/// The stream of a process that a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The job of an event. It is shared, because one job gives several events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobInfo {
    /// Its worker.
    pub worker: WorkerName,
    /// Its queue.
    pub queue: QueueName,
    /// Its class.
    pub class: TaskName,
    /// The beginning of its arguments, as the producer wrote them; see [`JobInfo::args_of`].
    pub args: Box<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The spans of its run, if runs are traced.
    #[cfg(feature = "otel")]
    pub trace: Option<Arc<RunTrace>>,
}

impl JobInfo {
    /// A job of which nothing is traced.
    #[must_use]
    pub fn new(worker: WorkerName, queue: QueueName, class: TaskName, args: Box<str>, id: Arc<str>) -> Self {
        Self {
            worker,
            queue,
            class,
            args,
            id,
            #[cfg(feature = "otel")]
            trace: None,
        }
    }

    /// What an event keeps of arguments. It is a copy: a part of the payload would hold all of it, and the reply of the store
    /// that it came in.
    #[must_use]
    pub fn args_of(args: &[u8]) -> Box<str> {
        cut_bytes(args, LONGEST_TEXT).into_boxed_str()
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each variant says what happened; the fields are named for what they are")]
#[non_exhaustive]
pub enum Event {
    /// A worker was registered.
    WorkerStart { worker: WorkerName },
    /// A worker was unregistered.
    WorkerEnd { worker: WorkerName },
    /// The pool looks for jobs.
    WorkerPoll { queues: usize },
    /// The pool found nothing, or was paused, and sleeps.
    WorkerPause,
    /// A job begins.
    Job { job: Arc<JobInfo> },
    /// A job is done.
    Success { job: Arc<JobInfo>, result: Option<String>, duration: Duration },
    /// A job failed; see [`Event::failure`].
    Failure { job: Arc<JobInfo>, error: String, said: Option<Box<str>>, tail: Option<Box<str>>, duration: Duration },
    /// An attempt failed, and Retry repeats it: which attempt of how many, and when.
    Retry { job: Arc<JobInfo>, error: String, why: String, duration: Duration },
    /// A handler said "later": when the job runs again.
    Later { job: Arc<JobInfo>, why: String },
    /// A job goes back to be run later: put back by a plugin, redelivered, released.
    ReEnqueue { job: Arc<JobInfo>, why: String },
    /// A job is dropped without a run, because a plugin of its task refused it. Logged as a warning.
    Vetoed { job: Arc<JobInfo>, plugin: Arc<str>, reason: Option<String> },
    /// A job failed, and Noop took that for done. Logged as a warning.
    Swallowed { job: Arc<JobInfo>, error: String, duration: Duration },
    /// A dead worker is removed.
    CleaningWorker { worker: WorkerName, why: String },
    /// An error that is not the failure of a job.
    InternalError { error: String },
    /// The pool reconsidered its size.
    MultiWorkerAction { verb: &'static str, delay: Duration, processors: usize },
    /// The scheduler started.
    SchedulerStart { name: String },
    /// The scheduler stopped.
    SchedulerEnd { name: String },
    /// The scheduler looks for due jobs.
    SchedulerPoll,
    /// A periodic task's first or restored job went to its queue.
    SchedulerEnqueue { task: TaskName, queue: QueueName, why: &'static str },
    /// A periodic task's next tick was written.
    SchedulerReEnqueue { task: TaskName },
    /// Jobs of this second are promoted.
    WorkingTimestamp { second: i64 },
    /// A due job went to its queue.
    TransferredJob { second: i64, payload: Box<str> },
    /// A job wrote a line.
    Output { id: Arc<str>, task: TaskName, stream: OutputStream, line: String },
    /// A process that serves many jobs of a task wrote a line to its stderr; the job is not known.
    ChildOutput { task: TaskName, pid: u32, line: String },
    /// A run of a task that was due is left out, because it is too late for it.
    Missed { task: TaskName, text: String },
    /// A message at level `info`.
    Notice { text: String },
    /// A message at level `warn`.
    Warning { text: String },
    /// A finished line of the log, from code in this process that writes to `tracing` itself.
    FormattedLine { text: String },
    /// A job was enqueued here, inside of a trace.
    #[cfg(feature = "otel")]
    Sent { span: Arc<SentSpan> },
}

impl Event {
    /// A job failed. Of the error the beginning is kept, of the backtrace the last line of stderr: the failed list has all.
    #[must_use]
    pub fn failure(job: Arc<JobInfo>, failure: &Failure, duration: Duration) -> Self {
        let said = last_of_stderr(&failure.backtrace).map(|line| cut(line, LONGEST_TEXT).into_boxed_str());
        Self::Failure { job, error: cut(failure, LONGEST_TEXT), said, tail: None, duration }
    }

    /// The same with the end of the backtrace, for tasks whose failures are told elsewhere as well.
    #[must_use]
    pub fn with_tail(self, failure: &Failure) -> Self {
        match self {
            Self::Failure { job, error, said, duration, .. } => {
                let mut lines: Vec<&str> = Vec::new();
                let mut left = LONGEST_LINE;
                for line in failure.backtrace.iter().rev() {
                    let Some(less) = left.checked_sub(line.len() + 1) else { break };
                    left = less;
                    lines.push(line);
                }
                lines.reverse();
                Self::Failure { job, error, said, tail: Some(lines.join("\n").into_boxed_str()), duration }
            }
            other => other,
        }
    }

    /// Cuts every text of the event. The bus does it to every event that it is given, so that none holds more than a few KiB,
    /// whatever others wrote.
    pub(super) fn bound(&mut self) {
        let short = |text: &mut String| shorten(text, LONGEST_TEXT);
        match self {
            Self::Success { result: text, .. } | Self::Vetoed { reason: text, .. } => {
                if let Some(text) = text {
                    short(text);
                }
            }
            Self::Failure { error: text, .. }
            | Self::Swallowed { error: text, .. }
            | Self::Retry { error: text, .. }
            | Self::Later { why: text, .. }
            | Self::ReEnqueue { why: text, .. }
            | Self::CleaningWorker { why: text, .. }
            | Self::InternalError { error: text }
            | Self::SchedulerStart { name: text }
            | Self::SchedulerEnd { name: text }
            | Self::Notice { text }
            | Self::Missed { text, .. }
            | Self::Warning { text } => short(text),
            Self::Output { line: text, .. } | Self::ChildOutput { line: text, .. } | Self::FormattedLine { text } => {
                shorten(text, LONGEST_LINE);
            }
            // Names are shared with those who work with them, and the beginnings of payloads were cut when they were copied.
            Self::WorkerStart { .. }
            | Self::WorkerEnd { .. }
            | Self::WorkerPoll { .. }
            | Self::WorkerPause
            | Self::Job { .. }
            | Self::MultiWorkerAction { .. }
            | Self::SchedulerPoll
            | Self::SchedulerEnqueue { .. }
            | Self::SchedulerReEnqueue { .. }
            | Self::WorkingTimestamp { .. }
            | Self::TransferredJob { .. } => {}
            #[cfg(feature = "otel")]
            Self::Sent { .. } => {}
        }
    }

    /// The kind of the event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::WorkerStart { .. } => EventKind::WorkerStart,
            Self::WorkerEnd { .. } => EventKind::WorkerEnd,
            Self::WorkerPoll { .. } => EventKind::WorkerPoll,
            Self::WorkerPause => EventKind::WorkerPause,
            Self::Job { .. } => EventKind::Job,
            Self::Success { .. } => EventKind::Success,
            Self::Failure { .. } => EventKind::Failure,
            Self::Retry { .. } => EventKind::Retry,
            Self::Later { .. } => EventKind::Later,
            Self::ReEnqueue { .. } => EventKind::ReEnqueue,
            Self::Vetoed { .. } | Self::Swallowed { .. } | Self::Warning { .. } => EventKind::Warning,
            Self::CleaningWorker { .. } => EventKind::CleaningWorker,
            Self::InternalError { .. } => EventKind::InternalError,
            Self::MultiWorkerAction { .. } => EventKind::MultiWorkerAction,
            Self::SchedulerStart { .. } => EventKind::SchedulerStart,
            Self::SchedulerEnd { .. } => EventKind::SchedulerEnd,
            Self::SchedulerPoll => EventKind::SchedulerPoll,
            Self::SchedulerEnqueue { .. } => EventKind::SchedulerEnqueue,
            Self::SchedulerReEnqueue { .. } => EventKind::SchedulerReEnqueue,
            Self::WorkingTimestamp { .. } => EventKind::WorkingTimestamp,
            Self::TransferredJob { .. } => EventKind::TransferredJob,
            Self::Output { .. } | Self::ChildOutput { .. } => EventKind::Output,
            Self::Notice { .. } => EventKind::Notice,
            Self::Missed { .. } => EventKind::Missed,
            Self::FormattedLine { .. } => EventKind::FormattedLine,
            #[cfg(feature = "otel")]
            Self::Sent { .. } => EventKind::Sent,
        }
    }

    /// The approximate memory of the event, in bytes. Shared data counts for each event.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_job = |job: &JobInfo| job.args.len() + job.worker.name().len() + job.id.len() + size_of::<JobInfo>();
        let heap = match self {
            Self::WorkerStart { worker } | Self::WorkerEnd { worker } => worker.name().len(),
            Self::Job { job } => of_job(job),
            Self::Success { job, result, .. } => of_job(job) + result.as_ref().map_or(0, String::len),
            Self::Failure { job, error, said, tail, .. } => {
                let texts = said.iter().chain(tail).map(|text| text.len()).sum::<usize>();
                of_job(job) + error.len() + texts
            }
            Self::Swallowed { job, error, .. } => of_job(job) + error.len(),
            Self::Retry { job, error, why, .. } => of_job(job) + error.len() + why.len(),
            Self::Later { job, why } | Self::ReEnqueue { job, why } => of_job(job) + why.len(),
            Self::Vetoed { job, plugin, reason } => of_job(job) + plugin.len() + reason.as_ref().map_or(0, String::len),
            Self::CleaningWorker { worker, why } => worker.name().len() + why.len(),
            Self::InternalError { error: text }
            | Self::SchedulerStart { name: text }
            | Self::SchedulerEnd { name: text }
            | Self::Notice { text }
            | Self::Missed { text, .. }
            | Self::Warning { text }
            | Self::FormattedLine { text } => text.len(),
            Self::TransferredJob { payload, .. } => payload.len(),
            Self::Output { line, .. } | Self::ChildOutput { line, .. } => line.len(),
            Self::WorkerPoll { .. }
            | Self::WorkerPause
            | Self::MultiWorkerAction { .. }
            | Self::SchedulerPoll
            | Self::SchedulerEnqueue { .. }
            | Self::SchedulerReEnqueue { .. }
            | Self::WorkingTimestamp { .. } => 0,
            #[cfg(feature = "otel")]
            Self::Sent { span } => span.queue.len() + span.task.len() + size_of::<SentSpan>(),
        };
        size_of::<Self>() + heap
    }
}
