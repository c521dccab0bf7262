//! `queues` and `jobs`: lengths, jobs, deletion, pauses.

use std::os::unix::ffi::OsStrExt as _;

use crate::admin::AdminError;
use crate::admin::jobs as queued_jobs;
use crate::admin::known::not_found;
use crate::admin::queue_rename;
use crate::admin::queues::{self, QueuePause, QueueView};
use crate::cli::args::{JobsDeleteArgs, LISTED, NamedJobArgs, QueuesVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, Tone, confirm};
use crate::cli::progress::Progress;
use crate::cli::table::TextTable;
use crate::cli::told;
use crate::client::{Request, RequestError};
use crate::curve::Age;
use crate::text::clean::named;
use crate::text::count::counted;
use crate::text::shell::command;

/// Lists, shows, pauses or deletes.
///
/// # Errors
/// Queues that do not exist, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<QueuesVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let manner = context.printer.manner();
    match verb.unwrap_or(QueuesVerb::List { limit: LISTED }) {
        QueuesVerb::List { limit } => {
            let output = queues::list(&store, limit).await?;
            let more = more_queues(output.more, output.sampled_of);
            context.printer.print(&output, || {
                let mut text = Text::default();
                output.held_back().lines().into_iter().for_each(|line| text.push(line));
                output.unnamed.iter().for_each(|line| text.push(line));
                if let Some(aside) = &output.set_aside {
                    text.push(&aside.text);
                }
                // Anyone who compares must know of when the ages are.
                let waits = output.queues.iter().any(|queue| queue.wait.oldest_ms.is_some());
                if let Some(ago_ms) = output.sampled_ago_ms.filter(|ago_ms| waits && *ago_ms >= 3_000) {
                    text.push(format!("how long jobs wait is of {} ago", in_seconds(ago_ms)));
                }
                if output.queues.is_empty() && !output.more {
                    return text.and("no queues: nothing was enqueued yet");
                }
                text.and(queue_table(&output.queues).text(manner)).and(more.as_str())
            })?;
        }
        QueuesVerb::Show { queue, start, stop } => {
            let page = queues::show(&store, &queue, start, stop).await?;
            context.printer.print(&page, || {
                let text = Text::from(format!("{}: {}", named(&page.queue), counted(page.length, "job", "jobs")));
                if page.jobs.is_empty() {
                    return text;
                }
                let mut table = TextTable::new(&["class", "args"]);
                for job in &page.jobs {
                    table.row([job.class_text(), job.args_text()]);
                }
                text.and(table.text(manner))
            })?;
        }
        QueuesVerb::Pause { queue, all: _, new } => {
            if let Some(queue) = queue.as_deref().filter(|_| !new) {
                // A name that is mistyped would pause nothing, and the jobs that are meant would go on.
                queues::expect_job(&store, &context.tasks()?.registry, None, Some(queue)).await.map_err(|error| {
                    match error {
                        AdminError::NotFound { .. } => CliError::NoQueue(error),
                        other => other.into(),
                    }
                })?;
            }
            let paused = queues::pause(&store, queue.as_deref(), true).await?;
            context.printer.report(&paused, || told(&paused))?;
        }
        QueuesVerb::Resume { queue, all: _ } => {
            if let Some(queue) = &queue {
                queues::expect_job(&store, &context.tasks()?.registry, None, Some(queue)).await?;
            }
            let resumed = queues::pause(&store, queue.as_deref(), false).await?;
            context.printer.report(&resumed, || told(&resumed))?;
        }
        QueuesVerb::Rename { queue, name } => {
            let mut progress = Progress::new("jobs were moved");
            let renamed = queue_rename::rename(&store, queue.as_bytes(), &name, |moved| progress.at(moved)).await?;
            let text = || format!("moved {} to queue {}", counted(renamed.moved, "job", "jobs"), renamed.queue);
            context.printer.report(&renamed, text)?;
        }
        QueuesVerb::Delete { queue, yes } => {
            let found = queues::find(&store, &queue).await?;
            let name = &queue;
            confirm(
                &format!("Delete queue {name} with {}?", counted(found.length, "job", "jobs"), name = named(&name)),
                yes,
            )?;
            let deleted = queues::delete(&store, &context.tasks()?.registry, &queue, None).await?;
            let text = || {
                format!("deleted queue {name} with {}", counted(deleted.deleted, "job", "jobs"), name = named(&name))
            };
            context.printer.report(&deleted, text)?;
        }
    }
    Ok(Exit::Done)
}

/// What stands below a list that has not all queues.
pub(super) fn more_queues(more: bool, sampled_of: Option<u64>) -> String {
    match sampled_of {
        Some(known) => format!(
            "{known} or more queues are known: these are those that hold jobs, as far as the leader has seen, and some others; \
             queues list --limit N reads N names, and queues show QUEUE tells of any"
        ),
        None if more => "there are more: use queues list --limit N".to_owned(),
        None => String::new(),
    }
}

/// Queues with their lengths, how long their jobs wait, and which are paused.
pub(super) fn queue_table(queues: &[QueueView]) -> TextTable {
    let mut table = TextTable::new(&["queue", "#jobs", "oldest", "#in/min", "#out/min", "empty in", "state"]);
    for QueueView { queue, length, wait, paused, .. } in queues {
        table.row([
            &named(queue),
            &length.to_string(),
            &wait.oldest().map(age).unwrap_or_default(),
            &rate(wait.in_per_minute, wait.counted_in.zip(wait.counted_ms)),
            &rate(wait.out_per_minute, wait.counted_out.zip(wait.counted_ms)),
            &wait.empty_in_ms.map(|ms| format!("about {}", in_seconds(ms))).unwrap_or_default(),
            if *paused { "paused" } else { "" },
        ]);
        table.tone(if *paused { Tone::Held } else { Tone::Plain });
    }
    let any = |has: fn(&QueueView) -> bool| queues.iter().any(has);
    table
        .uncut(&["oldest", "empty in", "state"])
        .falling_away(&["in/min", "out/min", "empty in", "oldest"])
        .column_if("oldest", any(|queue| queue.wait.oldest().is_some()))
        .column_if("in/min", any(|queue| queue.wait.in_per_minute.or(queue.wait.counted_in).is_some()))
        .column_if("out/min", any(|queue| queue.wait.out_per_minute.or(queue.wait.counted_out).is_some()))
        .column_if("empty in", any(|queue| queue.wait.empty_in_ms.is_some()))
        .column_if("state", any(|queue| queue.paused))
}

/// How many jobs a minute, or how many were counted in less: `12 in 4s`.
fn rate(per_minute: Option<u64>, counted: Option<(u64, u64)>) -> String {
    match (per_minute, counted) {
        (Some(count), _) => count.to_string(),
        (None, Some((count, over_ms))) => format!("{count} in {}", in_seconds(over_ms)),
        (None, None) => String::new(),
    }
}

/// An age with what is uncertain in it: `41s`, `10s-20s`, `>= 40s`.
fn age(Age { at_least_ms, at_most_ms, .. }: Age) -> String {
    // A sample a second is as exact as it gets, and people need no more.
    const EXACT_MS: u64 = 2_000;
    match at_most_ms {
        None => format!(">= {}", in_seconds(at_least_ms)),
        Some(most_ms) if most_ms.saturating_sub(at_least_ms) <= EXACT_MS => in_seconds(at_least_ms),
        Some(most_ms) => format!("{}-{}", in_seconds(at_least_ms), in_seconds(most_ms)),
    }
}

/// A duration that is known to the second.
fn in_seconds(ms: u64) -> String {
    told::span(ms / 1000 * 1000)
}

/// `jobs delete`: deletes jobs from their queue.
///
/// # Errors
/// Invalid names, failures of the store.
pub(crate) async fn delete_jobs(context: &CommandContext, args: JobsDeleteArgs) -> Result<Exit, CliError> {
    let JobsDeleteArgs { job, count, start, stop, yes } = args;
    let NamedJobArgs { task, queue, args, any_args } = job;
    let tasks = context.tasks()?;
    let args = input::naming(context, "jobs delete", &task, (&args, any_args))?;
    // The task may be unknown here, because other programs also enqueue jobs.
    let request = Request { queue, ..Request::new(task).args(args).foreign() };
    let job = request.resolve_as_written(&tasks.registry).map_err(|error| match error {
        // Without a queue the task must be one of ours.
        RequestError::QueueMissing { task } => CliError::no_task(not_found(&tasks.registry, &task)),
        other => CliError::Client(other.into()),
    })?;
    let store = context.store().await?;
    if any_args {
        let found = queued_jobs::count_by_class(&store, &job.queue, job.task.as_str(), (start, stop)).await?;
        if found > 0 {
            let (jobs, task, queue) = (counted(found, "job", "jobs"), &job.task, &job.queue);
            confirm(
                &format!("Delete {jobs} of {task} from {queue}?", queue = named(&queue), task = named(&task)),
                yes,
            )?;
        }
    }
    let deleted = if any_args {
        queued_jobs::delete_by_class(&store, &tasks.registry, &job.queue, job.task.as_str(), (start, stop)).await?
    } else {
        queued_jobs::delete(&store, &tasks.registry, &job, count).await?
    };
    if deleted.deleted == 0 {
        queues::expect_job(&store, &tasks.registry, Some(job.task.as_str()), Some(job.queue.as_str())).await?;
    }
    context.printer.report(&deleted, || {
        let queue = job.queue.as_str();
        let spelt = if deleted.other_spellings > 0 { ", in the spelling of another program" } else { "" };
        format!(
            "deleted {} of {} from {queue}{spelt}",
            counted(deleted.deleted, "job", "jobs"),
            job.task.as_str(),
            queue = named(&queue)
        )
    })?;
    Ok(Exit::Done)
}

/// The message about a pause or its end.
fn told(pause: &QueuePause) -> String {
    let (what, resume, was) = match &pause.queue {
        Some(queue) => {
            (format!("queue {queue}", queue = named(&queue)), command("queues resume", &[queue.as_str()]), "was")
        }
        None => ("all queues".to_owned(), "windlass queues resume --all".to_owned(), "were"),
    };
    let mut text = match (pause.paused, pause.changed) {
        (true, true) => {
            format!("paused {what}: no jobs are claimed from there; to resume: {resume}")
        }
        (true, false) => format!("{what} {was} paused already"),
        (false, true) => format!("resumed {what}"),
        (false, false) => format!("{what} {was} not paused"),
    };
    if !pause.known {
        text += "; there is no such queue yet";
    }
    if let Some(nearest) = &pause.did_you_mean {
        text += &format!(" (did you mean {nearest}?)");
    }
    if pause.all_paused {
        text += "; all queues are still paused, resume them: windlass queues resume --all";
    }
    if !pause.still_paused.is_empty() {
        text += &format!(
            "; these are still paused one by one: {}",
            pause.still_paused.iter().map(named).collect::<Vec<_>>().join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_tells_what_is_uncertain_in_it() {
        let age = |at_least_ms, at_most_ms| age(Age { at_least_ms, at_most_ms, stood: false });
        assert_eq!(age(41_900, Some(42_900)), "41s");
        assert_eq!(age(10_000, Some(20_000)), "10s-20s");
        assert_eq!(age(40_000, None), ">= 40s");
        assert_eq!(age(0, Some(0)), "0s");
    }
}
