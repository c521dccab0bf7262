//! `queues`: lengths, jobs, deletion.

use serde::Serialize;

use crate::admin::queues::{self, QueueView};
use crate::cli::args::QueuesVerb;
use crate::cli::confirm::confirm;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Table, clean, counted};

#[derive(Debug, Serialize)]
struct Answer {
    queues: Vec<QueueView>,
}

/// Lists, shows or deletes.
///
/// # Errors
/// Queues that do not exist, failures of the store.
pub async fn run(context: &Context, verb: Option<QueuesVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match verb.unwrap_or(QueuesVerb::List) {
        QueuesVerb::List => {
            let answer = Answer { queues: queues::list(&*store).await? };
            context.output.tell(&answer, || {
                if answer.queues.is_empty() {
                    return "no queues: nothing was enqueued yet".to_owned();
                }
                let mut table = Table::new(&["queue", "#jobs"]);
                for queue in &answer.queues {
                    table.row([&queue.queue, &queue.length.to_string()]);
                }
                table.text()
            })?;
        }
        QueuesVerb::Show { queue, start, stop } => {
            let page = queues::show(&*store, &queue, start, stop).await?;
            context.output.tell(&page, || {
                let mut text = format!("{}: {}\n", clean(&page.queue), counted(page.length, "job", "jobs"));
                if !page.jobs.is_empty() {
                    let mut table = Table::new(&["class", "args"]);
                    for job in &page.jobs {
                        table.row([job.class_text(), job.args_text()]);
                    }
                    text += &table.text();
                }
                text
            })?;
        }
        QueuesVerb::Delete { queue, yes } => {
            let found = queues::find(&*store, &queue).await?;
            let name = clean(&queue);
            confirm(&format!("Delete queue {name} with {}?", counted(found.length, "job", "jobs")), yes)?;
            let deleted = queues::delete(&*store, &queue).await?;
            let text = || format!("deleted queue {name} with {}", counted(deleted.deleted, "job", "jobs"));
            context.output.tell(&deleted, text)?;
        }
    }
    Ok(Exit::Done)
}
