//! `enqueue --bulk`: many jobs from a file, one a line.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::complaints::warned;
use super::unloaded::{warn_of_missing, warn_of_unloaded};
use crate::admin::enqueued::PluginErrorView;
use crate::admin::refusing_lock::{RefusingLock, refusing_locks};
use crate::cli::args::EnqueueArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, warn};
use crate::client::Client;
use crate::client::bulk::{self, BadLine, BulkFailure, LineOutcome};
use crate::client::moment::Moment;
use crate::config::error::MOST_TOLD;
use crate::file::bounded;
use crate::plugin::hooks::Refusal;
use crate::store::handle::Store;
use crate::store::role::Whole;
use crate::text::count::counted;

#[derive(Debug, Default, Serialize)]
struct BulkOutput {
    lines: usize,
    enqueued: usize,
    delayed: usize,
    refused: Vec<RefusedLine>,
    /// Lines whose plugins could not answer; they were not enqueued.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<PluginErrorView>,
    /// Plugins that failed when the job was on its queue already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after_enqueue_errors: Vec<PluginErrorView>,
    duplicates: Vec<DuplicateLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<LinesView>,
    /// Lines of which it is certain that they were not enqueued. Later lines were not, either.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_enqueued: Option<LinesView>,
}

#[derive(Debug, Serialize)]
struct RefusedLine {
    line: usize,
    refused_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<RefusingLock>,
}

#[derive(Debug, Serialize)]
struct DuplicateLine {
    line: usize,
    at: String,
    ms: i64,
}

/// Lines from one to another, those without an outcome of their own.
#[derive(Debug, Serialize)]
struct LinesView {
    from: usize,
    to: usize,
}

#[derive(Debug, Serialize)]
struct BadLinesOutput {
    error: String,
    lines: Vec<BadLineView>,
}

#[derive(Debug, Serialize)]
struct BadLineView {
    line: usize,
    problem: String,
}

/// Enqueues each line of a file, and tells the outcome of each that was not enqueued or delayed.
///
/// # Errors
/// Invalid lines, failures of the store.
pub(super) async fn run(context: &CommandContext, args: &EnqueueArgs, file: &Path) -> Result<Exit, CliError> {
    let text = input::bytes(context, file, bounded::JOBS)?;
    let tasks = context.tasks()?;
    let jobs = match bulk::read(&text, args.foreign, &tasks.registry) {
        Ok(jobs) => jobs,
        Err(bad) => {
            context.warn_of_problems(&tasks);
            return refuse(context, &bad);
        }
    };
    warn_of_missing(&tasks, |task| jobs.iter().any(|job| job.job.task == *task));
    let store: Store<Whole> = context.store_to_fill().await?;
    let client = Client::new(store.narrow(), Arc::new(tasks.registry)).with_plugins(context.plugins());
    let report = client.enqueue_bulk(&jobs, args.front).await;
    let mut output = BulkOutput { lines: jobs.len(), ..BulkOutput::default() };
    let refused = report.outcomes.iter().filter_map(|(line, outcome)| match outcome {
        LineOutcome::Refused(refusal) => {
            let at = jobs.binary_search_by_key(line, |job| job.line).ok()?;
            Some((&jobs.get(at)?.job, refusal))
        }
        _ => None,
    });
    let refused: Vec<_> = refused.collect();
    let mut locks = refusing_locks(&client, &refused).await.into_iter();
    for (line, outcome) in report.outcomes {
        match outcome {
            LineOutcome::Enqueued { complaints } => {
                output.enqueued += 1;
                output.after_enqueue_errors.extend(warned(Some(line), &complaints));
            }
            LineOutcome::Delayed(_) => output.delayed += 1,
            LineOutcome::Refused(Refusal { plugin, reason }) => {
                let lock = locks.next().flatten();
                output.refused.push(RefusedLine { line, refused_by: plugin.to_string(), reason, lock });
            }
            LineOutcome::Failed(failure) => output.failed.push(PluginErrorView::of(Some(line), &failure)),
            LineOutcome::Duplicate(second) => {
                let at = Moment::of_second(second);
                output.duplicates.push(DuplicateLine { line, at: at.rfc3339(), ms: at.ms() });
            }
        }
    }
    let mut exit = Exit::Done;
    if (!output.duplicates.is_empty() && !args.suppress_duplicate) || !output.failed.is_empty() {
        exit = Exit::Failure;
    }
    if args.fail_if_refused && !output.refused.is_empty() {
        exit = Exit::Failure;
    }
    if let Some(BulkFailure { error, first: from, last: to, changed_nothing, .. }) = report.failure {
        output.error = Some(format!("failed to {error}"));
        let lines = Some(LinesView { from, to });
        let message = if changed_nothing {
            output.not_enqueued = lines;
            format!(
                "failed to {error}; lines {from} to {to} and later ones were not enqueued, but for those told below"
            )
        } else {
            output.unknown = lines;
            format!(
                "failed to {error}; of lines {from} to {to} it is not known whether they were enqueued, later ones were not"
            )
        };
        warn(&message);
        exit = CliError::Interrupted { message, error }.exit();
    }
    context.printer.report(&output, || bulk_text(&output, args.suppress_duplicate))?;
    if !args.foreign && output.error.is_none() {
        warn_of_unloaded(context, &store, jobs.iter().map(|job| job.job.task.as_str())).await;
    }
    Ok(exit)
}

fn refuse(context: &CommandContext, bad: &[BadLine]) -> Result<Exit, CliError> {
    let number = u64::try_from(bad.len()).unwrap_or(u64::MAX);
    let error = format!("nothing was enqueued: {}", counted(number, "invalid line", "invalid lines"));
    for line in bad.iter().take(MOST_TOLD) {
        warn(&line.to_string());
    }
    if let Some(rest) = bad.len().checked_sub(MOST_TOLD).filter(|&rest| rest > 0) {
        warn(&format!("{rest} more invalid lines"));
    }
    warn(&error);
    let lines = bad.iter().map(|bad| BadLineView { line: bad.line, problem: bad.problem.to_string() }).collect();
    context.printer.print(&BadLinesOutput { error, lines }, String::new)?;
    Ok(Exit::Usage)
}

fn bulk_text(output: &BulkOutput, suppressed: bool) -> Text {
    let mut text = format!("{} enqueued, {} delayed", output.enqueued, output.delayed);
    if !output.refused.is_empty() {
        text += &format!(", {} refused", output.refused.len());
    }
    if !output.duplicates.is_empty() {
        text += &format!(", {} already enqueued at their time", output.duplicates.len());
    }
    if !output.failed.is_empty() {
        text += &format!(", {} failed", output.failed.len());
    }
    let mut text = Text::from(text);
    for refused in &output.refused {
        let why = refused.reason.as_deref().map(|reason| format!(": {}", reason)).unwrap_or_default();
        let lock = refused.lock.as_ref().map(|lock| format!(": {}", lock.text())).unwrap_or_default();
        text.push(format!("  line {}: refused by {}{why}{lock}", refused.line, refused.refused_by));
    }
    for failed in &output.failed {
        text.push(format!("  line {}: {}", failed.line.unwrap_or_default(), failed.error));
    }
    for duplicate in &output.duplicates {
        text.push(format!(
            "  line {}: Job already enqueued at this time with same arguments ({})",
            duplicate.line, duplicate.at
        ));
    }
    if !output.duplicates.is_empty() && !suppressed {
        text.push("to count them as done: --suppress-duplicate");
    }
    text
}
