//! A process for each job.
//!
//! The program gets the job in three ways: placeholders in argv, one JSON line on stdin (unless it is to have none), and
//! variables in the environment. The exit status alone decides the outcome:
//!
//! | status | outcome |
//! |---|---|
//! | 0 | success |
//! | 75 (`EX_TEMPFAIL`) | later, a bounded number of times |
//! | any other, or a signal | failure, with the end of stderr as backtrace |
//! | anything but 0 after a stop was asked for | interrupted |
//!
//! A stopped run leaves nothing behind that it started, in its process group or outside of it. A run that ended by itself
//! leaves its background processes alone, and what they write is read on.

mod captured;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::captured::CapturedOutput;
use super::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use super::kept_output::KeptOutputs;
use super::render::{self, ArgvError, Values};
use super::{job_line, process_settings};
use crate::event::Bus;
use crate::job::{Failure, Outcome, run_variables};
use crate::process::{Command, OutputLine, Running, SpawnError, background, mark, spawn_retry, terminate};
use crate::task::handler_spec::{ExecSpec, OutputMode, ResultMode, StdinMode};

/// How long the group of a stopped run may outlive its leader, unless a more urgent stop comes.
const GROUP_GRACE: Duration = Duration::from_secs(5);

/// The handler of a task with `exec = [...]`.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    spec: Arc<ExecSpec>,
    bus: Bus,
    /// Where outputs are kept; without it they are logged.
    kept: Option<KeptOutputs>,
}

impl Exec {
    /// Makes the handler that `[run]` describes; output goes to the bus, or is kept.
    #[must_use]
    pub(crate) fn new(spec: ExecSpec, bus: Bus, kept: Option<KeptOutputs>) -> Self {
        Self { spec: Arc::new(spec), bus, kept }
    }
}

impl Handler for Exec {
    fn begin(&self, job: Invocation, stop: watch::Receiver<Stop>) -> StartedRun {
        StartedRun::Running(Box::pin(run(self.clone(), job, stop)))
    }
}

async fn run(Exec { spec, bus, kept }: Exec, job: Invocation, mut stop: watch::Receiver<Stop>) -> Outcome {
    let failed = |exception: &str, error: &dyn std::fmt::Display| {
        Outcome::Failure(Failure::new(exception, format!("task \"{}\": {error}", job.task.name)))
    };
    let unstarted = |error: SpawnError| {
        let text = format!("task \"{}\": failed to {error}", job.task.name);
        let failure = |text| Failure::new("SpawnError", text);
        match error {
            _ if error.is_shortage() => Outcome::NotStarted(text),
            _ if error.may_pass() => Outcome::unstarted(failure(text)),
            _ => Outcome::Failure(failure(text)),
        }
    };
    let command = match command(&spec, &job) {
        Ok(command) => command,
        Err(CommandError::Argv(error)) => return failed("ArgumentError", &error),
        Err(CommandError::Settings(error)) => return unstarted(error),
    };
    let mut running = match start(&command, &spec, &job, &mut stop).await {
        Ok(Some(running)) => running,
        Ok(None) if job.lease.may_have_lapsed() => return Outcome::ClaimDoubted,
        Ok(None) => return Outcome::Interrupted,
        Err(error) => return unstarted(error),
    };
    let speaker = bus.live().speaker(&job.claim);
    speaker.run().has_group(running.child.pid().as_raw_pid().unsigned_abs());
    let mut captured = CapturedOutput::new(&spec, bus, kept.as_ref(), &job, speaker);
    let asked = follow(&mut running, &mut captured, &mut stop).await;
    let is_over = match asked {
        Stop::No => true,
        Stop::Terminate => {
            let urgent = async {
                stopped(&mut stop, Stop::Terminate).await;
            };
            terminate::end_all(&mut running.child, GROUP_GRACE, urgent).await
        }
        Stop::Kill => terminate::end_all(&mut running.child, Duration::ZERO, async {}).await,
    };
    if !is_over {
        // The job is not over while they work: the locks and the processor are theirs.
        terminate::outlast(&mut running.child, |told| captured.log.warn(told)).await;
    }
    captured.log.ended();
    running.output.rest(&mut |line| captured.take(line)).await;
    captured.end_file().await;
    let outcome = match running.child.reap() {
        Ok(status) if status.success() => Outcome::Success { result: captured.last.take() },
        _ if asked > Stop::No => captured.stopped(),
        Ok(status) => match running.output.shim_word() {
            Some(word) => captured.unbegun(word),
            None => captured.judge(status, &spec, job.identity.later),
        },
        Err(error) => captured.failure("ExitStatus", format!("its exit status was lost: {error}")),
    };
    if asked == Stop::No && running.output.is_open() {
        captured.log.goes_on();
        background::read_on(running.output, captured.log);
    }
    outcome
}

/// Why there is no command.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Argv(#[from] ArgvError),
    #[error(transparent)]
    Settings(#[from] SpawnError),
}

/// The command of a job.
fn command(spec: &ExecSpec, job: &Invocation) -> Result<Command, CommandError> {
    let values = Values { args: &job.args, id: &job.identity.id, queue: job.queue.as_str() };
    let mut argv = render::argv(spec, values)?.into_iter();
    let mut command = Command::new(argv.next().unwrap_or_default());
    command.args(argv);
    for name in run_variables::OPTIONAL {
        command.env_remove(name);
    }
    process_settings::apply(&mut command, &spec.process)?;
    command
        .env("WINDLASS_JOB_ID", &*job.identity.id)
        .env("WINDLASS_CLAIM", job.claim.as_str())
        .env("WINDLASS_TASK", job.task.name.as_str())
        .env("WINDLASS_QUEUE", job.queue.as_str())
        .env("WINDLASS_ATTEMPT", job.identity.attempt.to_string())
        .env(mark::INSTANCE, &*job.instance);
    if let Some(at) = &job.scheduled_at {
        command.env(run_variables::SCHEDULED_AT, &**at);
    }
    #[cfg(feature = "otel")]
    if let Some(trace) = &job.trace {
        // What the daemon itself was started in is another trace.
        command.env_remove(run_variables::TRACESTATE).env(run_variables::TRACEPARENT, trace.context.to_string());
    }
    let (name, args) = run_variables::args_variable(&job.args);
    command.env(name, args);
    if spec.output == OutputMode::Discard && spec.result == ResultMode::Nothing {
        command.discard_stdout();
    }
    if spec.stdin == StdinMode::Nothing {
        command.no_stdin();
    }
    if spec.progress {
        command.with_status();
    }
    Ok(command)
}

/// Starts the process, and tries again for a moment while the system is short of a resource. `None` if a stop was
/// asked for or the lease may have run out before the process started.
async fn start(
    command: &Command,
    spec: &ExecSpec,
    job: &Invocation,
    stop: &mut watch::Receiver<Stop>,
) -> Result<Option<Running>, SpawnError> {
    let line = || if spec.stdin == StdinMode::Job { job_line::line(job) } else { Vec::new() };
    let spawn = || match job.lease.may_have_lapsed() {
        true => Ok(None),
        false => Running::spawn(command, line()).map(Some),
    };
    tokio::select! {
        biased;
        _ = stopped(stop, Stop::No) => Ok(None),
        started = spawn_retry::start(spawn) => started,
    }
}

/// Feeds and reads the process until it ends, and passes on each stop that is asked for. Returns the most urgent one.
async fn follow(running: &mut Running, captured: &mut CapturedOutput, stop: &mut watch::Receiver<Stop>) -> Stop {
    let Running { child, input, output } = running;
    let (mut asked, mut open) = (Stop::No, true);
    // When a process that was killed and lives is looked at.
    let mut dying = None;
    loop {
        // One that writes faster than the log takes waits in its pipe, and may end or be stopped meanwhile.
        captured.flush();
        let held = captured.held_until(Instant::now());
        let mut sink = |line: OutputLine<'_>| captured.take(line);
        tokio::select! {
            () = child.exited() => return asked,
            more = output.pump(&mut sink), if open && held.is_none() => open = more,
            () = sleep_until(held.unwrap_or_else(Instant::now)), if held.is_some() => {}
            never = input.feed() => match never {},
            () = sleep_until(dying.unwrap_or_else(Instant::now)), if dying.is_some() => {
                dying = None;
                let left = terminate::untouchable(child).await;
                if !left.is_empty() {
                    captured.log.warn(&terminate::untouchable_text(&left));
                }
            }
            urgency = stopped(stop, asked) => {
                asked = urgency;
                dying = (asked == Stop::Kill).then(|| Instant::now() + terminate::DYING);
                if asked == Stop::Kill { terminate::kill_all(child).await } else { terminate::term_all(child).await }
            }
        }
    }
}

#[cfg(test)]
mod tests;
