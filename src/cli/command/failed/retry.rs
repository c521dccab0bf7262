//! `failed retry`.

use std::sync::Arc;

use serde::Serialize;

use super::many;
use super::{CountOutput, filter_of};
use crate::admin::AdminError;
use crate::admin::brake::Brake;
use crate::admin::failed::{self, FoundFailure};
use crate::admin::failed_mend::Mend;
use crate::admin::failed_retry::{self, RetryOutcome, RetrySelection};
use crate::admin::failed_search::{self, FailedFilter};
use crate::admin::known::expect_known;
use crate::cli::args::failed::{FailedBulkArgs, FailedFilterArgs, FailedRetryArgs};
use crate::cli::command::failed_text::{gone, short};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, warn};
use crate::cli::progress::Progress;
use crate::job::QueueName;
use crate::plugin::registry::Plugins;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;
use crate::text::count::counted;

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

/// `failed retry`.
///
/// # Errors
/// Jobs that do not exist or cannot be retried, arguments that their tasks do not take, failures of the store.
pub(super) async fn run(
    context: &CommandContext,
    store: &Store<Admin>,
    args: FailedRetryArgs,
) -> Result<Exit, CliError> {
    let FailedRetryArgs { addresses, filter, task, unknown, queue, args, bulk, .. } = args;
    let name = |name: &str| QueueName::new(name).map_err(|error| AdminError::Name { text: name.to_owned(), error });
    let queue = queue.as_deref().map(name).transpose()?;
    let new_args = input::arguments(context, &args)?;
    if new_args.is_some() && addresses.len() != 1 {
        let message = "new arguments go to one job: name it by its id (windlass failed)".to_owned();
        return Err(CliError::Usage(message));
    }
    match &addresses[..] {
        [address] => one(context, store, address, Mend { args: new_args, queue }).await,
        [] => {
            let filter = filter_of(FailedFilterArgs { filter, task: task.clone(), ..FailedFilterArgs::default() })?;
            let selection = RetrySelection { filter: &filter, unknown, queue: queue.as_ref() };
            if !agreed(context, store, selection, &bulk).await? {
                return Ok(Exit::Done);
            }
            many(context, store, Selection::Some(selection, task.as_deref())).await
        }
        several => many(context, store, Selection::Named(several, queue)).await,
    }
}

/// Counts what matches, and asks. False: only that was to be told.
async fn agreed(
    context: &CommandContext,
    store: &Store<Admin>,
    selection: RetrySelection<'_>,
    bulk: &FailedBulkArgs,
) -> Result<bool, CliError> {
    let mut progress = Progress::new("failed jobs match");
    let filter = FailedFilter { unknown: selection.unknown, ..selection.filter.clone() };
    let count = failed_search::count(store, &filter, &Brake::default(), |found| progress.at(found)).await?;
    if let (0, Some(task)) = (count, &filter.task) {
        expect_known(&context.tasks()?.registry, task)?;
    }
    if many::agreed("Retry", count, bulk)? {
        return Ok(true);
    }
    let found = CountOutput { count };
    context.printer.print(&found, || format!("{} would be retried", counted(count, "failed job", "failed jobs")))?;
    Ok(false)
}

/// `failed retry-stuck`.
///
/// # Errors
/// Failures of the store.
pub(super) async fn stuck(context: &CommandContext, store: &Store<Admin>) -> Result<Exit, CliError> {
    many(context, store, Selection::Stuck).await
}

async fn one(context: &CommandContext, store: &Store<Admin>, address: &str, mend: Mend) -> Result<Exit, CliError> {
    let tasks = context.tasks()?;
    // A plugin of an invalid task would not be called.
    context.warn_of_problems(&tasks);
    let found = failed::find(store, address).await?;
    let mend = mend.checked(&tasks.registry, &found)?;
    let outcome = failed_retry::retry_mended(store, &tasks.registry, &context.plugins(), &found, &mend).await?;
    if let RetryOutcome::NotRetriable { id, reason } = outcome {
        return Err(CliError::Admin(AdminError::NotRetriable { id, reason }));
    }
    complain_of_plugins(&outcome);
    context.printer.report(&outcome, || retry_text(&outcome))?;
    Ok(if matches!(outcome, RetryOutcome::Retried { .. }) { Exit::Done } else { Exit::Failure })
}

/// Which failed jobs are retried.
enum Selection<'a> {
    /// All that are selected, and the name of a task that may not exist.
    Some(RetrySelection<'a>, Option<&'a str>),
    /// Those that are named, and where they go.
    Named(&'a [String], Option<QueueName>),
    /// Those whose workers vanished.
    Stuck,
}

async fn many(context: &CommandContext, store: &Store<Admin>, selection: Selection<'_>) -> Result<Exit, CliError> {
    let known = context.tasks()?;
    // A plugin of an invalid task would not be called.
    context.warn_of_problems(&known);
    let (mut retries, mut progress) = (RetryOutput::default(), Progress::new("failed jobs were retried"));
    let mut each = |outcome| match outcome {
        RetryOutcome::Retried { .. } => {
            complain_of_plugins(&outcome);
            retries.retried += 1;
            progress.at(retries.retried);
        }
        RetryOutcome::Refused { .. } => retries.refused.push(outcome),
        RetryOutcome::NotRetriable { .. } => retries.not_retriable.push(outcome),
        RetryOutcome::Gone { .. } => retries.gone += 1,
    };
    let (plugins, brake) = (context.plugins(), many::stopped_by_signal()?);
    let ended = match &selection {
        Selection::Some(selection, _) => {
            failed_retry::retry_all(store, &known.registry, &plugins, *selection, &brake, each).await
        }
        Selection::Named(addresses, queue) => {
            // All are found before the first is retried, because positions move.
            let found = failed::find_each(store, addresses).await?;
            let mend = Mend { args: None, queue: queue.clone() };
            retry_each(store, &known.registry, &plugins, &found, &mend, &brake, &mut each).await
        }
        Selection::Stuck => failed_retry::retry_stuck(store, &known.registry, &plugins, &brake, each).await,
    };
    if let Err(AdminError::Store(error)) = ended {
        let retried = counted(retries.retried, "job was", "jobs were");
        let message = format!("failed to {error}; {retried} retried until then");
        return Err(CliError::Interrupted { message, error });
    }
    ended?;
    if let Selection::Some(_, Some(task)) = selection
        && retries.is_empty()
    {
        expect_known(&known.registry, task)?;
    }
    // Of those that were named each is meant.
    let missing = if matches!(selection, Selection::Named(..)) { retries.gone } else { 0 };
    context.printer.report(&retries, || {
        let mut text = Text::from(format!("retried {}", counted(retries.retried, "job", "jobs")));
        for outcome in retries.refused.iter().chain(&retries.not_retriable) {
            text.push(retry_text(outcome));
        }
        if missing > 0 {
            let jobs = counted(missing, "job was", "jobs were");
            text.push(format!("{jobs} not on the list any more: retried or removed meanwhile, or named twice"));
        }
        text
    })?;
    many::unless_stopped(&brake, retries.retried, "retried")?;
    let all = retries.not_retriable.is_empty() && retries.refused.is_empty() && missing == 0;
    Ok(if all { Exit::Done } else { Exit::Failure })
}

/// Retries these one by one, because plugins may refuse each.
async fn retry_each(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Arc<Plugins>,
    found: &[FoundFailure],
    mend: &Mend,
    brake: &Brake,
    mut each: impl FnMut(RetryOutcome),
) -> Result<(), AdminError> {
    for one in found {
        if brake.is_pulled() {
            break;
        }
        each(failed_retry::retry_mended(store, registry, plugins, one, mend).await?);
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
