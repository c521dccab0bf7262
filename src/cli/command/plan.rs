//! `plan`: shows when jobs will run.

use crate::admin::plan::{PlanReason, plan, plan_task};
use crate::cli::args::PlanArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Text;
use crate::cli::table::TextTable;
use crate::clock::{Clock, SystemClock};

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
    context.printer.print(&output, || {
        if output.plan.is_empty() {
            return Text::from(format!("nothing is due within {} hours", args.hours));
        }
        let mut table = TextTable::new(&["at", "local time", "task", "args", "queue", "why"]);
        for planned in &output.plan {
            let why = match planned.why {
                PlanReason::Periodic => "periodic",
                PlanReason::Schedule => "schedule",
                PlanReason::Delayed => "delayed",
            };
            let arguments = planned.args.as_ref().map_or("-", |args| args.get());
            table.row([&planned.time.at, &local(planned.second), &planned.task, arguments, &planned.queue, why]);
        }
        let more = if output.more { "there are more: use --limit N" } else { "" };
        table.text().and(more)
    })?;
    Ok(Exit::Done)
}

/// A second in local time.
fn local(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
    time.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}
