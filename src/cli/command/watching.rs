//! `jobs output` of a run that goes on somewhere, and what is left of one that has ended.

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::admin::results;
use crate::admin::running::{self, Run, Which};
use crate::admin::watching::{self, ANSWER, LOOK, LastWords, News, Watcher};
use crate::cli::args::JobsOutputArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, count_noun, warn};
use crate::job::shown_run::{RunUsage, ShownEnd};
use crate::job::{Progress, RunEnd, RunOutcome};
use crate::store::handle::Store;
use crate::store::role::Admin;

/// What is printed of a run.
#[derive(Debug, Default, Serialize)]
struct RunOutput<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    /// `running`, or what the run led to.
    state: String,
    /// How many lines before these are not shown.
    missed: u64,
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<RunUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_id: Option<String>,
}

/// Prints what a run writes, or what is left of it. Nothing if there is neither, or, unless it runs, if a file here has all of it.
///
/// # Errors
/// Runs of other programs, instances that do not answer, failures of the store.
pub(super) async fn run(
    context: &CommandContext,
    args: &JobsOutputArgs,
    id: &str,
    has_file: bool,
) -> Result<Option<Exit>, CliError> {
    let store = context.store().await?;
    let wanted = [args.claim.clone().unwrap_or_else(|| id.to_owned())];
    let (runs, _) = running::find(&store, Which::Ids(&wanted), 1).await?;
    if let Some(run) = runs.first() {
        return watch(context, &store, id, run, args.follow).await.map(Some);
    }
    if has_file {
        return Ok(None);
    }
    let registry = context.tasks()?.registry;
    match watching::last_words(&store, &registry, id, args.claim.as_deref()).await? {
        Some(left) => print_left(context, id, left, args.follow).map(Some),
        // What the job led to is kept for its producer, with the end of its output.
        None => match results::find(&store, id).await?.result {
            Some(result) if args.claim.is_none() || result.claim == args.claim => {
                print_left(context, id, result.last_words(), args.follow).map(Some)
            }
            Some(_) | None => Ok(None),
        },
    }
}

fn print_left(context: &CommandContext, id: &str, left: LastWords, follow: bool) -> Result<Exit, CliError> {
    let LastWords { outcome, error, lines, claim, failed_id, .. } = left;
    let exit = if follow { exit_of(&outcome) } else { Exit::Done };
    let output = RunOutput { id, claim, state: outcome, lines, error, failed_id, ..RunOutput::default() };
    if !context.printer.is_json() {
        let why = output.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        warn(&format!("the job has ended ({}){why}; these are the last lines that are left", output.state));
    }
    context.printer.print(&output, || text(&output.lines))?;
    Ok(exit)
}

fn text(lines: &[String]) -> Text {
    let mut text = Text::default();
    lines.iter().for_each(|line| text.push(line));
    text
}

/// A run that was done is 0, any other 1.
fn exit_of(outcome: &str) -> Exit {
    if outcome == RunOutcome::from(RunEnd::Done).word() { Exit::Done } else { Exit::Failure }
}

async fn watch(
    context: &CommandContext,
    store: &Store<Admin>,
    id: &str,
    run: &Run,
    follow: bool,
) -> Result<Exit, CliError> {
    let Some(mut watcher) = Watcher::new(store, run.worker(), run.claim()) else {
        let worker = run.view().worker;
        return Err(CliError::Failed(format!(
            "the job is run by {worker}, a worker of another program, which shows nothing of it"
        )));
    };
    let begun = Instant::now();
    loop {
        let news = watcher.look().await?;
        if let Some(exit) = tell(context, id, &watcher, &news, follow)? {
            return Ok(exit);
        }
        if news.shown.is_none() && begun.elapsed() >= ANSWER {
            return Err(CliError::Failed(format!(
                "the instance of {} shows nothing of the run: is it alive, and of this version? See windlass jobs list",
                run.view().worker
            )));
        }
        sleep(LOOK).await;
    }
}

/// Prints news; the exit code if there will be no more.
fn tell(
    context: &CommandContext,
    id: &str,
    watcher: &Watcher<'_>,
    news: &News,
    follow: bool,
) -> Result<Option<Exit>, CliError> {
    let Some(shown) = &news.shown else {
        return Ok(news.over.is_some().then(|| {
            warn("the run has ended, and its instance did not show how");
            Exit::Failure
        }));
    };
    let is_over = news.over.is_some();
    let end = news.over.clone().flatten();
    let state = match (&end, is_over) {
        (Some(ShownEnd { outcome, .. }), _) => outcome.clone(),
        (None, true) => "unknown".to_owned(),
        (None, false) => "running".to_owned(),
    };
    let is_json = context.printer.is_json();
    if !news.lines.is_empty() || is_json && (is_over || !follow) {
        let output = RunOutput {
            id,
            claim: Some(watcher.claim().to_string()),
            state: state.clone(),
            missed: news.missed,
            lines: news.lines.clone(),
            progress: shown.progress.clone(),
            usage: shown.usage,
            error: end.as_ref().and_then(|end| end.error.clone()),
            failed_id: None,
        };
        if news.missed > 0 && !is_json {
            warn(&format!("{} before these are not shown", count_noun(news.missed, "line", "lines")));
        }
        if !context.printer.stream(&output, || text(&output.lines))? {
            return Ok(Some(Exit::Done));
        }
    }
    if is_over {
        if !is_json {
            match &end {
                Some(ShownEnd { outcome, error: Some(error) }) => {
                    warn(&format!("the run has ended ({outcome}): {error}"))
                }
                Some(ShownEnd { outcome, error: None }) if outcome == "done" => {}
                Some(ShownEnd { outcome, error: None }) => warn(&format!("the run has ended ({outcome})")),
                None => warn("the run has ended, and its instance did not show how"),
            }
        }
        return Ok(Some(if follow { exit_of(&state) } else { Exit::Done }));
    }
    if !follow {
        if news.lines.is_empty() && !is_json {
            warn("the run has printed nothing that its instance shows; to wait for it, add --follow");
        }
        return Ok(Some(Exit::Done));
    }
    Ok(None)
}
