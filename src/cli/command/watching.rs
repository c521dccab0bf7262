//! `jobs output` of a run that goes on somewhere, and what is left of one that has ended.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::admin::AdminError;
use crate::admin::following::{Followed, JobPlace, is_end};
use crate::admin::results;
use crate::admin::running::{self, Run, Which};
use crate::admin::watching::{self, ANSWER, LOOK, LastWords, News, Watcher};
use crate::cli::args::JobsOutputArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, warn};
use crate::cli::told;
use crate::clock::{Clock as _, SystemClock};
use crate::job::shown_run::{RunUsage, ShownEnd};
use crate::job::{Progress, RunEnd, RunOutcome};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::clean::named;
use crate::text::count::counted;

/// How often it is looked where a job is that does not run, while its next run is far away, and before what that is so.
const FOLLOW: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(2);
const NEAR_MS: i64 = 5_000;
/// How many looks find a job nowhere before it is gone.
const GONE: u32 = 4;

/// How many looks wait until the end of a run is written that was seen to fail.
const UNWRITTEN: u32 = 100;

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
    let registry = context.tasks()?.registry;
    let (runs, _) = running::find(&store, Which::Ids(&wanted), 1).await?;
    if let Some(run) = runs.first() {
        let seen = watch(context, &store, id, run, args.follow).await?;
        if let (Some(outcome), Some(mut followed)) = (&seen.again, Followed::of_run(&store, &registry, run))
            && args.claim.is_none()
        {
            run.claim().into_iter().for_each(|claim| followed.is_over(claim));
            return follow_on(context, followed, outcome.clone()).await.map(Some);
        }
        return Ok(Some(seen.exit));
    }
    if args.follow
        && args.claim.is_none()
        && let Some(followed) = Followed::waiting(&store, &registry, id).await?
    {
        return follow_on(context, followed, String::new()).await.map(Some);
    }
    if has_file {
        return Ok(None);
    }
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

/// How a job has ended whose output is in a file here.
///
/// # Errors
/// Failures of the store.
pub(super) async fn ended(context: &CommandContext, args: &JobsOutputArgs, id: &str) -> Result<Exit, CliError> {
    let store: Store<Admin> = context.store().await?;
    if let Some(result) = results::find(&store, id).await?.result {
        return Ok(exit_of(&result.outcome));
    }
    let left = watching::last_words(&store, &context.tasks()?.registry, id, args.claim.as_deref()).await?;
    Ok(left.map_or(Exit::Done, |left| exit_of(&left.outcome)))
}

/// Follows a job whose last run was not its end, until it has ended.
async fn follow_on(context: &CommandContext, mut followed: Followed<'_>, mut last: String) -> Result<Exit, CliError> {
    let (mut told, mut missing, mut is_away) = (Told::default(), 0, false);
    loop {
        let mut pause = FOLLOW;
        let place = match followed.look().await {
            Ok(place) => place,
            // The job goes on meanwhile.
            Err(AdminError::Store(error)) if error.is_transient() => {
                if !std::mem::replace(&mut is_away, true) {
                    warn(&format!("failed to {error}; waiting for the store"));
                }
                sleep(FOLLOW).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        is_away = false;
        missing = if matches!(place, JobPlace::Nowhere | JobPlace::Unknown) { missing + 1 } else { 0 };
        match place {
            JobPlace::Runs(run) => {
                told = Told::default();
                let id = followed.id().to_owned();
                say(context, &format!("attempt {} runs on {}", run.view().attempt.unwrap_or(1), run.view().worker));
                let seen = watch(context, followed.store(), &id, &run, true).await?;
                run.claim().into_iter().for_each(|claim| followed.is_over(claim));
                match seen.again {
                    Some(outcome) => last = outcome,
                    None => return Ok(seen.exit),
                }
            }
            JobPlace::Delayed { second, identity } => {
                if told.delayed != Some(second) {
                    told.delayed = Some(second);
                    tell_next(context, second, identity.attempt);
                }
                let ahead_ms = second.saturating_mul(1000).saturating_sub(SystemClock.now_ms());
                pause = if ahead_ms > NEAR_MS { FAR } else { LOOK };
            }
            JobPlace::Queued(queue) => {
                if !std::mem::replace(&mut told.queued, true) {
                    say(context, &format!("the job waits on queue {}", named(&queue)));
                }
                pause = LOOK;
            }
            // What it wrote was seen.
            JobPlace::Ended(left) if is_failed(&last) => return Ok(exit_of(&left.outcome)),
            JobPlace::Ended(left) => {
                let id = followed.id().to_owned();
                return print_left(context, &id, left, true);
            }
            // Moved twice between the looks at two places, it would be missed once.
            JobPlace::Nowhere if missing < GONE => pause = LOOK,
            JobPlace::Nowhere if is_failed(&last) => return Ok(Exit::Failure),
            JobPlace::Nowhere => {
                let output = RunOutput { id: followed.id(), state: "gone".to_owned(), ..RunOutput::default() };
                if context.printer.is_json() {
                    context.printer.print(&output, String::new)?;
                }
                say(
                    context,
                    "the job has left its queue and is not on the failed list: it is done, unless it was deleted. Nothing is kept \
                     of how it ended (keep_results, keep_runs, enqueue --track)",
                );
                return Ok(Exit::Done);
            }
            // A run that was seen to its end is on record until its instance has written that.
            JobPlace::Unknown if is_failed(&last) && missing > UNWRITTEN => return Ok(Exit::Failure),
            JobPlace::Unknown if is_failed(&last) => pause = LOOK,
            JobPlace::Unknown => {
                if !std::mem::replace(&mut told.unknown, true) {
                    say(context, "the job has not ended, and where it waits cannot be told; waiting for its next run");
                }
            }
        }
        sleep(pause).await;
    }
}

/// What was told since the last run.
#[derive(Debug, Default)]
struct Told {
    delayed: Option<i64>,
    queued: bool,
    unknown: bool,
}

/// Did the last run end so? Whether it is tried again is decided when that is written.
fn is_failed(outcome: &str) -> bool {
    outcome == RunOutcome::Failed.word()
}

/// What stands between two attempts.
fn tell_next(context: &CommandContext, second: i64, attempt: u32) {
    let ms = second.saturating_mul(1000);
    let manner = context.printer.manner();
    let (at, distance) = (told::time(ms, manner.utc), told::distance(ms, SystemClock.now_ms()));
    say(context, &format!("attempt {attempt} comes at {at} ({distance})"));
}

/// Tells people something beside the output.
fn say(context: &CommandContext, text: &str) {
    if !context.printer.is_json() {
        warn(text);
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

/// How a run was seen.
#[derive(Debug)]
struct Seen {
    exit: Exit,
    /// It was followed to its end, which is not that of its job: what it led to.
    again: Option<String>,
}

impl Seen {
    fn of(exit: Exit) -> Self {
        Self { exit, again: None }
    }
}

async fn watch(
    context: &CommandContext,
    store: &Store<Admin>,
    id: &str,
    run: &Run,
    follow: bool,
) -> Result<Seen, CliError> {
    let Some(mut watcher) = Watcher::new(store, run.worker(), run.claim()) else {
        let worker = run.view().worker;
        return Err(CliError::Failed(format!(
            "the job is run by {worker}, a worker of another program, which shows nothing of it"
        )));
    };
    let begun = Instant::now();
    loop {
        let news = watcher.look().await?;
        if let Some(seen) = tell(context, id, &watcher, &news, follow)? {
            return Ok(seen);
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
) -> Result<Option<Seen>, CliError> {
    let unknown = || Seen { exit: Exit::Failure, again: follow.then(|| "unknown".to_owned()) };
    let Some(shown) = &news.shown else {
        return Ok(news.over.is_some().then(|| {
            warn("the run has ended, and its instance did not show how");
            unknown()
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
            warn(&format!("{} before these are not shown", counted(news.missed, "line", "lines")));
        }
        if !context.printer.stream(&output, || text(&output.lines))? {
            return Ok(Some(Seen::of(Exit::Done)));
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
        return Ok(Some(match follow {
            false => Seen::of(Exit::Done),
            true if end.is_none() => unknown(),
            true => {
                Seen { exit: exit_of(&state), again: Some(state).filter(|state| !is_end(state) || is_failed(state)) }
            }
        }));
    }
    if !follow {
        if news.lines.is_empty() && !is_json {
            warn("the run has printed nothing that its instance shows; to wait for it, add --follow");
        }
        return Ok(Some(Seen::of(Exit::Done)));
    }
    Ok(None)
}
