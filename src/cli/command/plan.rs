//! `plan`: shows when jobs will run.

use crate::admin::plan::{PlanReason, plan, plan_task};
use crate::cli::args::PlanArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::here::shown;
use crate::cli::output::Text;
use crate::cli::table::TextTable;
use crate::clock::{Clock, SystemClock};
use crate::text::shell::command;

/// Shows what is due within some hours.
///
/// # Errors
/// An unknown task, failures of the store.
pub(crate) async fn run(context: &CommandContext, args: PlanArgs) -> Result<Exit, CliError> {
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let store = context.store().await?;
    let now_ms = SystemClock.now_ms();
    let until_ms = now_ms + i64::from(args.hours) * 3_600_000;
    let output = match &args.task {
        Some(task) => plan_task(&store, &tasks.registry, task, now_ms, until_ms, args.limit).await?,
        None => plan(&store, &tasks.registry, now_ms, until_ms, args.limit).await?,
    };
    let manner = context.printer.manner();
    context.printer.print(&output, || {
        let at_rest = |text: Text| {
            let text = output.waiting.iter().fold(text, |text, waits| text.and(waits.clone()));
            output.at_rest.iter().fold(text, |text, one| {
                text.and(format!("{} is {}: {}", one.name, one.state, command("periodic start", &[&one.name])))
            })
        };
        if output.plan.is_empty() && !output.more {
            return at_rest(Text::from(format!("nothing is due within {} hours", args.hours)));
        }
        // In the zone of each schedule; a column without content is left out.
        let zoned = output.plan.iter().any(|planned| planned.zoned.as_ref().is_some_and(|one| one.time_zone != "UTC"));
        let mut table = TextTable::new(&["at", "local time", "in its zone", "task", "args", "queue", "why"])
            .uncut(&["at", "local time"])
            .falling_away(&["queue", "args", "in its zone", "why", "at"]);
        for planned in &output.plan {
            let why = match planned.why {
                PlanReason::Periodic => "periodic",
                PlanReason::Schedule => "schedule",
                PlanReason::Delayed => "delayed",
                PlanReason::Retry => "retry",
            };
            let arguments = planned.args.as_ref().map_or("-", |args| args.get());
            let at = manner.moment(planned.time.ms, || planned.time.at.clone());
            let here = manner.clock(&planned.time.at, || local(planned.second));
            let there = planned.zoned.as_ref().map_or("", |one| one.text.as_str());
            table.row([&at, &here, there, &planned.task, arguments, &planned.queue, why]);
        }
        let more = if output.more { "there are more: use --limit N" } else { "" };
        at_rest(table.column_if("in its zone", zoned).text(manner).and(more))
    })?;
    Ok(Exit::Done)
}

/// A second in local time.
fn local(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
    shown(time, "%Y-%m-%d %H:%M:%S %Z")
}
