//! `jobs result` and `enqueue --wait`: what a job leads to, waited for if need be.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::SIGINT;
use tokio::time::{Instant, sleep};

use crate::admin::job_ids;
use crate::admin::results::{self, KnownJob, ResultView};
use crate::admin::running::{self, Which};
use crate::admin::watching::{LOOK, Watcher};
use crate::admin::{AdminError, running::RunningView};
use crate::cli::args::JobsResultArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, show_output, warn};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::count::counted;
use crate::text::shell;

/// How often the runs are looked through for one of the job.
const SEARCH: Duration = Duration::from_secs(2);
/// How long the last words of a run are waited for after its end is known.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is shown while a job is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// What it prints.
    Output,
    /// Nothing but what it led to.
    Result,
}

/// `jobs result`.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn result(context: &CommandContext, args: &JobsResultArgs) -> Result<Exit, CliError> {
    let store: Store<Admin> = context.store().await?;
    let mut id = args.id.clone();
    let mut known = results::find(&store, &id).await?;
    let mut run = if known.result.is_none() { run_of(&store, &id).await? } else { None };
    // The beginning of an id, or one under which the job is known otherwise.
    if known.result.is_none()
        && known.tracked.is_none()
        && run.is_none()
        && let Some(meant) = job_ids::whole(&store, &id, []).await?
    {
        id = meant;
        known = results::find(&store, &id).await?;
        run = run_of(&store, &id).await?;
    }
    let (id, KnownJob { tracked, result, .. }) = (id.as_str(), known);
    if let Some(result) = result {
        return print(context, &result);
    }
    if tracked.is_none() && run.is_none() {
        warn(&format!(
            "nothing is known of job {id}: it does not run, it is not tracked (enqueue --track), and its task keeps no results \
             (keep_results), or not for so long"
        ));
        return Ok(Exit::NotFound);
    }
    let Some(limit) = args.wait else {
        let state = match (&run, &tracked) {
            (Some(run), _) => format!("runs on {}", run.worker),
            (None, Some(tracked)) => format!("waits, since {} on queue {}", tracked.enqueued, tracked.queue),
            (None, None) => "waits".to_owned(),
        };
        warn(&format!("the job has not ended: it {state}. To wait for it, add --wait"));
        return Ok(Exit::Failure);
    };
    wait(context, &store, id, limit, Shows::Result).await
}

async fn run_of(store: &Store<Admin>, id: &str) -> Result<Option<RunningView>, AdminError> {
    let (runs, _) = running::find(store, Which::Ids(&[id.to_owned()]), 1).await?;
    Ok(runs.first().map(running::Run::view))
}

/// Waits for a job's end, and exits as it does.
///
/// # Errors
/// Failures of the store that do not pass.
pub(super) async fn wait(
    context: &CommandContext,
    store: &Store<Admin>,
    id: &str,
    limit: Option<Duration>,
    shows: Shows,
) -> Result<Exit, CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let caught = signal_hook::flag::register(SIGINT, Arc::clone(&interrupted));
    let mut waiting = Waiting { store, id, printed: Printed::default(), watcher: None, searched: None };
    let begun = Instant::now();
    let mut told = false;
    loop {
        match waiting.look(context, shows).await {
            Ok(Some(result)) => {
                if shows == Shows::Output {
                    waiting.last_words(context, &result).await;
                    return Ok(exit_of(&result));
                }
                return print(context, &result);
            }
            Ok(None) => {}
            // The job goes on meanwhile.
            Err(AdminError::Store(error)) if error.is_transient() => {
                if !std::mem::replace(&mut told, true) {
                    warn(&format!("failed to {error}; waiting for the store"));
                }
            }
            Err(error) => return Err(error.into()),
        }
        let look_on = || {
            let (output, result) = (shell::command("jobs output", &[id]), shell::command("jobs result", &[id]));
            format!("look on: {output} --follow, or {result} --wait")
        };
        if caught.is_ok() && interrupted.load(Ordering::Relaxed) {
            warn(&format!("the job goes on; {}", look_on()));
            return Ok(Exit::Interrupted);
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            warn(&format!("the job has not ended in time, and goes on; {}", look_on()));
            return Ok(Exit::Late);
        }
        sleep(LOOK).await;
    }
}

/// A job that is waited for.
struct Waiting<'s> {
    store: &'s Store<Admin>,
    id: &'s str,
    printed: Printed,
    watcher: Option<Watcher<'s>>,
    searched: Option<Instant>,
}

/// What was printed already.
#[derive(Default)]
struct Printed {
    /// The runs whose output was seen to its end.
    over: HashSet<String>,
    /// The number of the next line of a run that is watched.
    next: u64,
}

impl<'s> Waiting<'s> {
    /// What the job led to, if it has ended. Meanwhile what it prints is printed.
    async fn look(&mut self, context: &CommandContext, shows: Shows) -> Result<Option<ResultView>, AdminError> {
        let known = results::find(self.store, self.id).await?;
        if known.result.is_some() {
            return Ok(known.result);
        }
        if shows == Shows::Result {
            return Ok(None);
        }
        if self.watcher.is_none() && self.searched.is_none_or(|at| at.elapsed() >= SEARCH) {
            self.searched = Some(Instant::now());
            let (runs, _) = running::find(self.store, Which::Ids(&[self.id.to_owned()]), 1).await?;
            self.watcher = runs.first().and_then(|run| Watcher::new(self.store, run.worker(), run.claim()));
            if self.watcher.as_ref().is_some_and(|watcher| self.printed.over.contains(watcher.claim().as_str())) {
                self.watcher = None;
            }
            self.printed.next = 0;
        }
        if let Some(watcher) = &mut self.watcher {
            let news = watcher.look().await?;
            show(context, news.missed, &news.lines);
            if let Some(shown) = &news.shown {
                self.printed.next = self.printed.next.max(shown.next());
            }
            if news.over.is_some() {
                self.printed.over.insert(watcher.claim().to_string());
                self.watcher = None;
            }
        }
        Ok(None)
    }

    /// Prints what the last run has printed and was not seen, and how the job ended.
    async fn last_words(&mut self, context: &CommandContext, result: &ResultView) {
        let claim = result.claim.as_deref().unwrap_or_default();
        let mut is_seen = self.printed.over.contains(claim);
        let mut next = match &self.watcher {
            Some(watcher) if results::is_watched(watcher, claim) => self.printed.next,
            _ => 0,
        };
        let begun = Instant::now();
        while !is_seen && begun.elapsed() < LAST_WORDS {
            // It is printed for convenience: what the job led to is known.
            if let Ok(Some(shown)) = results::shown(self.store, claim).await {
                let (missed, lines) = shown.lines_from(next);
                show(context, missed, lines);
                next = next.max(shown.next());
                is_seen = shown.end.is_some();
            }
            if !is_seen {
                sleep(LOOK).await;
            }
        }
        if next == 0 && !is_seen {
            show(context, 0, &result.output);
        }
        if context.printer.is_json() {
            let _ = context.printer.print(result, String::new);
        } else if !result.is_done() {
            tell_failed(result);
        }
    }
}

/// Lines of the job's output. They go to stderr if a document goes to stdout.
fn show(context: &CommandContext, missed: u64, lines: &[String]) {
    if missed > 0 {
        warn(&format!("{} before these are not shown", counted(missed, "line", "lines")));
    }
    if context.printer.is_json() {
        return lines.iter().for_each(|line| show_output(line));
    }
    let mut text = Text::default();
    lines.iter().for_each(|line| text.push(line));
    // How the job ends is worth more than what nobody reads.
    let _ = context.printer.print(&(), || text);
}

fn tell_failed(result: &ResultView) {
    let why = result.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    warn(&format!("the job has ended ({}){why}", result.outcome));
}

/// Prints what a job led to.
fn print(context: &CommandContext, result: &ResultView) -> Result<Exit, CliError> {
    context.printer.print(result, || {
        let mut text = Text::default();
        for line in result.result.iter().flat_map(|result| result.lines()) {
            text.push(line);
        }
        text
    })?;
    if !context.printer.is_json() && !result.is_done() {
        result.output.iter().for_each(|line| show_output(line));
        tell_failed(result);
    }
    if result.truncated {
        warn("the result is longer than is kept; this is its beginning");
    }
    Ok(exit_of(result))
}

/// As the job did: 0 if it is done, the code of its program if that failed.
fn exit_of(result: &ResultView) -> Exit {
    match result.exit_code {
        _ if result.is_done() => Exit::Done,
        Some(code) => Exit::Job(code),
        None => Exit::Failure,
    }
}
