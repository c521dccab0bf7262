//! `enqueue`: one job, now, at a time or once for a key.

use std::sync::Arc;

use super::complaints::warned;
use super::enqueue_many;
use super::unloaded::{warn_of_missing, warn_of_unloaded};
use super::waiting::{self, Shows};
use crate::admin::enqueued::EnqueueView;
use crate::admin::refusing_lock::{RefusingLock, refusing_locks};
use crate::admin::remedy::run_delayed;
use crate::cli::args::EnqueueArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, warn};
use crate::cli::sample::refused;
use crate::cli::traced::Traced;
use crate::cli::zones::SaidTime;
use crate::client::delay::OnDuplicate;
use crate::client::enqueue::EnqueueOutcome;
use crate::client::moment::Moment;
use crate::client::once::{OnceKey, OnceOutcome, When};
use crate::client::request::ResolvedJob;
use crate::client::{Client, Request, RequestError};
use crate::job::PayloadView;
use crate::plugin::chain::DELAY_QUEUE_LOCK;
use crate::store::handle::Store;
use crate::store::queueing::Scheduled;
use crate::store::role::Whole;
use crate::text::shell::command;

/// Enqueues or delays.
///
/// # Errors
/// Invalid requests, duplicates, failures of the store.
pub(crate) async fn run(context: &CommandContext, args: EnqueueArgs) -> Result<Exit, CliError> {
    if let Some(file) = &args.bulk {
        return enqueue_many::run(context, &args, file).await;
    }
    let request = Request {
        task: args.task.clone().unwrap_or_default(),
        args: input::arguments(context, &args.args)?,
        queue: args.queue.clone(),
        foreign: args.foreign,
    };
    let traced = Traced::begin(context)?;
    let (client, store) = checked(context, &request).await?;
    let client = traced.client(client);
    let exit = if let Some(key) = &args.once {
        once(context, (&client, &traced), &request, &args, key).await?
    } else if args.at.is_none() && args.delay.is_none() {
        now(context, (&client, &store, &traced), &request, &args).await?
    } else {
        later(context, (&client, &traced), &request, &args).await?
    };
    traced.tell().await;
    if !args.foreign {
        warn_of_unloaded(context, &store, [request.task.as_str()]).await;
    }
    Ok(exit)
}

/// A client, if the request is valid. An invalid request is reported before the store is opened.
async fn checked(context: &CommandContext, request: &Request) -> Result<(Client, Store<Whole>), CliError> {
    let tasks = context.tasks()?;
    context.resolve(request, &tasks).map_err(|error| match &error {
        RequestError::UnknownTask { task, .. } if !task.trim().is_empty() => CliError::Failed(format!(
            "{error}; list the tasks: windlass tasks; for a task that other workers know, say --foreign --queue Q"
        )),
        RequestError::QueueMissing { .. } => CliError::Usage(format!("{error}: say --queue Q")),
        _ => refused(error, request, &tasks.registry),
    })?;
    warn_of_missing(&tasks, |task| task.as_str() == request.task);
    let store: Store<Whole> = context.store_to_fill().await?;
    let client = Client::new(store.narrow(), Arc::new(tasks.registry)).with_plugins(context.plugins());
    Ok((client, store))
}

async fn now(
    context: &CommandContext,
    (client, store, traced): (&Client, &Store<Whole>, &Traced),
    request: &Request,
    args: &EnqueueArgs,
) -> Result<Exit, CliError> {
    let (job, placed, id) = if args.track || args.wait.is_some() {
        let (job, placed, id) = client.enqueue_tracked(request, args.front).await?;
        (job, placed, Some(id))
    } else {
        let (job, placed) = client.enqueue(request, args.front).await?;
        (job, placed, None)
    };
    traced.ended(job.task.as_str(), job.queue.as_str(), Some(&placed));
    if let (Some(limit), Some(id), EnqueueOutcome::Enqueued { complaints }) = (args.wait, &id, &placed) {
        warned(None, complaints);
        warn(&format!("enqueued {} on {} as {id}", job.task.as_str(), job.queue.as_str()));
        return waiting::wait(context, &store.narrow(), id, limit, Shows::Output).await;
    }
    tell_now(context, client, &job, placed, args, id.as_deref()).await
}

async fn tell_now(
    context: &CommandContext,
    client: &Client,
    job: &ResolvedJob,
    placed: EnqueueOutcome,
    args: &EnqueueArgs,
    id: Option<&str>,
) -> Result<Exit, CliError> {
    let (task, queue) = (job.task.as_str(), job.queue.as_str());
    match placed {
        EnqueueOutcome::Enqueued { complaints } => {
            // The job is there: an exit code other than 0 would only lead to a second one.
            warned(None, &complaints);
            let output = EnqueueView { id: id.map(str::to_owned), ..EnqueueView::now(job, &complaints) };
            context.printer.report(&output, || match id {
                Some(id) => {
                    let look = command("jobs result", &[id]);
                    format!("enqueued {task} on {queue} as {id}; what it leads to: {look}")
                }
                None => format!("enqueued {task} on {queue}"),
            })?;
        }
        EnqueueOutcome::Refused(refusal) => {
            let lock = refusing_locks(client, &[(job, &refusal)]).await.into_iter().next().flatten();
            let why = refusal.reason.as_deref().map(|reason| format!(": {}", reason)).unwrap_or_default();
            let text = format!("not enqueued: {} of {task} refused{why}", refusal.plugin);
            let output = EnqueueView::refused(refusal, lock);
            let is_delayed = output.refused_by.as_deref() == Some(DELAY_QUEUE_LOCK);
            let is_periodic = client.task(task).map(|task| task.cadence.is_some());
            let delayed = PayloadView::parse(&job.payload).ok().filter(|_| is_delayed);
            let delayed = delayed.map(|job| run_delayed(&job, is_periodic));
            context.printer.report(&output, || {
                let told = output.lock.iter().map(RefusingLock::text).chain(delayed.clone());
                told.fold(Text::from(text.clone()), Text::and)
            })?;
            return Ok(if args.fail_if_refused { Exit::Failure } else { Exit::Done });
        }
    }
    Ok(Exit::Done)
}

async fn later(
    context: &CommandContext,
    (client, traced): (&Client, &Traced),
    request: &Request,
    args: &EnqueueArgs,
) -> Result<Exit, CliError> {
    let duplicate = if args.suppress_duplicate { OnDuplicate::Suppress } else { OnDuplicate::Refuse };
    let said = args.at.as_ref().map(|at| at.said(args.zone)).transpose()?;
    said.iter().for_each(SaidTime::tell_if_past);
    let (job, scheduled) = match (&said, args.delay) {
        (Some(said), _) => client.enqueue_at(request, said.moment, duplicate).await?,
        (None, delay) => client.enqueue_in(request, delay.unwrap_or(0), duplicate).await?,
    };
    traced.ended(job.task.as_str(), job.queue.as_str(), None);
    tell_later(context, &job, scheduled, said)
}

fn tell_later(
    context: &CommandContext,
    job: &ResolvedJob,
    scheduled: Scheduled,
    said: Option<SaidTime>,
) -> Result<Exit, CliError> {
    let (task, queue) = (job.task.as_str(), job.queue.as_str());
    match scheduled {
        Scheduled::At(second) => {
            let at = Moment::of_second(second);
            // The second under which it is kept, which may be rounded.
            let said = said.map(|said| SaidTime { moment: at, ..said });
            let clocks = said.as_ref().map(SaidTime::on_clocks).unwrap_or_default();
            let text = || format!("enqueued {task} on {queue} at {} ({} ms){clocks}", at.rfc3339(), at.ms());
            let (zone, at_in_zone) = said.as_ref().and_then(SaidTime::in_zone).unzip();
            let output = EnqueueView { zone, at_in_zone, ..EnqueueView::later(job, scheduled) };
            context.printer.report(&output, text)?;
        }
        Scheduled::Duplicate(second) => {
            let output = EnqueueView::later(job, scheduled);
            let at = Moment::of_second(second);
            let text = || format!("not enqueued: {task} is already due at {} ({} ms)", at.rfc3339(), at.ms());
            context.printer.report(&output, text)?;
        }
        // Anyone who enqueues under a key is told what was done before.
        Scheduled::Marked => {}
    }
    Ok(Exit::Done)
}

/// Enqueues or delays under a key.
async fn once(
    context: &CommandContext,
    (client, traced): (&Client, &Traced),
    request: &Request,
    args: &EnqueueArgs,
    key: &OnceKey,
) -> Result<Exit, CliError> {
    let duplicate = if args.suppress_duplicate { OnDuplicate::Suppress } else { OnDuplicate::Refuse };
    let said = args.at.as_ref().map(|at| at.said(args.zone)).transpose()?;
    said.iter().for_each(SaidTime::tell_if_past);
    let when = match (&said, args.delay) {
        (Some(said), _) => When::At(said.moment),
        (None, Some(ms)) => When::In(ms),
        (None, None) => When::Now { front: args.front },
    };
    match client.enqueue_once(request, when, duplicate, key).await? {
        OnceOutcome::Now(job, placed) => {
            traced.ended(job.task.as_str(), job.queue.as_str(), Some(&placed));
            tell_now(context, client, &job, placed, args, None).await
        }
        OnceOutcome::Later(job, scheduled) => {
            traced.ended(job.task.as_str(), job.queue.as_str(), None);
            tell_later(context, &job, scheduled, said)
        }
        OnceOutcome::Before(done) => {
            let output = EnqueueView::before(done);
            let at = output.at.as_deref().map(|at| format!(", for {at}")).unwrap_or_default();
            let queue = output.queue.as_deref().unwrap_or_default();
            let text = format!("{} was enqueued on {queue} under this key before{at}; nothing was done", request.task);
            context.printer.report(&output, || text.clone())?;
            Ok(Exit::Done)
        }
    }
}
