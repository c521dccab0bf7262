//! `enqueue`: one job, or many from a file.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::args::EnqueueArgs;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{clean, complain, counted};
use crate::client::bulk::{self, BadLine, LineOutcome};
use crate::client::delay::OnDuplicate;
use crate::client::moment::Moment;
use crate::client::request::Job;
use crate::client::{Client, Request, RequestError};
use crate::store::queueing::{Enqueued, Scheduled};

/// The answer. A refused job's is exactly `{"enqueued":false,"refused_by":"QueueLock"}`.
#[derive(Debug, Default, Serialize)]
#[serde(default)]
struct Answer {
    enqueued: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
}

impl Answer {
    fn of(job: &Job, due: Option<i64>) -> Self {
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

/// Enqueues or delays.
///
/// # Errors
/// Requests that cannot be granted, duplicates, failures of the store.
pub async fn run(context: &Context, args: EnqueueArgs) -> Result<Exit, CliError> {
    if let Some(file) = &args.bulk {
        return many(context, &args, file).await;
    }
    let request = Request {
        task: args.task.clone().unwrap_or_default(),
        args: args.args.get(),
        queue: args.queue.clone(),
        foreign: args.foreign,
    };
    let client = checked(context, &request).await?;
    if args.at.is_none() && args.delay.is_none() {
        now(context, &client, &request, args.front).await
    } else {
        later(context, &client, &request, &args).await
    }
}

/// A client, if the request can be granted: what cannot be is told without asking the store.
async fn checked(context: &Context, request: &Request) -> Result<Client, CliError> {
    let tasks = context.tasks()?;
    context.resolve(request, &tasks).map_err(|error| match error {
        RequestError::UnknownTask { .. } => {
            CliError::Usage(format!("{error}; for a task that other workers know, say --foreign --queue Q"))
        }
        RequestError::QueueMissing { .. } => CliError::Usage(format!("{error}: say --queue Q")),
        other => CliError::Client(other.into()),
    })?;
    Ok(Client::new(context.store().await?, Arc::new(tasks.registry)))
}

async fn now(context: &Context, client: &Client, request: &Request, front: bool) -> Result<Exit, CliError> {
    let (job, enqueued) = client.enqueue(request, front).await?;
    let (task, queue) = (clean(job.task.as_str()), clean(job.queue.as_str()));
    match enqueued {
        Enqueued::Yes => context.output.tell(&Answer::of(&job, None), || format!("enqueued {task} on {queue}"))?,
        Enqueued::Refused { plugin } => {
            let answer = Answer { refused_by: Some(plugin), ..Answer::default() };
            context.output.tell(&answer, || format!("not enqueued: {plugin} of {task} refused"))?;
        }
    }
    Ok(Exit::Done)
}

async fn later(context: &Context, client: &Client, request: &Request, args: &EnqueueArgs) -> Result<Exit, CliError> {
    let duplicate = if args.suppress_duplicate { OnDuplicate::Suppress } else { OnDuplicate::Refuse };
    let (job, scheduled) = match (&args.at, args.delay) {
        (Some(at), _) => {
            if let Some(hint) = at.moment.hint(&at.text) {
                complain(&hint);
            }
            client.enqueue_at(request, at.moment, duplicate).await?
        }
        (None, delay) => client.enqueue_in(request, delay.unwrap_or(0), duplicate).await?,
    };
    let (task, queue) = (clean(job.task.as_str()), clean(job.queue.as_str()));
    match scheduled {
        Scheduled::At(second) => {
            let at = Moment::of_second(second);
            let text = || format!("enqueued {task} on {queue} at {} ({} ms)", at.rfc3339(), at.ms());
            context.output.tell(&Answer::of(&job, Some(second)), text)?;
        }
        Scheduled::Duplicate(second) => {
            let answer = Answer { enqueued: false, duplicate: Some(true), ..Answer::of(&job, Some(second)) };
            let at = Moment::of_second(second);
            let text = || format!("not enqueued: {task} is already due at {} ({} ms)", at.rfc3339(), at.ms());
            context.output.tell(&answer, text)?;
        }
    }
    Ok(Exit::Done)
}

#[derive(Debug, Default, Serialize)]
struct BulkAnswer {
    lines: usize,
    enqueued: usize,
    delayed: usize,
    refused: Vec<RefusedLine>,
    duplicates: Vec<DuplicateLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<UnknownLines>,
}

#[derive(Debug, Serialize)]
struct RefusedLine {
    line: usize,
    refused_by: &'static str,
}

#[derive(Debug, Serialize)]
struct DuplicateLine {
    line: usize,
    at: String,
    ms: i64,
}

/// Lines of which it is not known whether they were written. Later ones were not.
#[derive(Debug, Serialize)]
struct UnknownLines {
    from: usize,
    to: usize,
}

#[derive(Debug, Serialize)]
struct BadLines {
    error: String,
    lines: Vec<BadLineView>,
}

#[derive(Debug, Serialize)]
struct BadLineView {
    line: usize,
    problem: String,
}

async fn many(context: &Context, args: &EnqueueArgs, file: &Path) -> Result<Exit, CliError> {
    let text = read(context, file)?;
    let tasks = context.tasks()?;
    let jobs = match bulk::read(&text, args.foreign, &tasks.registry) {
        Ok(jobs) => jobs,
        Err(bad) => {
            context.complain_of(&tasks);
            return refuse(context, &bad);
        }
    };
    let client = Client::new(context.store().await?, Arc::new(tasks.registry));
    let report = client.enqueue_bulk(&jobs, args.front).await;
    let mut answer = BulkAnswer { lines: jobs.len(), ..BulkAnswer::default() };
    for (line, outcome) in report.outcomes {
        match outcome {
            LineOutcome::Enqueued => answer.enqueued += 1,
            LineOutcome::Delayed(_) => answer.delayed += 1,
            LineOutcome::Refused { plugin } => answer.refused.push(RefusedLine { line, refused_by: plugin }),
            LineOutcome::Duplicate(second) => {
                let at = Moment::of_second(second);
                answer.duplicates.push(DuplicateLine { line, at: at.rfc3339(), ms: at.ms() });
            }
        }
    }
    let mut exit = Exit::Done;
    if !answer.duplicates.is_empty() && !args.suppress_duplicate {
        exit = Exit::Failure;
    }
    if let Some((error, from, to)) = report.failure {
        answer.error = Some(format!("failed to {error}"));
        answer.unknown = Some(UnknownLines { from, to });
        let message = format!(
            "failed to {error}; of lines {from} to {to} it is not known whether they were enqueued, later ones were not"
        );
        complain(&message);
        exit = CliError::Interrupted { message, error }.exit();
    }
    context.output.tell(&answer, || bulk_text(&answer))?;
    Ok(exit)
}

fn read(context: &Context, file: &Path) -> Result<Vec<u8>, CliError> {
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut text).map(|_| text)
    } else {
        std::fs::read(context.path(file))
    };
    read.map_err(|error| CliError::Usage(format!("failed to read {}: {error}", file.display())))
}

fn refuse(context: &Context, bad: &[BadLine]) -> Result<Exit, CliError> {
    let number = u64::try_from(bad.len()).unwrap_or(u64::MAX);
    let error = format!("nothing was enqueued: {}", counted(number, "line is not right", "lines are not right"));
    for line in bad {
        complain(&clean(&line.to_string()));
    }
    complain(&error);
    let lines = bad.iter().map(|bad| BadLineView { line: bad.line, problem: bad.problem.to_string() }).collect();
    context.output.tell(&BadLines { error, lines }, String::new)?;
    Ok(Exit::Usage)
}

fn bulk_text(answer: &BulkAnswer) -> String {
    let mut text = format!("{} enqueued, {} delayed", answer.enqueued, answer.delayed);
    if !answer.refused.is_empty() {
        text += &format!(", {} refused", answer.refused.len());
    }
    if !answer.duplicates.is_empty() {
        text += &format!(", {} already enqueued at their time", answer.duplicates.len());
    }
    for refused in &answer.refused {
        text += &format!("\n  line {}: refused by {}", refused.line, refused.refused_by);
    }
    for duplicate in &answer.duplicates {
        text += &format!(
            "\n  line {}: Job already enqueued at this time with same arguments ({})",
            duplicate.line, duplicate.at
        );
    }
    text
}
