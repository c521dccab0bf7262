//! Events in words: ActionHero's, so that whoever reads its logs reads ours.

use std::time::Duration;

use super::redact;
use crate::config::element::event_level::EventLevel;
use crate::config::model::{SchedulerLogging, WorkerLogging};
use crate::event::kind::JobInfo;
use crate::event::{Event, Kind, Stream};

/// One log line: a message and its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
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

/// Levels of events and what their lines leave out.
#[derive(Debug, Clone)]
pub struct Words {
    worker: WorkerLogging,
    scheduler: SchedulerLogging,
    redact: Vec<String>,
}

impl Words {
    /// The words under a configuration.
    #[must_use]
    pub fn new(worker: WorkerLogging, scheduler: SchedulerLogging, redact: Vec<String>) -> Self {
        Self { worker, scheduler, redact }
    }

    /// The level at which a kind of event is told.
    #[must_use]
    pub fn level(&self, kind: Kind) -> EventLevel {
        match kind {
            Kind::WorkerStart => self.worker.start,
            Kind::WorkerEnd => self.worker.end,
            Kind::WorkerPoll => self.worker.poll,
            Kind::WorkerPause => self.worker.pause,
            Kind::Job => self.worker.job,
            Kind::Success => self.worker.success,
            Kind::Failure => self.worker.failure,
            Kind::ReEnqueue => self.worker.re_enqueue,
            Kind::CleaningWorker => self.worker.cleaning_worker,
            Kind::InternalError => self.worker.internal_error,
            Kind::MultiWorkerAction => self.worker.multi_worker_action,
            Kind::SchedulerStart => self.scheduler.start,
            Kind::SchedulerEnd => self.scheduler.end,
            Kind::SchedulerPoll => self.scheduler.poll,
            Kind::SchedulerEnqueue => self.scheduler.enqueue,
            Kind::SchedulerReEnqueue => self.scheduler.re_enqueue,
            Kind::WorkingTimestamp => self.scheduler.working_timestamp,
            Kind::TransferredJob => self.scheduler.transferred_job,
            Kind::Output | Kind::Notice | Kind::Line => EventLevel::Info,
            Kind::Warning => EventLevel::Warn,
        }
    }

    /// The line of an event.
    #[must_use]
    pub fn line(&self, event: &Event) -> Line {
        match event {
            Event::WorkerStart { worker } => of_worker("[ worker ] started", worker.name()),
            Event::WorkerEnd { worker } => of_worker("[ worker ] ended", worker.name()),
            Event::WorkerPoll { queues } => said(format!("[ worker ] polling {queues} queues")),
            Event::WorkerPause => said("[ worker ] paused".to_owned()),
            Event::Job { job } => self.of_job(format!("[ worker ] working job {}", job.queue), job),
            Event::Success { job, result, duration } => Line {
                result: result.as_deref().map(redact::shorten),
                duration_ms: Some(millis(*duration)),
                ..self.of_job(format!("[ worker ] job success {}", job.queue), job)
            },
            Event::Failure { job, failure, duration } => Line {
                error: Some(redact::shorten(&format!("{}: {}", failure.exception, failure.error))),
                duration_ms: Some(millis(*duration)),
                ..self.of_job(format!("[ worker ] job failure {}", job.queue), job)
            },
            Event::ReEnqueue { job, why } => Line {
                why: Some(redact::shorten(why)),
                ..self.of_job(format!("[ worker ] re-enqueue job {}", job.queue), job)
            },
            Event::Vetoed { job, plugin, reason } => {
                let reason = reason.as_deref().unwrap_or("it gave no reason");
                let why = format!("plugin {plugin:?}: {}", redact::shorten(reason));
                Line { why: Some(why), ..self.of_job(format!("[ worker ] dropped job {}", job.queue), job) }
            }
            Event::CleaningWorker { worker, why } => {
                Line { why: Some(redact::shorten(why)), ..of_worker("[ worker ] cleaning old worker", worker.name()) }
            }
            Event::InternalError { error } => said(format!("internal error: {}", redact::shorten(error))),
            Event::MultiWorkerAction { verb, delay, processors } => said(format!(
                "*** checked for worker status: {verb} (event loop delay: {:.1}ms, processors: {processors})",
                delay.as_secs_f64() * 1000.0
            )),
            Event::SchedulerStart { name } => said(format!("resque scheduler started {name}")),
            Event::SchedulerEnd { name } => said(format!("resque scheduler ended {name}")),
            Event::SchedulerPoll => said("resque scheduler polling".to_owned()),
            Event::SchedulerEnqueue { task, queue, why } => Line {
                class: Some(task.to_string()),
                queue: Some(queue.to_string()),
                why: Some((*why).to_owned()),
                ..said(format!("enqueued recurrent job {task}"))
            },
            Event::SchedulerReEnqueue { task } => said(format!("re-enqueued recurrent job {task}")),
            Event::WorkingTimestamp { second } => said(format!("resque scheduler working timestamp {second}")),
            Event::TransferredJob { second, payload } => Line {
                args: Some(redact::args(payload, &self.redact)),
                ..said(format!("resque scheduler enqueuing job {second}"))
            },
            Event::Output { id, task, stream, line } => {
                let stream = match stream {
                    Stream::Stdout => "",
                    Stream::Stderr => " stderr",
                };
                let line = redact::output(line);
                Line { id: Some(id.to_string()), ..said(format!("[ {task}{stream} ] {line}")) }
            }
            Event::ChildOutput { task, pid, line } => said(format!("[ {task} {pid} ] {}", redact::output(line))),
            Event::Notice { text } | Event::Warning { text } => said(redact::shorten(text)),
            Event::Line { text } => said(text.clone()),
        }
    }

    fn of_job(&self, message: String, job: &JobInfo) -> Line {
        Line {
            worker: Some(job.worker.name().to_owned()),
            class: Some(redact::shorten(job.class.as_str())),
            queue: Some(job.queue.to_string()),
            args: Some(redact::args(&job.args, &self.redact)),
            id: Some(job.id.to_string()),
            ..said(message)
        }
    }
}

fn said(message: String) -> Line {
    Line { message, ..Line::default() }
}

fn of_worker(message: &str, worker: &str) -> Line {
    Line { worker: Some(worker.to_owned()), ..said(message.to_owned()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
