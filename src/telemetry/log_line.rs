//! Turns events into log lines with the wording of ActionHero, so that tools that read its logs read ours.

use std::fmt;

use super::redact::{Redact, Shown};
use crate::config::element::logging::EventLevel;
use crate::config::model::{SchedulerLogging, WorkerLogging};
use crate::event::kind::JobInfo;
use crate::event::{Event, EventKind, OutputStream};
use crate::job::run_counts::millis;

/// A line that a job or a child wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenLine {
    /// The task.
    pub(super) task: Shown,
    /// Where it was written, if that is known.
    pub(super) stream: Option<&'static str>,
    /// The child, if it works for several jobs.
    pub(super) pid: Option<u32>,
    /// The line.
    pub(super) line: Shown,
}

/// For people: `[ task ] line`.
impl fmt::Display for WrittenLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, stream, pid, line } = self;
        write!(f, "[ {}", task.as_name())?;
        if *stream == Some(STDERR) {
            write!(f, " {STDERR}")?;
        }
        if let Some(pid) = pid {
            write!(f, " {pid}")?;
        }
        write!(f, " ] {line}")
    }
}

const STDERR: &str = "stderr";

/// One log line: a message and its fields. Every text of others in it went through `Redact`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLine {
    /// What happened.
    pub(super) message: String,
    /// What was written, in place of a message.
    pub(super) written: Option<WrittenLine>,
    /// The worker's name.
    pub(super) worker: Option<Shown>,
    /// The job's class.
    pub(super) class: Option<Shown>,
    /// The job's queue.
    pub(super) queue: Option<Shown>,
    /// The job's arguments, redacted.
    pub(super) args: Option<Shown>,
    /// The job's id.
    pub(super) id: Option<Shown>,
    /// The job's result.
    pub(super) result: Option<Shown>,
    /// The error.
    pub(super) error: Option<Shown>,
    /// Why.
    pub(super) why: Option<Shown>,
    /// How long the run took, in milliseconds.
    pub(super) duration_ms: Option<u64>,
}

impl LogLine {
    /// A line with nothing but a message of our own.
    pub(super) fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

/// The levels of events, and the keys whose values are redacted.
#[derive(Debug, Clone)]
pub struct LineStyle {
    worker: WorkerLogging,
    scheduler: SchedulerLogging,
    redact: Redact,
}

impl LineStyle {
    /// The style that a configuration sets.
    #[must_use]
    pub fn new(worker: WorkerLogging, scheduler: SchedulerLogging, redact: Vec<String>) -> Self {
        Self { worker, scheduler, redact: Redact::new(&redact) }
    }

    /// The level of a kind of event.
    #[must_use]
    pub fn level(&self, kind: EventKind) -> EventLevel {
        match kind {
            EventKind::WorkerStart => self.worker.start,
            EventKind::WorkerEnd => self.worker.end,
            EventKind::WorkerPoll => self.worker.poll,
            EventKind::WorkerPause => self.worker.pause,
            EventKind::Job => self.worker.job,
            EventKind::Success => self.worker.success,
            EventKind::Failure => self.worker.failure,
            EventKind::Retry => self.worker.retry,
            EventKind::Later => self.worker.later,
            EventKind::ReEnqueue => self.worker.re_enqueue,
            EventKind::CleaningWorker => self.worker.cleaning_worker,
            EventKind::InternalError => self.worker.internal_error,
            EventKind::MultiWorkerAction => self.worker.multi_worker_action,
            EventKind::SchedulerStart => self.scheduler.start,
            EventKind::SchedulerEnd => self.scheduler.end,
            EventKind::SchedulerPoll => self.scheduler.poll,
            EventKind::SchedulerEnqueue => self.scheduler.enqueue,
            EventKind::SchedulerReEnqueue => self.scheduler.re_enqueue,
            EventKind::WorkingTimestamp => self.scheduler.working_timestamp,
            EventKind::TransferredJob => self.scheduler.transferred_job,
            EventKind::Output | EventKind::Notice | EventKind::Missed | EventKind::FormattedLine => EventLevel::Info,
            EventKind::Warning => EventLevel::Warn,
            #[cfg(feature = "otel")]
            EventKind::Sent => EventLevel::Off,
        }
    }

    /// The line of an event.
    #[must_use]
    pub fn line(&self, event: &Event) -> LogLine {
        match event {
            Event::WorkerStart { worker } => self.worker_line("[ worker ] started", worker.name()),
            Event::WorkerEnd { worker } => self.worker_line("[ worker ] ended", worker.name()),
            Event::WorkerPoll { queues } => LogLine::of(format!("[ worker ] polling {queues} queues")),
            Event::WorkerPause => LogLine::of("[ worker ] paused"),
            Event::Job { job } => self.job_line("working job", job),
            Event::Success { job, result, duration } => LogLine {
                result: result.as_deref().map(|result| self.redact.text(result)),
                duration_ms: Some(millis(*duration)),
                ..self.job_line("job success", job)
            },
            Event::Failure { job, error, duration, .. } => LogLine {
                error: Some(self.redact.text(error)),
                duration_ms: Some(millis(*duration)),
                ..self.job_line("job failure", job)
            },
            Event::Retry { job, error, why, duration } => LogLine {
                error: Some(self.redact.text(error)),
                why: Some(self.redact.text(why)),
                duration_ms: Some(millis(*duration)),
                ..self.job_line("job retry", job)
            },
            Event::Later { job, why } => {
                LogLine { why: Some(self.redact.text(why)), ..self.job_line("job later", job) }
            }
            Event::ReEnqueue { job, why } => {
                LogLine { why: Some(self.redact.text(why)), ..self.job_line("re-enqueue job", job) }
            }
            Event::Vetoed { job, plugin, reason } => {
                let reason = reason.as_deref().unwrap_or("it gave no reason");
                let why = Some(self.redact.text(&format!("plugin {plugin:?}: {reason}")));
                LogLine { why, ..self.job_line("dropped job", job) }
            }
            Event::Swallowed { job, error, .. } => LogLine::of(
                self.redact
                    .text(&format!("Noop took the failure of job {} ({}) for done: {error}", job.id, job.class))
                    .to_string(),
            ),
            Event::CleaningWorker { worker, why } => LogLine {
                why: Some(self.redact.text(why)),
                ..self.worker_line("[ worker ] cleaning old worker", worker.name())
            },
            Event::InternalError { error } => LogLine::of(self.redact.text(error).to_string()),
            Event::MultiWorkerAction { verb, delay, processors } => LogLine::of(format!(
                "*** checked for worker status: {verb} (event loop delay: {:.1}ms, processors: {processors})",
                delay.as_secs_f64() * 1000.0
            )),
            Event::SchedulerStart { name } => {
                LogLine::of(format!("resque scheduler started {}", self.redact.name(name)))
            }
            Event::SchedulerEnd { name } => LogLine::of(format!("resque scheduler ended {}", self.redact.name(name))),
            Event::SchedulerPoll => LogLine::of("resque scheduler polling"),
            Event::SchedulerEnqueue { task, queue, why } => LogLine {
                class: Some(self.redact.text(task.as_str())),
                queue: Some(self.redact.text(queue.as_str())),
                why: Some(self.redact.text(why)),
                ..LogLine::of(format!("enqueued recurrent job {}", self.redact.name(task.as_str())))
            },
            Event::SchedulerReEnqueue { task } => {
                LogLine::of(format!("re-enqueued recurrent job {}", self.redact.name(task.as_str())))
            }
            Event::WorkingTimestamp { second } => LogLine::of(format!("resque scheduler working timestamp {second}")),
            Event::TransferredJob { second, payload } => LogLine {
                args: Some(self.redact.text(payload)),
                ..LogLine::of(format!("resque scheduler enqueuing job {second}"))
            },
            Event::Output { id, task, stream, line } => {
                let stream = match stream {
                    OutputStream::Stdout => "stdout",
                    OutputStream::Stderr => STDERR,
                };
                let id = Some(self.redact.text(id));
                LogLine { id, ..self.written_line(task.as_str(), Some(stream), None, line) }
            }
            Event::ChildOutput { task, pid, line } => self.written_line(task.as_str(), None, Some(*pid), line),
            Event::Notice { text } | Event::Warning { text } | Event::Missed { text, .. } => {
                LogLine::of(self.redact.text(text).to_string())
            }
            Event::FormattedLine { text } => LogLine::of(self.redact.output(text).to_string()),
            // It is told to who collects traces.
            #[cfg(feature = "otel")]
            Event::Sent { .. } => LogLine::default(),
        }
    }

    fn job_line(&self, what: &str, job: &JobInfo) -> LogLine {
        LogLine {
            worker: Some(self.redact.text(job.worker.name())),
            class: Some(self.redact.text(job.class.as_str())),
            queue: Some(self.redact.text(job.queue.as_str())),
            args: Some(self.redact.text(&job.args)),
            id: Some(self.redact.text(&job.id)),
            ..LogLine::of(format!("[ worker ] {what} {}", self.redact.name(job.queue.as_str())))
        }
    }

    fn written_line(&self, task: &str, stream: Option<&'static str>, pid: Option<u32>, line: &str) -> LogLine {
        let written = WrittenLine { task: self.redact.text(task), stream, pid, line: self.redact.output(line) };
        LogLine { written: Some(written), ..LogLine::default() }
    }

    fn worker_line(&self, message: &str, worker: &str) -> LogLine {
        LogLine { worker: Some(self.redact.text(worker)), ..LogLine::of(message) }
    }
}
