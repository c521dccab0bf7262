//! Turns events into log lines with the wording of ActionHero, so that tools that read its logs read ours.

use std::time::Duration;

use super::redact;
use crate::config::element::logging::EventLevel;
use crate::config::model::{SchedulerLogging, WorkerLogging};
use crate::event::kind::JobInfo;
use crate::event::{Event, EventKind, OutputStream};

/// One log line: a message and its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLine {
    /// What happened.
    pub message: String,
    /// The worker's name.
    pub worker: Option<String>,
    /// The job's class.
    pub class: Option<String>,
    /// The job's queue.
    pub queue: Option<String>,
    /// The job's arguments, redacted.
    pub args: Option<String>,
    /// The job's id.
    pub id: Option<String>,
    /// The job's result.
    pub result: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// How long the run took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// The levels of events, and the keys whose values are redacted.
#[derive(Debug, Clone)]
pub struct LineStyle {
    worker: WorkerLogging,
    scheduler: SchedulerLogging,
    redact: Vec<String>,
}

impl LineStyle {
    /// The style that a configuration sets.
    #[must_use]
    pub fn new(worker: WorkerLogging, scheduler: SchedulerLogging, redact: Vec<String>) -> Self {
        Self { worker, scheduler, redact }
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
            EventKind::Output | EventKind::Notice | EventKind::FormattedLine => EventLevel::Info,
            EventKind::Warning => EventLevel::Warn,
        }
    }

    /// The line of an event.
    #[must_use]
    pub fn line(&self, event: &Event) -> LogLine {
        match event {
            Event::WorkerStart { worker } => worker_line("[ worker ] started", worker.name()),
            Event::WorkerEnd { worker } => worker_line("[ worker ] ended", worker.name()),
            Event::WorkerPoll { queues } => message_line(format!("[ worker ] polling {queues} queues")),
            Event::WorkerPause => message_line("[ worker ] paused".to_owned()),
            Event::Job { job } => self.job_line(format!("[ worker ] working job {}", job.queue), job),
            Event::Success { job, result, duration } => LogLine {
                result: result.as_deref().map(redact::shorten),
                duration_ms: Some(whole_millis(*duration)),
                ..self.job_line(format!("[ worker ] job success {}", job.queue), job)
            },
            Event::Failure { job, failure, duration } => LogLine {
                error: Some(redact::shorten(&format!("{}: {}", failure.exception, failure.error))),
                duration_ms: Some(whole_millis(*duration)),
                ..self.job_line(format!("[ worker ] job failure {}", job.queue), job)
            },
            Event::ReEnqueue { job, why } => LogLine {
                why: Some(redact::shorten(why)),
                ..self.job_line(format!("[ worker ] re-enqueue job {}", job.queue), job)
            },
            Event::Vetoed { job, plugin, reason } => {
                let reason = reason.as_deref().unwrap_or("it gave no reason");
                let why = format!("plugin {plugin:?}: {}", redact::shorten(reason));
                LogLine { why: Some(why), ..self.job_line(format!("[ worker ] dropped job {}", job.queue), job) }
            }
            Event::CleaningWorker { worker, why } => LogLine {
                why: Some(redact::shorten(why)),
                ..worker_line("[ worker ] cleaning old worker", worker.name())
            },
            Event::InternalError { error } => message_line(format!("internal error: {}", redact::shorten(error))),
            Event::MultiWorkerAction { verb, delay, processors } => message_line(format!(
                "*** checked for worker status: {verb} (event loop delay: {:.1}ms, processors: {processors})",
                delay.as_secs_f64() * 1000.0
            )),
            Event::SchedulerStart { name } => message_line(format!("resque scheduler started {name}")),
            Event::SchedulerEnd { name } => message_line(format!("resque scheduler ended {name}")),
            Event::SchedulerPoll => message_line("resque scheduler polling".to_owned()),
            Event::SchedulerEnqueue { task, queue, why } => LogLine {
                class: Some(task.to_string()),
                queue: Some(queue.to_string()),
                why: Some((*why).to_owned()),
                ..message_line(format!("enqueued recurrent job {task}"))
            },
            Event::SchedulerReEnqueue { task } => message_line(format!("re-enqueued recurrent job {task}")),
            Event::WorkingTimestamp { second } => message_line(format!("resque scheduler working timestamp {second}")),
            Event::TransferredJob { second, payload } => LogLine {
                args: Some(redact::args(payload, &self.redact)),
                ..message_line(format!("resque scheduler enqueuing job {second}"))
            },
            Event::Output { id, task, stream, line } => {
                let stream = match stream {
                    OutputStream::Stdout => "",
                    OutputStream::Stderr => " stderr",
                };
                let line = redact::output(line);
                LogLine { id: Some(id.to_string()), ..message_line(format!("[ {task}{stream} ] {line}")) }
            }
            Event::ChildOutput { task, pid, line } => {
                message_line(format!("[ {task} {pid} ] {}", redact::output(line)))
            }
            Event::Notice { text } | Event::Warning { text } => message_line(redact::shorten(text)),
            Event::FormattedLine { text } => message_line(text.clone()),
        }
    }

    fn job_line(&self, message: String, job: &JobInfo) -> LogLine {
        LogLine {
            worker: Some(job.worker.name().to_owned()),
            class: Some(redact::shorten(job.class.as_str())),
            queue: Some(job.queue.to_string()),
            args: Some(redact::args(&job.args, &self.redact)),
            id: Some(job.id.to_string()),
            ..message_line(message)
        }
    }
}

fn message_line(message: String) -> LogLine {
    LogLine { message, ..LogLine::default() }
}

fn worker_line(message: &str, worker: &str) -> LogLine {
    LogLine { worker: Some(worker.to_owned()), ..message_line(message.to_owned()) }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
