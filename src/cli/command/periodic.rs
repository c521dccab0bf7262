//! `periodic`: which tasks run by themselves, and when; start, stop, run.

use serde::Serialize;

use crate::admin::periodic::{self, PeriodicView, RunNowOutcome, StartOutcome};
use crate::cli::args::periodic::PeriodicVerb;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Table, clean, counted};
use crate::clock::{Clock, SystemClock};

#[derive(Debug, Serialize)]
struct Listed {
    periodic: Vec<PeriodicView>,
}

#[derive(Debug, Serialize)]
struct Stopped {
    task: String,
    removed: u64,
}

#[derive(Debug, Serialize)]
struct Outcome<T> {
    task: String,
    outcome: T,
}

/// Lists, starts, stops or runs.
///
/// # Errors
/// Tasks that are not periodic, failures of the store.
pub async fn run(context: &Context, verb: Option<PeriodicVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let tasks = context.tasks()?;
    let registry = &tasks.registry;
    let now_ms = SystemClock.now_ms();
    match verb.unwrap_or(PeriodicVerb::List) {
        PeriodicVerb::List => {
            context.complain_of(&tasks);
            let answer = Listed { periodic: periodic::list(&store, registry, now_ms).await? };
            context.output.tell(&answer, || {
                if answer.periodic.is_empty() {
                    return "no periodic tasks: no task file says frequency or schedule".to_owned();
                }
                let mut table = Table::new(&["task", "when", "state", "due", "queue"]);
                for task in &answer.periodic {
                    let due = task.due.as_ref().map_or("-", |due| due.at.as_str());
                    table.row([&task.task, &when(task), task.state, due, &task.queue]);
                }
                table.text()
            })?;
        }
        PeriodicVerb::Start { task } => {
            let outcome = periodic::start(&store, registry, &task, now_ms).await?;
            let answer = Outcome { task, outcome };
            context.output.tell(&answer, || match outcome {
                StartOutcome::Started => format!("started {}", clean(&answer.task)),
                StartOutcome::Already => format!("{} goes on: its job is there already", clean(&answer.task)),
            })?;
        }
        PeriodicVerb::Stop { task } => {
            let removed = periodic::stop(&store, registry, &task).await?;
            let answer = Stopped { task, removed };
            let copies = counted(removed, "copy", "copies");
            context.output.tell(&answer, || format!("stopped {} and removed {copies}", clean(&answer.task)))?;
        }
        PeriodicVerb::Run { task } => {
            let outcome = periodic::run(&store, registry, &task, now_ms).await?;
            let answer = Outcome { task, outcome };
            context.output.tell(&answer, || {
                let task = clean(&answer.task);
                match outcome {
                    RunNowOutcome::Enqueued => format!("enqueued {task}"),
                    RunNowOutcome::Waits => format!("{task} waits on its queue already"),
                    RunNowOutcome::Runs => format!("{task} runs already"),
                }
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Its cadence in words.
fn when(task: &PeriodicView) -> String {
    match (&task.schedule, task.frequency_ms) {
        (Some(schedule), _) => {
            let zone = task.time_zone.as_deref().filter(|zone| *zone != "UTC");
            zone.map_or_else(|| schedule.clone(), |zone| format!("{schedule} ({zone})"))
        }
        (None, Some(ms)) => {
            format!("every {}", humantime::format_duration(std::time::Duration::from_millis(ms)))
        }
        (None, None) => "-".to_owned(),
    }
}
