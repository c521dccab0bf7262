//! `delayed`: lists, finds and deletes delayed jobs.

use serde::Serialize;

use super::delayed_moves::{self, Change};
use crate::admin::delayed::{self, DelayedView, TimeView};
use crate::admin::delayed_moves::{self as delayed_jobs, DelayedSelection};
use crate::admin::known::not_found;
use crate::admin::queues::expect_job;
use crate::cli::args::verbs::DelayedSelectArgs;
use crate::cli::args::{DelayedVerb, NamedJobArgs};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::manner::Manner;
use crate::cli::output::Text;
use crate::cli::table::TextTable;
use crate::client::moment::Moment;
use crate::client::request::ResolvedJob;
use crate::client::{Request, RequestError};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::load::Tasks;
use crate::text::count::counted;

#[derive(Debug, Serialize)]
struct FindOutput {
    times: Vec<TimeView>,
}

#[derive(Debug, Serialize)]
struct DelayedDeleteOutput {
    deleted: usize,
    times: Vec<TimeView>,
}

/// Lists, finds or deletes.
///
/// # Errors
/// Invalid names, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: DelayedVerb) -> Result<Exit, CliError> {
    let manner = context.printer.manner();
    match verb {
        DelayedVerb::List(list) => {
            let at = list.at.map(|at| at.said(list.zone)).transpose()?.map(|said| said.moment);
            let store = context.store().await?;
            let page = delayed::list(&store, at, list.limit).await?;
            context.printer.print(&page, || {
                if page.jobs.is_empty() && !page.more {
                    return Text::from(if at.is_some() { "no jobs are due then" } else { "no delayed jobs" });
                }
                let table = delayed_table(&page.jobs, manner);
                let more = if page.more { "there are more: use --limit N" } else { "" };
                table.text(manner).and(more)
            })?;
        }
        DelayedVerb::Timestamps { limit } => {
            let store = context.store().await?;
            let output = delayed::timestamps(&store, limit).await?;
            context.printer.print(&output, || {
                if output.timestamps.is_empty() && !output.more {
                    return Text::from("no delayed jobs");
                }
                let mut table = TextTable::new(&["at", "#ms", "#jobs"]).uncut(&["at"]);
                for due in &output.timestamps {
                    table.row([
                        &manner.moment(due.ms, || due.at.clone()),
                        &due.ms.to_string(),
                        &due.length.to_string(),
                    ]);
                }
                in_short(table, manner).text(manner).and(if output.more { "there are more: use --limit N" } else { "" })
            })?;
        }
        DelayedVerb::Find(job) => {
            let any_args = job.any_args;
            let (store, job, tasks) = resolve(context, "delayed find", job).await?;
            let times = match any_args {
                true => {
                    let selection = selection(&job, any_args, None);
                    delayed_jobs::times(&store, &selection).await?
                }
                false => delayed::find(&store, job.task.as_str(), job.queue.as_str(), &job.args).await?,
            };
            if times.is_empty() {
                expect_job(&store, &tasks.registry, Some(job.task.as_str()), Some(job.queue.as_str())).await?;
            }
            let output = FindOutput { times };
            context.printer.print(&output, || {
                if output.times.is_empty() {
                    let with = if any_args { "" } else { " with these arguments" };
                    return Text::from(format!("{} is not delayed{with}", job.task));
                }
                times_table(&output.times, manner)
            })?;
        }
        DelayedVerb::Delete(DelayedSelectArgs { task: Some(task), args, any_args: false, queue, at: None, .. }) => {
            let named = NamedJobArgs { task, queue, args, any_args: false };
            let (store, job, tasks) = resolve(context, "delayed delete", named).await?;
            let times = delayed::delete(&store, job.task.as_str(), job.queue.as_str(), &job.args).await?;
            if times.is_empty() {
                expect_job(&store, &tasks.registry, Some(job.task.as_str()), Some(job.queue.as_str())).await?;
            }
            let output = DelayedDeleteOutput { deleted: times.len(), times };
            context.printer.report(&output, || {
                if output.times.is_empty() {
                    return Text::from(format!("{} is not delayed with these arguments", job.task));
                }
                let number = u64::try_from(output.deleted).unwrap_or(u64::MAX);
                Text::from(format!("deleted, due at {}", counted(number, "time", "times")))
                    .and(times_table(&output.times, manner))
            })?;
        }
        DelayedVerb::Delete(select) => return changed(context, select, Change::Delete).await,
        DelayedVerb::Run(select) => return changed(context, select, Change::Run).await,
        DelayedVerb::Move { select, to } => {
            let to = to.said(select.zone)?;
            to.tell_if_past();
            return changed(context, select, Change::Move(to)).await;
        }
    }
    Ok(Exit::Done)
}

/// Changes all jobs that match.
async fn changed(context: &CommandContext, select: DelayedSelectArgs, change: Change) -> Result<Exit, CliError> {
    let DelayedSelectArgs { task, all_of, args, any_args, queue, at, zone, yes } = select;
    let at = at.map(|at| at.said(zone)).transpose()?.map(|said| said.moment);
    let (store, selection, tasks) = match task {
        Some(task) => {
            let named = NamedJobArgs { task, queue, args, any_args };
            let (store, job, tasks) = resolve(context, change.verb(), named).await?;
            let selection = selection(&job, any_args, at);
            (store, selection, tasks)
        }
        None => {
            let args = input::arguments(context, &args)?;
            (context.store().await?, DelayedSelection::new(all_of, queue, args, at), context.tasks()?)
        }
    };
    delayed_moves::run(context, &store, &tasks, &selection, &change, yes).await
}

/// The delayed jobs of the task and queue of this one: those with its arguments, or with any.
fn selection(job: &ResolvedJob, any_args: bool, at: Option<Moment>) -> DelayedSelection {
    let args = (!any_args).then(|| job.args.clone());
    DelayedSelection::new(Some(job.task.to_string()), Some(job.queue.to_string()), args, at)
}

/// Resolves the job. Its task may be unknown here if the queue is given.
async fn resolve(
    context: &CommandContext,
    verb: &str,
    job: NamedJobArgs,
) -> Result<(Store<Admin>, ResolvedJob, Tasks), CliError> {
    let tasks = context.tasks()?;
    let foreign = job.queue.is_some();
    let args = input::naming(context, verb, &job.task, (&job.args, job.any_args))?;
    let request = Request { args, task: job.task, queue: job.queue, foreign };
    let job = context.resolve_as_written(&request, &tasks).map_err(|error| match error {
        RequestError::UnknownTask { task, .. } => CliError::no_task(not_found(&tasks.registry, &task)),
        other => CliError::Client(other.into()),
    })?;
    Ok((context.store().await?, job, tasks))
}

/// Delayed jobs, and what failed of those that wait for another attempt.
fn delayed_table(jobs: &[DelayedView], manner: Manner) -> TextTable {
    let mut table = TextTable::new(&["at", "#ms", "queue", "class", "args", "#failed", "last error", "put off"])
        .uncut(&["at"])
        .falling_away(&["queue", "put off", "last error", "failed", "args"]);
    for due in jobs {
        let queue = due.job.queue.as_deref().unwrap_or("-");
        let failed = due.failed_attempts.map(|count| count.to_string()).unwrap_or_default();
        let error = due.last_error.as_deref().unwrap_or_default();
        let (ms, class, args) = (due.ms.to_string(), due.job.class_text(), due.job.args_text());
        let at = manner.moment(due.ms, || due.at.clone());
        table.row([&at, &ms, queue, class, args, &failed, error, &put_off_text(due)]);
    }
    let some_failed = jobs.iter().any(|due| due.failed_attempts.is_some());
    let put_off = jobs.iter().any(|due| due.redelivered.is_some() || due.later.is_some());
    let table = in_short(table, manner);
    table.column_if("failed", some_failed).column_if("last error", some_failed).column_if("put off", put_off)
}

/// How often a job was put off, and why.
fn put_off_text(due: &DelayedView) -> String {
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let cut_off = due.redelivered.map(|count| format!("cut off {}", times(count)));
    let later = due.later.map(|count| format!("said later {}", times(count)));
    [cut_off, later].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn times_table(times: &[TimeView], manner: Manner) -> Text {
    let mut table = TextTable::new(&["at", "#ms"]).uncut(&["at"]);
    for time in times {
        table.row([&manner.moment(time.ms, || time.at.clone()), &time.ms.to_string()]);
    }
    in_short(table, manner).text(manner)
}

/// Without the milliseconds on a terminal: they say the same as the time, to programs.
fn in_short(table: TextTable, manner: Manner) -> TextTable {
    table.column_if("ms", manner.terminal.is_none() || manner.wide)
}
