//! `periodic`: lists, starts, stops and runs periodic tasks and schedules.

use serde::Serialize;

use crate::admin::AdminError;
use crate::admin::calendar::ZonedView;
use crate::admin::delayed::TimeView;
use crate::admin::periodic::{self, PeriodicView, RunNowOutcome, StartOutcome};
use crate::admin::schedules::{self, OfTask, ScheduleRun, ScheduleView};
use crate::cli::args::verbs::{LISTED, PeriodicVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::manner::Manner;
use crate::cli::output::{Text, Tone, local_time, warn};
use crate::cli::past_runs::cells;
use crate::cli::table::TextTable;
use crate::clock::{Clock, SystemClock};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::count::counted;
use crate::text::shell::command;

#[derive(Debug, Serialize)]
struct PeriodicListOutput {
    periodic: Vec<PeriodicView>,
    /// How many tasks that are not defined here are left out.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    schedules: Vec<ScheduleView>,
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

#[derive(Debug, Serialize)]
struct ScheduleOutput<'a, T> {
    schedule: &'a str,
    #[serde(flatten)]
    outcome: T,
}

#[derive(Debug, Serialize)]
struct Changed {
    outcome: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Lists, starts, stops or runs.
///
/// # Errors
/// Tasks that are not periodic, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<PeriodicVerb>) -> Result<Exit, CliError> {
    carry_out(context, verb).await.map_err(|error| match error {
        CliError::Admin(AdminError::NotFound { what: "periodic task", name, .. }) if is_defined(context, &name) => {
            let once = command("enqueue", &[&name]);
            CliError::Failed(format!(
                "task {name} does not run by itself: its file has neither frequency nor schedule; to run it once: {once}"
            ))
        }
        other => other,
    })
}

fn is_defined(context: &CommandContext, name: &str) -> bool {
    context.tasks().is_ok_and(|tasks| tasks.registry.get(name).is_some())
}

async fn carry_out(context: &CommandContext, verb: Option<PeriodicVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let tasks = context.tasks()?;
    let registry = &tasks.registry;
    let verb = verb.unwrap_or(PeriodicVerb::List { limit: LISTED });
    let name = match &verb {
        PeriodicVerb::List { .. } => None,
        PeriodicVerb::Start { task } | PeriodicVerb::Stop { task } | PeriodicVerb::Run { task } => Some(task.as_str()),
    };
    if let Some(one) = name.map(|name| schedules::unless_periodic(registry, name)).transpose()?.flatten() {
        return schedule(context, &store, one, &verb).await;
    }
    match verb {
        PeriodicVerb::List { limit } => {
            context.warn_of_problems(&tasks);
            let (periodic, more) = periodic::list(&store, registry, SystemClock.now_ms(), limit).await?;
            let output = PeriodicListOutput { periodic, more, schedules: schedules::list(&store, registry).await? };
            let of_tasks = output.periodic.iter().filter_map(|one| one.unreadable.as_ref());
            of_tasks
                .chain(output.schedules.iter().filter_map(|one| one.unreadable.as_ref()))
                .for_each(|text| warn(text));
            context.printer.print(&output, || list_text(&output, context.printer.manner()))?;
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
            let copies = counted(removed, "copy", "copies");
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

/// Starts, stops or runs a schedule.
async fn schedule(
    context: &CommandContext,
    store: &Store<Admin>,
    one: OfTask<'_>,
    verb: &PeriodicVerb,
) -> Result<Exit, CliError> {
    let id = one.id();
    let changed = |outcome| ScheduleOutput { schedule: id, outcome: Changed { outcome } };
    match verb {
        PeriodicVerb::Run { .. } => {
            let outcome = schedules::run(store, one).await?;
            let text = match &outcome {
                ScheduleRun::Refused { refused_by } => format!("not enqueued: {refused_by} refused"),
                _ => format!("enqueued the job of schedule {id}"),
            };
            context.printer.report(&ScheduleOutput { schedule: id, outcome }, || text.clone())?;
        }
        PeriodicVerb::Start { .. } => {
            let (outcome, text) = match schedules::start(store, one).await? {
                true => ("started", format!("started schedule {id}: it goes on from now")),
                false => ("already", format!("schedule {id} is not stopped")),
            };
            context.printer.report(&changed(outcome), || text.clone())?;
        }
        PeriodicVerb::Stop { .. } | PeriodicVerb::List { .. } => {
            let (outcome, text) = match schedules::stop(store, one).await? {
                true => {
                    let start = command("periodic start", &[id]);
                    ("stopped", format!("stopped schedule {id}; to start it: {start}"))
                }
                false => ("already", format!("schedule {id} is stopped already")),
            };
            context.printer.report(&changed(outcome), || text.clone())?;
        }
    }
    Ok(Exit::Done)
}

fn list_text(output: &PeriodicListOutput, manner: Manner) -> Text {
    if output.periodic.is_empty() && output.schedules.is_empty() {
        return Text::from("no periodic tasks: no task file has frequency or schedule");
    }
    let mut text = Text::default();
    if !output.periodic.is_empty() {
        let mut table = TextTable::new(&[
            "task",
            "when",
            "state",
            "last run",
            "outcome",
            "took",
            "due",
            "there, and here",
            "queue",
        ])
        .uncut(&["last run", "took", "due", "state"])
        .falling_away(&["queue", "there, and here", "took", "when"]);
        for task in &output.periodic {
            let (due, clocks) = times(task.due.as_ref(), task.zoned.as_ref(), manner);
            let [began, outcome, took] = cells(task.last_run.as_ref(), manner);
            table.row([&task.task, &when(task), &state(task), &began, &outcome, &took, &due, &clocks, &task.queue]);
            table.tone(tone(task.state, &outcome));
        }
        text = text.and(table.text(manner));
        for task in &output.periodic {
            text =
                task.waits.iter().fold(text, |text, waits| text.and(format!("periodic task {}: {waits}", task.task)));
        }
        if output.more > 0 {
            let more = counted(output.more as u64, "task that is", "tasks that are");
            text.push(format!("and {more} not defined here; windlass periodic list --limit N shows more"));
        }
    }
    if !output.schedules.is_empty() {
        if !output.periodic.is_empty() {
            text.push("");
        }
        let mut table = TextTable::new(&[
            "schedule",
            "when",
            "state",
            "last",
            "last run",
            "outcome",
            "took",
            "due",
            "there, and here",
            "queue",
            "args",
        ])
        .uncut(&["last", "last run", "took", "due", "state"])
        .falling_away(&["args", "queue", "last", "there, and here", "took", "when"]);
        for one in &output.schedules {
            let (due, clocks) = times(one.due.as_ref(), one.zoned.as_ref(), manner);
            let last = one.last.as_ref();
            let last = last.map_or_else(|| "-".to_owned(), |last| manner.moment(last.ms, || last.at.clone()));
            let args = one.args.as_ref().map_or("-", |args| args.get());
            let zone = if one.time_zone == "UTC" { String::new() } else { format!(" ({})", one.time_zone) };
            let when = format!("{}{zone}", one.schedule);
            let [began, outcome, took] = cells(one.last_run.as_ref(), manner);
            table.row([&one.id, &when, one.state, &last, &began, &outcome, &took, &due, &clocks, &one.queue, args]);
            table.tone(tone(one.state, &outcome));
        }
        text = text.and(table.text(manner));
        for one in &output.schedules {
            text = one.waits.iter().fold(text, |text, waits| text.and(format!("schedule {}: {waits}", one.id)));
        }
    }
    text
}

/// The state, and how many attempts failed if the next one is waited for.
fn state(task: &PeriodicView) -> String {
    match task.failed_attempts {
        Some(failed) => format!("{} ({failed} failed)", task.state),
        None => task.state.to_owned(),
    }
}

/// What needs a look.
fn tone(state: &str, outcome: &str) -> Tone {
    match state {
        "stopped" | "halted" => Tone::Held,
        _ if outcome.starts_with("failed") => Tone::Wrong,
        _ => Tone::Plain,
    }
}

/// A time, and what clocks show then: in the zone of its expression, and here if that differs.
fn times(due: Option<&TimeView>, zoned: Option<&ZonedView>, manner: Manner) -> (String, String) {
    let Some(due) = due else { return ("-".to_owned(), String::new()) };
    let here = local_time(&due.at);
    let there = zoned.filter(|zoned| zoned.time_zone != "UTC" && !zoned.text.starts_with(&here));
    let told = manner.moment(due.ms, || due.at.clone());
    (told, there.map_or_else(|| here.clone(), |zoned| format!("{}, {here}", zoned.text)))
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
