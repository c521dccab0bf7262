//! `perform`: runs a task here and now, as a worker would, without a store.
//!
//! Custom plugins of the task are called around the run; built-in ones are not, and nothing is retried, because the
//! command is for trying out a task. Output goes to stderr as it comes, the outcome to stdout.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cli::args::PerformArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::output::{Text, show_output, warn};
use crate::cli::sample::refused;
use crate::client::Request;
use crate::daemon::directions;
use crate::event::{Bus, Event, EventKind};
use crate::handler::contract::{Invocation, StartedRun, Stop};
use crate::handler::dispatch::Dispatch;
use crate::handler::lease_watch::LeaseWatch;
use crate::job::{ClaimToken, Failure, Identity, Outcome};
use crate::plugin::hook::{HookPoint, HookPoints};
use crate::plugin::hooks::{Hooks, Refusal};
use crate::pool::hooked_run::{HookedRun, Performed};
use crate::process::{background, mark};

/// The largest amount of queued output, in bytes.
const WAITING: usize = 8 * 1024 * 1024;
/// How much longer than their limit the children of a handler may take to end.
const RETIRE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum PerformOutput {
    Success { duration_ms: u64, result: Option<String> },
    Failure { duration_ms: u64, exception: String, error: String, backtrace: Vec<String> },
    Later { duration_ms: u64, delay_ms: u64 },
    Interrupted { duration_ms: u64 },
    Vetoed { duration_ms: u64, plugin: String, reason: Option<String> },
}

/// Performs a task.
///
/// # Errors
/// Unknown tasks, refused arguments. The failure of the job is a result, not an error.
pub(crate) async fn run(context: &CommandContext, args: PerformArgs) -> Result<Exit, CliError> {
    let config = context.config()?.config;
    let grace = config.shutdown.kill_grace;
    // What the program enqueues goes where this command was led to.
    match directions::give(&config, &Handle::current()) {
        Ok(name) => mark::name_daemon(name),
        Err(error) => warn(&format!("`windlass enqueue` in the program will fail: {error}")),
    }
    let tasks = context.tasks()?;
    let request = Request { args: input::arguments(context, &args.args)?, task: args.task, ..Request::default() };
    let job = context.resolve(&request, &tasks).map_err(|error| refused(error, &request, &tasks.registry))?;

    let (bus, listeners) = Bus::new(&[EventKind::Output.bit() | EventKind::Warning.bit()], WAITING);
    bus.hide(&config.log.redact);
    let writer = write_output(listeners);
    let dispatch = Dispatch::new(&tasks.registry, &context.extensions().builtins(bus.clone()), bus.clone());
    let Some((task, handler)) =
        dispatch.get(job.task.as_str()).map(|(task, handler)| (Arc::clone(task), Arc::clone(handler)))
    else {
        return Err(CliError::Failed(format!("task {:?} has no handler", job.task.as_str())));
    };
    let instance = instance()?;
    let claim = ClaimToken::new(&instance, 0, 1, 0);
    let timeout = task.timeout;
    let plugins = context.plugins();
    let hooks = if Hooks::any(&task, &plugins, HookPoints::PERFORM) {
        let hooks = Hooks::of(&task, &plugins, HookPoint::BeforePerform, &bus);
        Some(hooks.map_err(|failure| CliError::Failed(failure.to_string()))?)
    } else {
        None
    };
    drop(bus);
    let invocation = Invocation {
        scheduled_at: None,
        task,
        queue: job.queue.clone(),
        args: Bytes::from(job.args.as_str().to_owned()),
        identity: Identity::first(&claim),
        claim,
        instance: Arc::from(instance),
        lease: LeaseWatch::default(),
        #[cfg(feature = "otel")]
        trace: None,
    };

    let stop = Arc::new(watch::Sender::new(Stop::No));
    let signals = listen(&stop)?;
    let began = Instant::now();
    let performed = if let Some(hooks) = hooks {
        let hooked = HookedRun { hooks, handler: Arc::clone(&handler), invocation, grace };
        hooked.perform(stop.subscribe()).await
    } else {
        Performed::Ran(match handler.begin(invocation, stop.subscribe()) {
            StartedRun::Ended(outcome) => outcome,
            StartedRun::Running(run) => within(timeout, grace, &stop, run).await,
        })
    };
    let duration = began.elapsed();
    signals.close();
    // A child that could serve more jobs is not needed any more.
    let retiring = handler.retire(Instant::now() + grace);
    let _ = tokio::time::timeout(grace + RETIRE, retiring).await;
    if background::close() {
        warn(
            "the program has left processes in the background; their next write to its stdout or stderr will fail. In a \
              daemon such output goes to the log",
        );
    }
    // This drops the last senders of output, so the writer ends when everything is written.
    drop((handler, dispatch));
    if let Some(writer) = writer {
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    }
    let output = match performed {
        Performed::Ran(outcome) => PerformOutput::of(outcome, duration),
        Performed::NotBegun => PerformOutput::of(Outcome::Interrupted, duration),
        Performed::Vetoed(refusal) => PerformOutput::vetoed(refusal, duration),
    };
    context.printer.report(&output, || output.text())?;
    Ok(if matches!(output, PerformOutput::Success { .. }) { Exit::Done } else { Exit::Failure })
}

/// A random name that identifies the processes of this run.
fn instance() -> Result<String, CliError> {
    let random = getrandom::u64().map_err(|error| CliError::Failed(format!("failed to draw an id: {error}")))?;
    Ok(format!("{random:016x}"))
}

/// The first signal asks the task to end, a second one ends it.
fn listen(stop: &Arc<watch::Sender<Stop>>) -> Result<signal_hook::iterator::Handle, CliError> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT])
        .map_err(|error| CliError::Failed(format!("failed to listen for signals: {error}")))?;
    let handle = signals.handle();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            stop.send_modify(|stop| *stop = if *stop == Stop::No { Stop::Terminate } else { Stop::Kill });
        }
    });
    Ok(handle)
}

async fn within(
    timeout: Option<Duration>,
    grace: Duration,
    stop: &watch::Sender<Stop>,
    run: impl Future<Output = Outcome>,
) -> Outcome {
    let mut run = std::pin::pin!(run);
    let Some(limit) = timeout else { return run.await };
    if let Ok(outcome) = tokio::time::timeout(limit, &mut run).await {
        return outcome;
    }
    stop.send_modify(|stop| *stop = (*stop).max(Stop::Terminate));
    if tokio::time::timeout(grace, &mut run).await.is_err() {
        stop.send_replace(Stop::Kill);
        run.await;
    }
    Outcome::Failure(Failure::new("Timeout", format!("timed out after {}", humantime::format_duration(limit))))
}

/// Writes the output of the task to stderr, line by line, until all senders are dropped.
fn write_output(listeners: Vec<crate::event::bus::Listener>) -> Option<JoinHandle<()>> {
    let listener = listeners.into_iter().next()?;
    Some(std::thread::spawn(move || {
        while let Some(event) = listener.next() {
            match event {
                Event::Output { line, .. } | Event::ChildOutput { line, .. } => show_output(&line),
                Event::Warning { text } => warn(&text),
                _ => {}
            }
        }
        match listener.take_lost() {
            0 => {}
            lost => warn(&format!("{lost} lines of output came too fast to be shown")),
        }
    }))
}

impl PerformOutput {
    fn of(outcome: Outcome, duration: Duration) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let duration_ms = ms(duration);
        match outcome {
            Outcome::Success { result } => Self::Success { duration_ms, result },
            // Nothing redelivers the job here, so a crash is a failure.
            Outcome::Failure(failure) | Outcome::Crashed(failure) | Outcome::Unstarted { failure, .. } => {
                let Failure { exception, error, backtrace, .. } = failure;
                Self::Failure { duration_ms, exception, error, backtrace }
            }
            Outcome::Later { delay, .. } => Self::Later { duration_ms, delay_ms: ms(delay) },
            Outcome::NotStarted(error) => {
                Self::Failure { duration_ms, exception: "SpawnError".to_owned(), error, backtrace: Vec::new() }
            }
            // No lease runs out here, and nobody cancels.
            Outcome::Interrupted | Outcome::Stopped { .. } | Outcome::Cancelled { .. } | Outcome::ClaimDoubted => {
                Self::Interrupted { duration_ms }
            }
        }
    }

    fn vetoed(Refusal { plugin, reason }: Refusal, duration: Duration) -> Self {
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::Vetoed { duration_ms, plugin: plugin.to_string(), reason }
    }

    fn text(&self) -> Text {
        Text::from(match self {
            Self::Success { duration_ms, result: None } => format!("success in {duration_ms} ms"),
            Self::Success { duration_ms, result: Some(result) } => {
                format!("success in {duration_ms} ms: {}", result)
            }
            Self::Failure { duration_ms, exception, error, backtrace } => {
                let text = Text::from(format!("failure after {duration_ms} ms: {exception}: {error}"));
                return backtrace.iter().fold(text, |text, line| text.and(format!("  {line}")));
            }
            Self::Later { duration_ms, delay_ms } => {
                format!(
                    "after {duration_ms} ms the task asked to be run again in {delay_ms} ms; perform does not run it again"
                )
            }
            Self::Interrupted { duration_ms } => format!("interrupted after {duration_ms} ms"),
            Self::Vetoed { duration_ms, plugin, reason } => {
                let why = reason.as_deref().map(|reason| format!(": {}", reason)).unwrap_or_default();
                format!("not run: after {duration_ms} ms {plugin} refused{why}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_with_stable_names() {
        let json = |outcome| serde_json::to_string(&PerformOutput::of(outcome, Duration::from_millis(7))).unwrap();
        assert_eq!(
            json(Outcome::Success { result: Some("42".into()) }),
            r#"{"outcome":"success","duration_ms":7,"result":"42"}"#
        );
        assert_eq!(
            json(Outcome::Failure(Failure::new("Error", "boom"))),
            r#"{"outcome":"failure","duration_ms":7,"exception":"Error","error":"boom","backtrace":[]}"#
        );
        assert_eq!(
            json(Outcome::Later { delay: Duration::from_secs(30), tail: Vec::new() }),
            r#"{"outcome":"later","duration_ms":7,"delay_ms":30000}"#
        );
        assert_eq!(json(Outcome::Interrupted), r#"{"outcome":"interrupted","duration_ms":7}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_takes_too_long_is_stopped() {
        let stop = watch::Sender::new(Stop::No);
        let mut told = stop.subscribe();
        let run = async move {
            let _ = told.wait_for(|stop| *stop == Stop::Kill).await;
            Outcome::Interrupted
        };
        let outcome = within(Some(Duration::from_secs(60)), Duration::from_secs(5), &stop, run).await;
        assert!(matches!(outcome, Outcome::Failure(failure) if failure.error == "timed out after 1m"));
    }
}
