//! `failed`: look at failed jobs, remove them, put them back on their queues.

use std::sync::Arc;

use serde::Serialize;

use super::failed_text::{list_text, short, show_text};
use crate::admin::AdminError;
use crate::admin::failed::{self, FoundFailure};
use crate::admin::failed_retry::{self, RetryOutcome};
use crate::admin::failed_search::{self, FailedFilter};
use crate::admin::known::expect_known;
use crate::admin::queues;
use crate::cli::args::verbs::FailedFilterArgs;
use crate::cli::args::{FailedListArgs, FailedVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, confirm, count_noun, warn};
use crate::cli::progress::Progress;
use crate::cli::value::Since;
use crate::clock::{Clock as _, SystemClock};
use crate::job::QueueName;
use crate::plugin::registry::Plugins;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;

#[derive(Debug, Serialize)]
struct CountOutput {
    count: u64,
}

#[derive(Debug, Serialize)]
struct RemoveOutput {
    removed: u64,
}

#[derive(Debug, Default, Serialize)]
struct RetryOutput {
    retried: u64,
    refused: Vec<RetryOutcome>,
    not_retriable: Vec<RetryOutcome>,
    gone: u64,
}

impl RetryOutput {
    /// Was no failed job meant?
    fn is_empty(&self) -> bool {
        self.retried == 0 && self.gone == 0 && self.refused.is_empty() && self.not_retriable.is_empty()
    }
}

/// Lists, counts, shows, removes or retries.
///
/// # Errors
/// Jobs that do not exist or cannot be retried, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: FailedVerb) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let manner = context.printer.manner();
    match verb {
        FailedVerb::List(FailedListArgs { start: None, stop: None, filter, limit }) => {
            let filter = filter_of(filter)?;
            let mut progress = Progress::new("failed jobs were looked at");
            let page = failed_search::newest(&store, &filter, limit, |seen| progress.at(seen)).await?;
            if page.failed.is_empty() && page.more != Some(true) {
                expect_something(context, &store, &filter).await?;
            }
            context.printer.print(&page, || list_text(&page, !filter.is_empty(), manner))?;
        }
        FailedVerb::List(list) => {
            let page = failed::list(&store, list.start.unwrap_or(0), list.stop.unwrap_or(99)).await?;
            context.printer.print(&page, || list_text(&page, false, manner))?;
        }
        FailedVerb::Count => {
            let count = CountOutput { count: failed::count(&store).await? };
            context.printer.print(&count, || count.count.to_string())?;
        }
        FailedVerb::Show { address } => {
            let view = failed::find(&store, &address).await?.view();
            context.printer.print(&view, || show_text(&view, manner))?;
        }
        FailedVerb::Remove { addresses, all: false, filter, .. } if filter_is_empty(&filter) => {
            return remove_some(context, &store, &addresses).await;
        }
        FailedVerb::Remove { all: false, filter, yes, addresses } => {
            if !addresses.is_empty() {
                return Err(CliError::Usage("give ids, or what the jobs match, and not both".to_owned()));
            }
            let filter = filter_of(filter)?;
            let mut progress = Progress::new("failed jobs match");
            let count = failed_search::count(&store, &filter, |found| progress.at(found)).await?;
            if count == 0 {
                expect_something(context, &store, &filter).await?;
            } else {
                confirm(&format!("Remove {}?", count_noun(count, "failed job", "failed jobs")), yes)?;
            }
            let (mut progress, mut so_far) = (Progress::new("failed jobs were removed"), 0);
            let removed = failed_search::remove(&store, &filter, |removed| {
                so_far = removed;
                progress.at(removed);
            })
            .await;
            if let Err(AdminError::Store(error)) = removed {
                let removed = count_noun(so_far, "job was", "jobs were");
                let message = format!("failed to {error}; {removed} removed until then");
                return Err(CliError::Interrupted { message, error });
            }
            let removed = RemoveOutput { removed: removed? };
            context
                .printer
                .report(&removed, || format!("removed {}", count_noun(removed.removed, "failed job", "failed jobs")))?;
        }
        FailedVerb::Remove { all: true, yes, .. } => {
            let count = failed::count(&store).await?;
            confirm(&format!("Remove {}?", count_noun(count, "failed job", "failed jobs")), yes)?;
            let removed = RemoveOutput { removed: failed::remove_all(&store).await? };
            context
                .printer
                .report(&removed, || format!("removed {}", count_noun(removed.removed, "failed job", "failed jobs")))?;
        }
        FailedVerb::RetryStuck => return retry_many(context, &store, RetrySelection::Stuck).await,
        FailedVerb::Retry { addresses, task, unknown, queue, .. } => {
            let name =
                |name: &str| QueueName::new(name).map_err(|error| AdminError::Name { text: name.to_owned(), error });
            let queue = queue.as_deref().map(name).transpose()?;
            return match &addresses[..] {
                [address] => retry_one(context, &store, address, queue.as_ref()).await,
                [] => {
                    let (task, queue) = (task.as_deref(), queue.as_ref());
                    retry_many(context, &store, RetrySelection::Some { task, unknown, queue }).await
                }
                several => retry_many(context, &store, RetrySelection::Named(several, queue.as_ref())).await,
            };
        }
    }
    Ok(Exit::Done)
}

fn filter_is_empty(filter: &FailedFilterArgs) -> bool {
    let FailedFilterArgs { filter, task, queue, error, since } = filter;
    filter.is_none() && task.is_none() && queue.is_none() && error.is_none() && since.is_none()
}

fn filter_of(filter: FailedFilterArgs) -> Result<FailedFilter, CliError> {
    let FailedFilterArgs { filter, task, queue, error, since } = filter;
    let since_ms = match since {
        Some(Since::Ago(ago)) => Some(SystemClock.now_ms().saturating_sub(ago)),
        Some(Since::Time(time)) => Some(time.said(None)?.moment.ms()),
        None => None,
    };
    Ok(FailedFilter { task, queue, error, since_ms, also: filter.unwrap_or_default() })
}

/// A filter that matches nothing may name what does not exist.
async fn expect_something(
    context: &CommandContext,
    store: &Store<Admin>,
    filter: &FailedFilter,
) -> Result<(), CliError> {
    let tasks = context.tasks()?;
    Ok(queues::expect_job(store, &tasks.registry, filter.task.as_deref(), filter.queue.as_deref()).await?)
}

/// Removes those that these ids or positions name. All are found before the first is removed, because positions move.
async fn remove_some(context: &CommandContext, store: &Store<Admin>, addresses: &[String]) -> Result<Exit, CliError> {
    let found = failed::find_each(store, addresses).await?;
    let (removed, missing) = failed_search::remove_each(store, &found).await?;
    context.printer.report(&RemoveOutput { removed }, || {
        let is_gone = |one: &FoundFailure| missing.iter().any(|other| std::ptr::eq(*other, one));
        let told = |one: &FoundFailure| {
            if is_gone(one) { gone(&one.id) } else { format!("removed {}", title(one)) }
        };
        found.iter().map(told).fold(Text::default(), Text::and)
    })?;
    Ok(if missing.is_empty() { Exit::Done } else { Exit::Failure })
}

async fn retry_one(
    context: &CommandContext,
    store: &Store<Admin>,
    address: &str,
    queue: Option<&QueueName>,
) -> Result<Exit, CliError> {
    let tasks = context.tasks()?;
    // A plugin of an invalid task would not be called.
    context.warn_of_problems(&tasks);
    let found = failed::find(store, address).await?;
    let outcome = failed_retry::retry(store, &tasks.registry, &context.plugins(), &found, queue).await?;
    if let RetryOutcome::NotRetriable { id, reason } = outcome {
        return Err(CliError::Admin(AdminError::NotRetriable { id, reason }));
    }
    complain_of_plugins(&outcome);
    context.printer.report(&outcome, || retry_text(&outcome))?;
    Ok(if matches!(outcome, RetryOutcome::Retried { .. }) { Exit::Done } else { Exit::Failure })
}

/// Which failed jobs are retried.
#[derive(Clone, Copy)]
enum RetrySelection<'a> {
    /// All, or all of a task, or of unknown classes.
    Some {
        /// Of this task.
        task: Option<&'a str>,
        /// Those that failed because no task had their name.
        unknown: bool,
        /// The queue of jobs that name none.
        queue: Option<&'a QueueName>,
    },
    /// Those that are named, and the queue of jobs that name none.
    Named(&'a [String], Option<&'a QueueName>),
    /// Those whose workers vanished.
    Stuck,
}

async fn retry_many(
    context: &CommandContext,
    store: &Store<Admin>,
    selection: RetrySelection<'_>,
) -> Result<Exit, CliError> {
    let known = context.tasks()?;
    // A plugin of an invalid task would not be called.
    context.warn_of_problems(&known);
    let mut retries = RetryOutput::default();
    let mut each = |outcome| match outcome {
        RetryOutcome::Retried { .. } => {
            complain_of_plugins(&outcome);
            retries.retried += 1;
        }
        RetryOutcome::Refused { .. } => retries.refused.push(outcome),
        RetryOutcome::NotRetriable { .. } => retries.not_retriable.push(outcome),
        RetryOutcome::Gone { .. } => retries.gone += 1,
    };
    let plugins = context.plugins();
    let ended = match selection {
        RetrySelection::Some { task, unknown, queue } => {
            failed_retry::retry_all(store, &known.registry, &plugins, task, unknown, queue, each).await
        }
        RetrySelection::Named(addresses, queue) => {
            // All are found before the first is retried, because positions move.
            let found = failed::find_each(store, addresses).await?;
            retry_each(store, &known.registry, &plugins, &found, queue, &mut each).await
        }
        RetrySelection::Stuck => failed_retry::retry_stuck(store, &known.registry, &plugins, each).await,
    };
    if let Err(AdminError::Store(error)) = ended {
        let retried = count_noun(retries.retried, "job was", "jobs were");
        let message = format!("failed to {error}; {retried} retried until then");
        return Err(CliError::Interrupted { message, error });
    }
    ended?;
    if let RetrySelection::Some { task: Some(task), .. } = selection
        && retries.is_empty()
    {
        expect_known(&known.registry, task)?;
    }
    // Of those that were named each is meant.
    let missing = if matches!(selection, RetrySelection::Named(..)) { retries.gone } else { 0 };
    context.printer.report(&retries, || {
        let mut text = Text::from(format!("retried {}", count_noun(retries.retried, "job", "jobs")));
        for outcome in retries.refused.iter().chain(&retries.not_retriable) {
            text.push(retry_text(outcome));
        }
        if missing > 0 {
            let jobs = count_noun(missing, "job was", "jobs were");
            text.push(format!("{jobs} not on the list any more: retried or removed meanwhile, or named twice"));
        }
        text
    })?;
    let all = retries.not_retriable.is_empty() && retries.refused.is_empty() && missing == 0;
    Ok(if all { Exit::Done } else { Exit::Failure })
}

/// Retries these one by one, because plugins may refuse each.
async fn retry_each(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Arc<Plugins>,
    found: &[FoundFailure],
    queue: Option<&QueueName>,
    mut each: impl FnMut(RetryOutcome),
) -> Result<(), AdminError> {
    for one in found {
        each(failed_retry::retry(store, registry, plugins, one, queue).await?);
    }
    Ok(())
}

/// Warns of plugins that failed after the job was enqueued.
fn complain_of_plugins(outcome: &RetryOutcome) {
    if let RetryOutcome::Retried { id, after_enqueue_errors, .. } = outcome {
        for error in after_enqueue_errors {
            warn(&format!("{} is on its queue, but {}", short(id), error));
        }
    }
}

fn retry_text(outcome: &RetryOutcome) -> String {
    let class = |class: &Option<String>| class.clone().unwrap_or_else(|| "(no job)".to_owned());
    match outcome {
        RetryOutcome::Retried { id, class: name, queue, .. } => {
            format!("retried {} {} on {}", short(id), class(name), queue)
        }
        RetryOutcome::Refused { id, class: name, refused_by, reason, remedy } => {
            let reason = reason.as_deref().map(|reason| format!(": {}", reason)).unwrap_or_default();
            format!("{} {} stays: {} refused{reason}; {remedy}", short(id), class(name), refused_by)
        }
        RetryOutcome::NotRetriable { id, reason } => format!("{} stays: {}", short(id), reason),
        RetryOutcome::Gone { id } => gone(id),
    }
}

fn gone(id: &str) -> String {
    format!("{} is not in the failed list any more: it was removed or retried in the meantime", short(id))
}

fn title(found: &FoundFailure) -> String {
    let view = found.view();
    format!("{} {}", short(&view.id), view.class.as_deref().unwrap_or("(no job)"))
}
