//! `failed`: look at failed jobs, remove them, put them back on their queues.

use serde::Serialize;

use crate::admin::AdminError;
use crate::admin::failed::{self, FailedPage, FailedView, FoundFailure, RetryOutcome, SHOWN_ID};
use crate::admin::known::expect_known;
use crate::cli::args::FailedVerb;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, confirm, count_noun, short_date, warn};
use crate::cli::table::{FieldList, TextTable};
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::role::Admin;

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
    match verb {
        FailedVerb::List(list) => {
            let page = failed::list(&store, list.start, list.stop).await?;
            context.printer.print(&page, || list_text(&page))?;
        }
        FailedVerb::Count => {
            let count = CountOutput { count: failed::count(&store).await? };
            context.printer.print(&count, || count.count.to_string())?;
        }
        FailedVerb::Show { address } => {
            let view = failed::find(&store, &address).await?.view();
            context.printer.print(&view, || show_text(&view))?;
        }
        FailedVerb::Remove { address: Some(address), .. } => {
            let found = failed::find(&store, &address).await?;
            let removed = failed::remove(&store, &found).await?;
            let text = || if removed { format!("removed {}", title(&found)) } else { gone(&found.id) };
            context.printer.report(&RemoveOutput { removed: u64::from(removed) }, text)?;
            return Ok(if removed { Exit::Done } else { Exit::Failure });
        }
        FailedVerb::Remove { address: None, yes, .. } => {
            let count = failed::count(&store).await?;
            confirm(&format!("Remove {}?", count_noun(count, "failed job", "failed jobs")), yes)?;
            let removed = RemoveOutput { removed: failed::remove_all(&store).await? };
            context
                .printer
                .report(&removed, || format!("removed {}", count_noun(removed.removed, "failed job", "failed jobs")))?;
        }
        FailedVerb::RetryStuck => return retry_many(context, &store, RetrySelection::Stuck).await,
        FailedVerb::Retry { address, task, unknown, queue, .. } => {
            let name =
                |name: &str| QueueName::new(name).map_err(|error| AdminError::Name { text: name.to_owned(), error });
            let queue = queue.as_deref().map(name).transpose()?;
            return match address {
                Some(address) => retry_one(context, &store, &address, queue.as_ref()).await,
                None => {
                    let (task, queue) = (task.as_deref(), queue.as_ref());
                    retry_many(context, &store, RetrySelection::Some { task, unknown, queue }).await
                }
            };
        }
    }
    Ok(Exit::Done)
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
    let outcome = failed::retry(store, &tasks.registry, &context.plugins(), &found, queue).await?;
    if let RetryOutcome::NotRetriable { id, reason } = outcome {
        return Err(CliError::Admin(AdminError::NotRetriable { id, reason }));
    }
    complain_of_plugins(&outcome);
    context.printer.report(&outcome, || retry_text(&outcome))?;
    // As with an enqueue, a refusal is a result and not an error.
    Ok(if matches!(outcome, RetryOutcome::Gone { .. }) { Exit::Failure } else { Exit::Done })
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
    let each = |outcome| match outcome {
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
            failed::retry_all(store, &known.registry, &plugins, task, unknown, queue, each).await
        }
        RetrySelection::Stuck => failed::retry_stuck(store, &known.registry, &plugins, each).await,
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
    context.printer.report(&retries, || {
        let mut text = Text::from(format!("retried {}", count_noun(retries.retried, "job", "jobs")));
        for outcome in retries.refused.iter().chain(&retries.not_retriable) {
            text.push(retry_text(outcome));
        }
        text
    })?;
    Ok(if retries.not_retriable.is_empty() { Exit::Done } else { Exit::Failure })
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
        RetryOutcome::Refused { id, class: name, refused_by, reason } => {
            let reason = reason.as_deref().map(|reason| format!(": {}", reason)).unwrap_or_default();
            format!("{} {} stays: {} refused{reason}", short(id), class(name), refused_by)
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

fn short(id: &str) -> &str {
    id.get(..SHOWN_ID).unwrap_or(id)
}

fn list_text(page: &FailedPage) -> Text {
    if page.count == 0 {
        return Text::from("no failed jobs");
    }
    let mut table = TextTable::new(&["#pos", "id", "failed at", "queue", "class", "error"]);
    for view in &page.failed {
        let at = view.failed_at.as_deref().map(short_date).unwrap_or_default();
        let class = view.class.as_deref().unwrap_or("(no job)");
        let class = if view.retried_at.is_some() { format!("{class} (retried)") } else { class.to_owned() };
        let queue = view.queue.as_deref().unwrap_or("-");
        table.row([&view.position.to_string(), short(&view.id), &at, queue, &class, &error_text(view)]);
    }
    table.text().and(format!("{} in all", count_noun(page.count, "failed job", "failed jobs")))
}

/// The error in one line. The class is left out if it equals the message.
fn error_text(view: &FailedView) -> String {
    match (view.exception.as_deref(), view.error.as_deref()) {
        (Some(exception), Some(error)) if exception != error => format!("{exception}: {error}"),
        (_, Some(error)) => error.to_owned(),
        (Some(exception), None) => exception.to_owned(),
        (None, None) => view.problem.clone().unwrap_or_default(),
    }
}

fn show_text(view: &FailedView) -> Text {
    let mut fields = FieldList::default();
    fields
        .add("id", &view.id)
        .add("position", &view.position.to_string())
        .maybe("class", view.class.as_deref())
        .maybe("queue", view.queue.as_deref())
        .maybe("args", view.args.as_ref().map(|args| args.get()))
        .maybe("worker", view.worker.as_deref())
        .maybe("failed at", view.failed_at.as_deref())
        .maybe("retried at", view.retried_at.as_deref())
        .maybe("job id", view.job_id.as_deref())
        .maybe("attempt", view.attempt.map(|attempt| attempt.to_string()).as_deref())
        .maybe("exception", view.exception.as_deref())
        .maybe("error", view.error.as_deref())
        .maybe("problem", view.problem.as_deref())
        .maybe("raw", view.raw.as_deref());
    let mut text = fields.text();
    if !view.backtrace.is_empty() {
        text.push("backtrace:");
        for line in &view.backtrace {
            text.push(format!("  {line}"));
        }
    }
    text
}
