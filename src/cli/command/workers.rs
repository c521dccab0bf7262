//! `workers`: lists workers and their jobs, and removes dead workers.

use serde::Serialize;

use crate::admin::worker_page::{self, WorkerPage};
use crate::admin::workers::{self, CleanedWorker, WorkerView};
use crate::cli::args::{LISTED, WorkersVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::fields::FieldList;
use crate::cli::manner::Manner;
use crate::cli::output::{Text, confirm, local_time};
use crate::cli::table::TextTable;
use crate::clock::{Clock, SystemClock};
use crate::text::count::counted;
use crate::text::shell::command;

#[derive(Debug, Serialize)]
struct CleanOutput {
    cleaned: Vec<CleanedWorker>,
}

/// Lists, shows or removes.
///
/// # Errors
/// Workers that do not exist, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<WorkersVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let manner = context.printer.manner();
    match verb.unwrap_or(WorkersVerb::List { limit: LISTED }) {
        WorkersVerb::List { limit } => {
            let output = worker_page::list(&store, limit).await?;
            context.printer.print(&output, || list_text(&output, manner))?;
        }
        WorkersVerb::Show { name } => {
            let worker = workers::show(&store, &name).await?;
            context.printer.print(&worker, || show_text(&worker, manner))?;
        }
        WorkersVerb::Clean { older_than, yes } => {
            let now_ms = SystemClock.now_ms();
            let old = workers::older_than(&store, now_ms, older_than).await?.len();
            let count = counted(old as u64, "worker", "workers");
            if old > 0 {
                confirm(&format!("Remove {count} although they may still be running?"), yes)?;
            }
            let registry = context.tasks()?.registry;
            let cleaned = workers::clean_older_than(&store, &registry, &context.host(), now_ms, older_than).await?;
            let output = CleanOutput { cleaned };
            context.printer.report(&output, || {
                if output.cleaned.is_empty() {
                    return Text::from("no worker has worked on one job for that long");
                }
                output.cleaned.iter().map(cleaned_text).fold(Text::default(), Text::and)
            })?;
        }
        WorkersVerb::ForceClean { name, yes } => {
            confirm(&format!("Remove worker {} although it may still be running?", name), yes)?;
            let now_ms = SystemClock.now_ms();
            let cleaned =
                workers::force_clean(&store, &context.tasks()?.registry, &name, &context.host(), now_ms).await?;
            context.printer.report(&cleaned, || cleaned_text(&cleaned))?;
        }
    }
    Ok(Exit::Done)
}

fn cleaned_text(cleaned: &CleanedWorker) -> Text {
    let worker = &cleaned.worker;
    let mut text = Text::from(match (&cleaned.failed_id, &cleaned.class) {
        (Some(id), class) => {
            let class = class.as_deref().unwrap_or("(no job)");
            format!("removed {worker}; its job {class} is now failed job {id}")
        }
        (None, _) => format!("removed {worker}; it had no job"),
    });
    for lock in &cleaned.locks_left {
        // It is pasted into a shell, and any enqueuer can have chosen it.
        text.push(format!("its job may hold the lock {lock}; if so, type {}", command("locks delete", &[lock])));
    }
    text
}

fn list_text(page: &WorkerPage, manner: Manner) -> Text {
    let workers = &page.workers;
    if workers.is_empty() && !page.more {
        let none = Text::from("no workers are registered");
        return page.held_back.lines().into_iter().fold(none, Text::and);
    }
    let mut table = TextTable::new(&["name", "queues", "since", "queue", "class", "args"])
        .uncut(&["name", "since"])
        .falling_away(&["queues", "args", "queue"]);
    for worker in workers {
        let queues = worker.queues.as_deref().unwrap_or("-");
        match &worker.working {
            None => {
                let idle = worker.state.map_or_else(|| "(idle)".to_owned(), |state| format!("(idle, {state})"));
                table.row([&worker.name, queues, "", "", &idle, ""]);
            }
            Some(job) => {
                let class = job.class.as_deref().unwrap_or("(no job)");
                let class = worker.state.map_or_else(|| class.to_owned(), |state| format!("{class} ({state})"));
                let args = job.args.as_ref().map(|args| args.get());
                let args = args.or(job.args_left_out.as_deref()).or(job.raw.as_deref()).unwrap_or_default();
                let since =
                    job.run_at.as_deref().map_or_else(|| "-".to_owned(), |at| manner.time(at, || local_time(at)));
                table.row([&worker.name, queues, &since, job.queue.as_deref().unwrap_or("-"), &class, args]);
            }
        }
    }
    let working = workers.iter().filter(|worker| worker.working.is_some()).count();
    let mut text = table.text(manner).and(format!("{working} of {} working", workers.len()));
    page.held_back.lines().into_iter().for_each(|line| text.push(line));
    text.and(if page.more { "there are more: use workers list --limit N" } else { "" })
}

fn show_text(worker: &WorkerView, manner: Manner) -> Text {
    let time = |date: &Option<String>| date.as_deref().map(|date| manner.whole_time(date));
    let mut fields = FieldList::default();
    fields
        .add("id", &worker.id)
        .add("name", &worker.name)
        .maybe("queues", worker.queues.as_deref())
        .maybe("started", time(&worker.started).as_deref())
        .maybe("state", worker.state)
        .add("pinged", time(&worker.pinged).as_deref().unwrap_or("never"));
    match &worker.working {
        None => {
            fields.add("working on", "nothing");
        }
        Some(job) => {
            fields
                .add("working on", job.class.as_deref().unwrap_or("(no job)"))
                .maybe("queue", job.queue.as_deref())
                .maybe("args", job.args.as_ref().map(|args| args.get()))
                .maybe("raw", job.raw.as_deref())
                .maybe(manner.word("job", "job id"), job.id.as_deref())
                .maybe("since", time(&job.run_at).as_deref());
        }
    }
    fields.text()
}
