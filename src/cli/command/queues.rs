//! `queues`: lengths, jobs, deletion, pauses.

use crate::admin::queues::{self, QueuePause};
use crate::cli::args::QueuesVerb;
use crate::cli::confirm::confirm;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{TextTable, count_noun, escape};

/// Lists, shows, pauses or deletes.
///
/// # Errors
/// Queues that do not exist, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<QueuesVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match verb.unwrap_or(QueuesVerb::List) {
        QueuesVerb::List => {
            let answer = queues::list(&store).await?;
            context.printer.print(&answer, || {
                let mut text = String::new();
                if answer.all_paused {
                    text += "everything is paused (windlass queues resume --all)\n";
                }
                if answer.queues.is_empty() {
                    return text + "no queues: nothing was enqueued yet";
                }
                // A column without content is left out.
                if answer.queues.iter().any(|queue| queue.paused) {
                    let mut table = TextTable::new(&["queue", "#jobs", "state"]);
                    for queue in &answer.queues {
                        let state = if queue.paused { "paused" } else { "" };
                        table.row([&queue.queue, &queue.length.to_string(), state]);
                    }
                    return text + &table.text();
                }
                let mut table = TextTable::new(&["queue", "#jobs"]);
                for queue in &answer.queues {
                    table.row([&queue.queue, &queue.length.to_string()]);
                }
                text + &table.text()
            })?;
        }
        QueuesVerb::Show { queue, start, stop } => {
            let page = queues::show(&store, &queue, start, stop).await?;
            context.printer.print(&page, || {
                let mut text = format!("{}: {}\n", escape(&page.queue), count_noun(page.length, "job", "jobs"));
                if !page.jobs.is_empty() {
                    let mut table = TextTable::new(&["class", "args"]);
                    for job in &page.jobs {
                        table.row([job.class_text(), job.args_text()]);
                    }
                    text += &table.text();
                }
                text
            })?;
        }
        QueuesVerb::Pause { queue, all: _ } => {
            let paused = queues::pause(&store, queue.as_deref(), true).await?;
            context.printer.print(&paused, || told(&paused))?;
        }
        QueuesVerb::Resume { queue, all: _ } => {
            let resumed = queues::pause(&store, queue.as_deref(), false).await?;
            context.printer.print(&resumed, || told(&resumed))?;
        }
        QueuesVerb::Delete { queue, yes } => {
            let found = queues::find(&store, &queue).await?;
            let name = escape(&queue);
            confirm(&format!("Delete queue {name} with {}?", count_noun(found.length, "job", "jobs")), yes)?;
            let deleted = queues::delete(&store, &queue).await?;
            let text = || format!("deleted queue {name} with {}", count_noun(deleted.deleted, "job", "jobs"));
            context.printer.print(&deleted, text)?;
        }
    }
    Ok(Exit::Done)
}

/// The message about a pause or its end.
fn told(pause: &QueuePause) -> String {
    let what = pause.queue.as_ref().map_or_else(|| "everything".to_owned(), |queue| format!("queue {}", escape(queue)));
    let mut text = match (pause.paused, pause.changed) {
        (true, true) => format!("paused {what}: nobody claims from it until it is resumed"),
        (true, false) => format!("{what} was paused already"),
        (false, true) => format!("resumed {what}"),
        (false, false) => format!("{what} was not paused"),
    };
    if !pause.known {
        text += "; there is no such queue yet";
    }
    if let Some(nearest) = &pause.did_you_mean {
        text += &format!(" (did you mean {}?)", escape(nearest));
    }
    if pause.all_paused {
        text += "; everything is still paused (windlass queues resume --all)";
    }
    if !pause.still_paused.is_empty() {
        let names: Vec<_> = pause.still_paused.iter().map(|name| escape(name)).collect();
        text += &format!("; still paused by themselves: {}", names.join(", "));
    }
    text
}
