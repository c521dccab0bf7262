//! `delayed`: lists, finds and deletes delayed jobs.

use serde::Serialize;

use crate::admin::delayed::{self, DelayedView, TimeView};
use crate::admin::known::{expect_known, not_found};
use crate::cli::args::{DelayedVerb, NamedJobArgs};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, count_noun, warn};
use crate::cli::table::TextTable;
use crate::client::request::ResolvedJob;
use crate::client::{Request, RequestError};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::load::Tasks;

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
    match verb {
        DelayedVerb::List(list) => {
            if let Some(hint) = list.at.as_ref().and_then(|at| at.moment.hint(&at.text)) {
                warn(&hint);
            }
            let store = context.store().await?;
            let at = list.at.map(|at| at.moment);
            let page = delayed::list(&store, at, list.limit).await?;
            context.printer.print(&page, || {
                if page.jobs.is_empty() {
                    return Text::from(if at.is_some() { "no jobs are due then" } else { "no delayed jobs" });
                }
                let table = delayed_table(&page.jobs);
                let more = if page.more { "there are more: use --limit N" } else { "" };
                table.text().and(more)
            })?;
        }
        DelayedVerb::Timestamps { limit } => {
            let store = context.store().await?;
            let output = delayed::timestamps(&store, limit).await?;
            context.printer.print(&output, || {
                if output.timestamps.is_empty() {
                    return Text::from("no delayed jobs");
                }
                let mut table = TextTable::new(&["at", "#ms", "#jobs"]);
                for due in &output.timestamps {
                    table.row([&due.at, &due.ms.to_string(), &due.length.to_string()]);
                }
                table.text().and(if output.more { "there are more: use --limit N" } else { "" })
            })?;
        }
        DelayedVerb::Find(job) => {
            let (store, job, tasks) = resolve(context, job).await?;
            let times = delayed::find(&store, job.task.as_str(), job.queue.as_str(), &job.args).await?;
            if times.is_empty() {
                expect_known(&tasks.registry, job.task.as_str())?;
            }
            let output = FindOutput { times };
            context.printer.print(&output, || {
                if output.times.is_empty() {
                    return Text::from(format!("{} is not delayed with these arguments", job.task));
                }
                times_table(&output.times)
            })?;
        }
        DelayedVerb::Delete(job) => {
            let (store, job, tasks) = resolve(context, job).await?;
            let times = delayed::delete(&store, job.task.as_str(), job.queue.as_str(), &job.args).await?;
            if times.is_empty() {
                expect_known(&tasks.registry, job.task.as_str())?;
            }
            let output = DelayedDeleteOutput { deleted: times.len(), times };
            context.printer.report(&output, || {
                if output.times.is_empty() {
                    return Text::from(format!("{} is not delayed with these arguments", job.task));
                }
                let number = u64::try_from(output.deleted).unwrap_or(u64::MAX);
                Text::from(format!("deleted, due at {}", count_noun(number, "time", "times")))
                    .and(times_table(&output.times))
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Resolves the job. Its task may be unknown here if the queue is given.
async fn resolve(context: &CommandContext, job: NamedJobArgs) -> Result<(Store<Admin>, ResolvedJob, Tasks), CliError> {
    let tasks = context.tasks()?;
    let foreign = job.queue.is_some();
    let request = Request { args: job.args.get(), task: job.task, queue: job.queue, foreign };
    let job = context.resolve_as_written(&request, &tasks).map_err(|error| match error {
        RequestError::UnknownTask { task, .. } => CliError::Admin(not_found(&tasks.registry, &task)),
        other => CliError::Client(other.into()),
    })?;
    Ok((context.store().await?, job, tasks))
}

/// Delayed jobs, and what failed of those that wait for another attempt. Columns without content are left out.
fn delayed_table(jobs: &[DelayedView]) -> TextTable {
    if jobs.iter().all(|due| due.failed_attempts.is_none()) {
        let mut table = TextTable::new(&["at", "#ms", "queue", "class", "args"]);
        for due in jobs {
            let queue = due.job.queue.as_deref().unwrap_or("-");
            table.row([&due.at, &due.ms.to_string(), queue, due.job.class_text(), due.job.args_text()]);
        }
        return table;
    }
    let mut table = TextTable::new(&["at", "#ms", "queue", "class", "args", "#failed", "last error"]);
    for due in jobs {
        let queue = due.job.queue.as_deref().unwrap_or("-");
        let failed = due.failed_attempts.map(|count| count.to_string()).unwrap_or_default();
        let error = due.last_error.as_deref().unwrap_or_default();
        let (ms, class, args) = (due.ms.to_string(), due.job.class_text(), due.job.args_text());
        table.row([&due.at, &ms, queue, class, args, &failed, error]);
    }
    table
}

fn times_table(times: &[TimeView]) -> Text {
    let mut table = TextTable::new(&["at", "#ms"]);
    for time in times {
        table.row([&time.at, &time.ms.to_string()]);
    }
    table.text()
}
