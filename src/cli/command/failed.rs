//! `failed`: look at failed jobs, remove them, put them back on their queues.

mod groups_text;
mod import;
mod many;
mod retry;

use serde::Serialize;

use self::groups_text::groups_text;
use super::failed_text::{gone, list_text, show_text, title};
use crate::admin::AdminError;
use crate::admin::brake::Brake;
use crate::admin::failed::{self, FoundFailure};
use crate::admin::failed_export;
use crate::admin::failed_groups;
use crate::admin::failed_search::{self, FailedFilter};
use crate::admin::queues;
use crate::cli::args::failed::{FailedBulkArgs, FailedFilterArgs, FailedGroupsArgs};
use crate::cli::args::{FailedListArgs, FailedVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Text;
use crate::cli::progress::Progress;
use crate::cli::value::Since;
use crate::clock::{Clock as _, SystemClock};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::count::counted;

/// How many failed jobs `failed list --group` looks at.
const GROUPED: u64 = 100_000;

#[derive(Debug, Serialize)]
struct CountOutput {
    count: u64,
}

#[derive(Debug, Serialize)]
struct RemoveOutput {
    removed: u64,
}

/// Lists, counts, shows, removes or retries.
///
/// # Errors
/// Jobs that do not exist or cannot be retried, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: FailedVerb) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let manner = context.printer.manner();
    match verb {
        FailedVerb::List(FailedListArgs { group: true, filter, limit, .. }) => {
            list_groups(context, &store, FailedGroupsArgs { filter, scan: GROUPED, limit }).await?;
        }
        FailedVerb::Groups(args) => list_groups(context, &store, args).await?,
        FailedVerb::List(FailedListArgs { start: None, stop: None, filter, limit, .. }) => {
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
        FailedVerb::Count { filter } => {
            let filter = filter_of(filter)?;
            let mut progress = Progress::new("failed jobs match");
            let count = if filter.is_empty() {
                failed::count(&store).await?
            } else {
                failed_search::count(&store, &filter, &Brake::default(), |found| progress.at(found)).await?
            };
            if count == 0 {
                expect_something(context, &store, &filter).await?;
            }
            context.printer.print(&CountOutput { count }, || count.to_string())?;
        }
        FailedVerb::Show { address } => {
            let view = failed::find(&store, &address).await?.view();
            context.printer.print(&view, || show_text(&view, manner))?;
        }
        FailedVerb::Export { filter } => {
            let (filter, mut written, mut any) = (filter_of(filter)?, Ok(()), false);
            failed_export::export_whole(&store, &filter, async |views| {
                any |= !views.is_empty();
                match context.printer.lines(&views) {
                    Ok(goes_on) => goes_on,
                    Err(error) => {
                        written = Err(error);
                        false
                    }
                }
            })
            .await?;
            written?;
            if !any {
                expect_something(context, &store, &filter).await?;
            }
        }
        FailedVerb::Import { file } => return import::run(context, &file).await,
        FailedVerb::Remove { addresses, all: false, filter, .. } if filter_is_empty(&filter) => {
            return remove_some(context, &store, &addresses).await;
        }
        FailedVerb::Remove { all: false, filter, bulk, addresses } => {
            if !addresses.is_empty() {
                return Err(CliError::Usage("give ids, or what the jobs match, and not both".to_owned()));
            }
            remove_matching(context, &store, filter_of(filter)?, &bulk).await?;
        }
        FailedVerb::Remove { all: true, bulk, .. } => {
            let count = failed::count(&store).await?;
            if !many::agreed("Remove", count, &bulk)? {
                would_remove(context, count)?;
                return Ok(Exit::Done);
            }
            let removed = RemoveOutput { removed: failed::remove_all(&store).await? };
            context
                .printer
                .report(&removed, || format!("removed {}", counted(removed.removed, "failed job", "failed jobs")))?;
        }
        FailedVerb::RetryStuck => return retry::stuck(context, &store).await,
        FailedVerb::Retry(args) => return retry::run(context, &store, args).await,
    }
    Ok(Exit::Done)
}

fn would_remove(context: &CommandContext, count: u64) -> Result<(), CliError> {
    let told = || format!("{} would be removed", counted(count, "failed job", "failed jobs"));
    Ok(context.printer.print(&CountOutput { count }, told)?)
}

async fn list_groups(context: &CommandContext, store: &Store<Admin>, args: FailedGroupsArgs) -> Result<(), CliError> {
    let filter = filter_of(args.filter)?;
    let mut progress = Progress::new("failed jobs were looked at");
    let looked = |seen| progress.at(seen);
    let groups = failed_groups::groups(store, filter.clone(), args.scan, args.limit, None, looked).await?;
    if groups.groups.is_empty() && groups.complete {
        expect_something(context, store, &filter).await?;
    }
    Ok(context.printer.print(&groups, || groups_text(&groups, context.printer.manner()))?)
}

async fn remove_matching(
    context: &CommandContext,
    store: &Store<Admin>,
    filter: FailedFilter,
    bulk: &FailedBulkArgs,
) -> Result<(), CliError> {
    let mut progress = Progress::new("failed jobs match");
    let count = failed_search::count(store, &filter, &Brake::default(), |found| progress.at(found)).await?;
    if count == 0 {
        expect_something(context, store, &filter).await?;
    }
    if !many::agreed("Remove", count, bulk)? {
        return would_remove(context, count);
    }
    let (mut progress, mut so_far) = (Progress::new("failed jobs were removed"), 0);
    let brake = many::stopped_by_signal()?;
    let removed = failed_search::remove(store, &filter, &brake, |removed| {
        so_far = removed;
        progress.at(removed);
    })
    .await;
    if let Err(AdminError::Store(error)) = removed {
        let removed = counted(so_far, "job was", "jobs were");
        let message = format!("failed to {error}; {removed} removed until then");
        return Err(CliError::Interrupted { message, error });
    }
    let removed = RemoveOutput { removed: removed? };
    context
        .printer
        .report(&removed, || format!("removed {}", counted(removed.removed, "failed job", "failed jobs")))?;
    many::unless_stopped(&brake, removed.removed, "removed")
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
    Ok(FailedFilter { task, queue, error, since_ms, unknown: false, also: filter.unwrap_or_default() })
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
