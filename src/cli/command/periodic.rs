//! `periodic`: lists, starts, stops and runs periodic tasks.

use serde::Serialize;

use crate::admin::periodic::{self, PeriodicView, RunNowOutcome, StartOutcome};
use crate::cli::args::verbs::PeriodicVerb;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, count_noun};
use crate::cli::table::TextTable;
use crate::clock::{Clock, SystemClock};

#[derive(Debug, Serialize)]
struct PeriodicListOutput {
    periodic: Vec<PeriodicView>,
}

#[derive(Debug, Serialize)]
struct StopOutput {
    task: String,
    removed: u64,
}

#[derive(Debug, Serialize)]
struct PeriodicOutput<T> {
    task: String,
    outcome: T,
}

/// Lists, starts, stops or runs.
///
/// # Errors
/// Tasks that are not periodic, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<PeriodicVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let tasks = context.tasks()?;
    let registry = &tasks.registry;
    match verb.unwrap_or(PeriodicVerb::List) {
        PeriodicVerb::List => {
            context.warn_of_problems(&tasks);
            let output = PeriodicListOutput { periodic: periodic::list(&store, registry, SystemClock.now_ms()).await? };
            context.printer.print(&output, || {
                if output.periodic.is_empty() {
                    return Text::from("no periodic tasks: no task file has frequency or schedule");
                }
                let mut table = TextTable::new(&["task", "when", "state", "due", "queue"]);
                for task in &output.periodic {
                    let due = task.due.as_ref().map_or("-", |due| due.at.as_str());
                    table.row([&task.task, &when(task), task.state, due, &task.queue]);
                }
                table.text()
            })?;
        }
        PeriodicVerb::Start { task } => {
            let outcome = periodic::start(&store, registry, &task).await?;
            let output = PeriodicOutput { task, outcome };
            context.printer.report(&output, || match outcome {
                StartOutcome::Started => format!("started {}", output.task),
                StartOutcome::Already => format!("{} is started already: its job is there", output.task),
            })?;
        }
        PeriodicVerb::Stop { task } => {
            let removed = periodic::stop(&store, registry, &task).await?;
            let output = StopOutput { task, removed };
            let copies = count_noun(removed, "copy", "copies");
            context.printer.report(&output, || format!("stopped {} and removed {copies}", output.task))?;
        }
        PeriodicVerb::Run { task } => {
            let outcome = periodic::run(&store, registry, &task).await?;
            let output = PeriodicOutput { task, outcome };
            context.printer.report(&output, || {
                let task = &output.task;
                match outcome {
                    RunNowOutcome::Enqueued => format!("enqueued {task}"),
                    RunNowOutcome::Waits => format!("{task} is on its queue already"),
                    RunNowOutcome::Runs => format!("{task} is running already"),
                }
            })?;
        }
    }
    Ok(Exit::Done)
}

/// The cadence of the task, for people.
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
