//! `stats`, `details` and `leader`.

use serde::Serialize;

use crate::admin::overview::{self, LeaderView};
use crate::cli::args::LeaderArgs;
use crate::cli::command::queues::{more_queues, queue_table};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::fields::FieldList;
use crate::cli::output::Text;
use crate::cli::table::TextTable;
use crate::text::count::counted;

/// Shows how many jobs succeeded and failed.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn stats(context: &CommandContext) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let stats = overview::stats(&store).await?;
    context.printer.print(&stats, || {
        let mut table = TextTable::new(&["", "#processed", "#failed"]);
        table.row(["all, ever", &stats.processed.to_string(), &stats.failed.to_string()]);
        for worker in &stats.workers {
            table.row([&worker.name, &worker.processed.to_string(), &worker.failed.to_string()]);
        }
        let more = format!("there are more workers: these are the first {}", overview::LISTED);
        table.text(context.printer.manner()).and(if stats.more { more.as_str() } else { "" })
    })?;
    Ok(Exit::Done)
}

/// Shows an overview of everything.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn details(context: &CommandContext) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let details = overview::details(&store).await?;
    context.printer.print(&details, || {
        let waiting: u64 = details.queues.iter().map(|queue| queue.length).sum();
        let working = details.workers.iter().filter(|worker| worker.working.is_some()).count();
        let queues = counted(details.queues.len() as u64, "queue", "queues");
        // Who reads a sum must see that it is one of a part.
        let first = |more: bool| if more { ", the first of more" } else { "" };
        let mut fields = FieldList::default();
        fields.add("leader", details.leader.leader.as_deref().unwrap_or("nobody"));
        if let Some(name) = &details.leader.resque_scheduler {
            fields.add("beside it", &format!("{name} (resque-scheduler)"));
        }
        fields
            .add("workers", &format!("{working} of {} working{}", details.workers.len(), first(details.more_workers)))
            .add("waiting", &format!("{waiting} on {queues}{}", first(details.more_queues)))
            .add("failed", &format!("{} in the list", details.failed))
            .add("ever", &format!("{} processed, {} failed", details.stats.processed, details.stats.failed));
        fields.add("time zones", &details.time_zones.text());
        if !details.unreadable.is_empty() {
            let counts: Vec<_> = details.unreadable.iter().map(|one| format!("{} {}", one.count, one.kind)).collect();
            fields.add("unreadable", &counts.join(", "));
        }
        if let Some(aside) = &details.set_aside {
            fields.add("set aside", &aside.text);
        }
        let table = queue_table(&details.queues);
        let more = more_queues(details.more_queues, details.sampled_of);
        let text = details.held_back.lines().into_iter().fold(fields.text(), Text::and);
        text.and(table.text(context.printer.manner())).and(more.as_str())
    })?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct LeaderOutput {
    #[serde(flatten)]
    leader: LeaderView,
    here: bool,
}

/// Shows the leader, or whether it is on this host.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn leader(context: &CommandContext, args: &LeaderArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let leader = overview::leader(&store).await?;
    let here = leader.is_on(&context.host());
    let output = LeaderOutput { leader, here };
    context.printer.print(&output, || {
        // The exit code is the result. Nothing is printed, because cron mails every output.
        if args.check {
            return Text::default();
        }
        let text = Text::from(output.leader.leader.as_deref().unwrap_or("nobody leads"));
        match &output.leader.resque_scheduler {
            Some(name) => text.and(format!("beside it: {name} (resque-scheduler)")),
            None => text,
        }
    })?;
    Ok(if args.check && !here { Exit::Failure } else { Exit::Done })
}
