//! Doors for the fuzz targets in `fuzz/`, to readers that are private otherwise. No release has them: they need the
//! feature `fuzzing`, and nothing in here is API.

#![allow(missing_docs, reason = "the targets are the only callers")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::HeaderMap;

use crate::event::kind::JobInfo;
use crate::event::{Event, OutputStream};
use crate::handler::http::response::{self, StatusMeaning};
use crate::handler::render;
use crate::handler::rpc::protocol::{Message, Response};
use crate::handler::rpc::stray;
use crate::job::{Failure, QueueName, TaskName, WorkerName};
use crate::plugin::exec::answer;
use crate::process::Source;
use crate::process::shim::ShimOptions;
use crate::process::splitter::LineSplitter;
use crate::process::sweep::ProcStat;
use crate::task::environment::EnvFiles;
use crate::task::handler_spec::{
    EnvLayer, ExecSpec, OutputMode, ProcessSettings, ResultMode, RetryLater, StdinMode, Template,
};
use crate::telemetry;

/// What a line of an rpc child says: the texts that are kept of it, and the delay that it asks for.
///
/// # Errors
/// If it is no message.
pub fn rpc_line(line: &[u8]) -> Result<(Vec<String>, Option<Duration>), String> {
    Ok(match stray::read(line, |_| true)?.message {
        None | Some(Message::Ready { .. } | Message::Progress { .. }) => (Vec::new(), None),
        Some(Message::Response { response, .. }) => match response {
            Response::Result(result) => (result.into_iter().collect(), None),
            Response::Later(delay) => (Vec::new(), delay),
            Response::Error(Failure { exception, error, backtrace, .. }) => {
                ([exception, error].into_iter().chain(backtrace).collect(), None)
            }
        },
    })
}

/// What the answer of an HTTP server means: a wait, or the message and the lines of a failure.
#[must_use]
pub fn http_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    later: RetryLater,
    now_s: i64,
) -> (Option<Duration>, String, Vec<String>) {
    let (wait, message) = match response::judge(status, headers, 0, later, now_s) {
        StatusMeaning::Done => (None, response::text(body.to_vec())),
        StatusMeaning::Later(wait) => (Some(wait), String::new()),
        StatusMeaning::Failed(message) => (None, message),
    };
    (wait, message, response::lines(body.to_vec()))
}

/// What a plugin program printed, read as each kind of answer. The errors are returned.
#[must_use]
pub fn plugin_answer(text: &str) -> Vec<String> {
    let errors = [answer::decision(text).err(), answer::nothing(text).err(), answer::clears(text).err()];
    errors.into_iter().flatten().collect()
}

/// The items of argv for these arguments of a job.
///
/// # Errors
/// If a placeholder's value cannot be used.
pub fn argv(argv: Vec<Template>, args: &[u8], id: &str, queue: &str) -> Result<Vec<String>, String> {
    let process = ProcessSettings {
        cwd: PathBuf::new(),
        inherited: EnvLayer::default(),
        env: BTreeMap::new(),
        env_sources: Vec::new(),
        env_clear: false,
        confines: None,
        trusted: None,
        env_files: EnvFiles::default(),
    };
    let spec = ExecSpec {
        argv,
        process,
        stdin: StdinMode::Job,
        output: OutputMode::Log,
        result: ResultMode::Nothing,
        progress: false,
        options_end_from: Some(1),
        allow_dash: false,
        later: RetryLater::default(),
    };
    render::argv(&spec, render::Values { args, id, queue }).map_err(|error| error.to_string())
}

/// Are these the options of the shim?
#[must_use]
pub fn shim_options(args: Vec<OsString>) -> bool {
    ShimOptions::read(&mut args.into_iter()).is_some()
}

/// The lines of an output that is read in these chunks, each with whether it continues the one before.
#[must_use]
pub fn output_lines<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, bool)> {
    let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
    let mut sink = |line: crate::process::OutputLine<'_>| lines.push((line.text.to_owned(), line.continued));
    for chunk in chunks {
        splitter.push(chunk, Source::Stdout, &mut sink);
    }
    splitter.finish(Source::Stdout, &mut sink);
    lines
}

/// Is this the line of a process in `/proc`?
#[must_use]
pub fn proc_stat(line: &[u8]) -> bool {
    ProcStat::parse(line).is_some()
}

/// What the log writes, as text or as JSON, about one event of each kind that carries foreign text.
#[must_use]
pub fn log_lines(text: &str, redact: &[String], json: bool) -> Vec<String> {
    let (task, queue) = (TaskName::as_stored(text), QueueName::as_stored(text));
    let (worker, owned) = (WorkerName::parse(text), || text.to_owned());
    let args = JobInfo::args_of(text.as_bytes());
    let job = Arc::new(JobInfo::new(worker.clone(), queue.clone(), task.clone(), args, Arc::from(text)));
    let duration = Duration::from_millis(7);
    let events = [
        Event::WorkerStart { worker: worker.clone() },
        Event::Success { job: Arc::clone(&job), result: Some(owned()), duration },
        Event::failure(Arc::clone(&job), &Failure::new(text, text), duration),
        Event::Retry { job: Arc::clone(&job), error: owned(), why: owned(), duration },
        Event::Later { job: Arc::clone(&job), why: owned() },
        Event::ReEnqueue { job: Arc::clone(&job), why: owned() },
        Event::Vetoed { job: Arc::clone(&job), plugin: Arc::from(text), reason: Some(owned()) },
        Event::CleaningWorker { worker, why: owned() },
        Event::InternalError { error: owned() },
        Event::SchedulerStart { name: owned() },
        Event::SchedulerEnqueue { task: task.clone(), queue, why: "due" },
        Event::SchedulerReEnqueue { task: task.clone() },
        Event::TransferredJob { second: 7, payload: job.args.clone() },
        Event::Output { id: Arc::from(text), task: task.clone(), stream: OutputStream::Stderr, line: owned() },
        Event::ChildOutput { task, pid: 7, line: owned() },
        Event::Notice { text: owned() },
        Event::Warning { text: owned() },
    ];
    telemetry::fuzzing::written(events, redact, json)
}
