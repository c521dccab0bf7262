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

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGKILL, SIGXCPU, SIGXFSZ};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::contract::{Handler, Invocation, StartedRun, Stop, stopped};
use super::kept_output::{KeptOutputs, RunOutput};
use super::render::{self, ArgvError, Values};
use super::{job_line, process_settings};
use crate::config::element::size;
use crate::event::live::Speaker;
use crate::event::{Bus, OutputStream, OutputTeller};
use crate::job::output_end::STDOUT_FOLLOWS;
use crate::job::{Failure, Outcome, run_variables};
use crate::process::runnable::{self, Unrunnable};
use crate::process::shim::{self, is_shim_error, is_shim_shortage};
use crate::process::{
    Command, OutputLine, Running, Source, SpawnError, Tail, background, mark, signal::UnsentKill, signal::unsent_kill,
    signal_name, spawn_retry, terminate,
};
use crate::task::handler_spec::{ExecSpec, OutputMode, ResultMode, StdinMode};

/// The exit status that means "later": `EX_TEMPFAIL` of sysexits.
const LATER: i32 = 75;
/// What shells and `env` exit with when they cannot run a program.
const NOT_RUN: i32 = 126;
/// The same when they do not find it.
const NOT_FOUND: i32 = 127;
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
        let failure = Failure::new("SpawnError", format!("task \"{}\": failed to {error}", job.task.name));
        if error.may_pass() { Outcome::unstarted(failure) } else { Outcome::Failure(failure) }
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
        Err(error) if error.is_shortage() => {
            return Outcome::NotStarted(format!("task \"{}\": failed to {error}", job.task.name));
        }
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
        terminate::outlast(&mut running.child, |left| captured.log.warn(&terminate::untouchable_text(left))).await;
    }
    captured.log.ended();
    running.output.rest(&mut |line| captured.take(line)).await;
    captured.end_file().await;
    let outcome = match running.child.reap() {
        Ok(status) if status.success() => Outcome::Success { result: captured.last.take() },
        _ if asked > Stop::No => captured.stopped(),
        Ok(status) => captured.judge(status, &spec, job.identity.later),
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
    let (name, args) = run_variables::args_variable(&job.args);
    command.env(name, args);
    if spec.output == OutputMode::Discard && spec.result == ResultMode::Nothing {
        command.discard_stdout();
    }
    if spec.stdin == StdinMode::Nothing {
        command.no_stdin();
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

/// What is kept of a process' output.
struct CapturedOutput {
    /// The end of stderr.
    tail: Tail,
    /// The end of stdout, as long as stderr says nothing or if all is kept: it explains what a run did when it was stopped.
    stdout: Tail,
    /// All of it, if the task says so, until the run ends.
    file: Option<RunOutput>,
    /// Does the task say so?
    is_kept: bool,
    /// Where all of it is.
    place: Option<String>,
    last: Option<String>,
    result: ResultMode,
    log: OutputTeller,
    /// For those who watch the run.
    speaker: Speaker,
}

impl CapturedOutput {
    fn new(spec: &ExecSpec, bus: Bus, kept: Option<&KeptOutputs>, job: &Invocation, speaker: Speaker) -> Self {
        let (id, task) = (&job.identity.id, &job.task.name);
        let log = OutputTeller::of_job(bus, Arc::clone(id), task.clone()).slowing();
        let kept = kept.filter(|_| spec.output == OutputMode::File);
        let log = if spec.output == OutputMode::Discard || kept.is_some() { log.quiet() } else { log };
        let file = kept.map(|kept| kept.of_run(&job.identity, &job.claim));
        let (tail, stdout) = (Tail::default(), Tail::default());
        let is_kept = file.is_some();
        Self { tail, stdout, is_kept, file, place: None, last: None, result: spec.result, log, speaker }
    }

    fn take(&mut self, line: OutputLine<'_>) {
        if let Some(file) = &mut self.file {
            file.take(&line);
        }
        if line.source == Source::Stdout && (self.is_kept || self.tail.is_empty()) {
            self.stdout.push(line.text);
        }
        if line.source == Source::Stderr {
            self.tail.push(line.text);
        } else if self.result == ResultMode::LastLine && !line.continued && !line.text.trim().is_empty() {
            // Only the beginning of a line that is too long is kept. Blank lines are no result.
            self.last = Some(line.text.to_owned());
        }
        self.speaker.run().print(line.text);
        let stream = if line.source == Source::Stderr { OutputStream::Stderr } else { OutputStream::Stdout };
        self.log.tell(stream, line.text, line.continued);
    }

    /// Passes on to the file what was taken.
    fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            file.flush();
        }
    }

    /// Until when nothing more is to be read.
    fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let by_file = self.file.as_mut().and_then(|file| file.held_until(now));
        self.log.held_until(now).max(by_file)
    }

    async fn end_file(&mut self) {
        if let Some(file) = self.file.take() {
            self.place = file.end().await;
        }
    }

    /// The run was stopped.
    fn stopped(&mut self) -> Outcome {
        let stdout = std::mem::take(&mut self.stdout).into_lines();
        let mut tail = std::mem::take(&mut self.tail).into_lines();
        if !stdout.is_empty() && (self.is_kept || tail.is_empty()) {
            tail.push(STDOUT_FOLLOWS.to_owned());
            tail.extend(stdout);
        }
        tail.extend(self.place.take());
        if tail.is_empty() { Outcome::Interrupted } else { Outcome::Stopped { tail } }
    }

    /// The end of stderr, and where the rest is.
    fn last_words(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.tail).into_lines();
        lines.extend(self.place.take());
        lines
    }

    fn judge(&mut self, status: ExitStatus, spec: &ExecSpec, later: u32) -> Outcome {
        match (status.code(), status.signal()) {
            (Some(LATER), _) if later < spec.later.limit => {
                Outcome::Later { delay: spec.later.delay, tail: self.last_words() }
            }
            (Some(LATER), _) => {
                let times = u64::from(later) + 1;
                let limit = spec.later.limit;
                self.failure(
                    "ExitStatus",
                    format!("exited with {LATER} (later) {times} times; retry_later_limit is {limit}"),
                )
            }
            (Some(status @ (shim::FAILED | shim::NOT_EXECUTED)), _)
                if spec.process.confines.is_some() && self.tail.last().is_some_and(is_shim_error) =>
            {
                let complaint = self.tail.last().unwrap_or_default().to_owned();
                if is_shim_shortage(&complaint) {
                    return Outcome::NotStarted(complaint);
                }
                match self.failure("SpawnError", complaint) {
                    Outcome::Failure(failure) if status == shim::NOT_EXECUTED => Outcome::unstarted(failure),
                    failure => failure,
                }
            }
            (Some(code @ (NOT_RUN | NOT_FOUND)), _) => {
                let why = fault(spec).map(|why| format!(": {why}")).unwrap_or_default();
                self.failure("ExitStatus", format!("exited with {code}{why}"))
            }
            (Some(code), _) => self.failure("ExitStatus", format!("exited with {code}")),
            (None, Some(signal)) => {
                let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
                let (why, killed) = match unsent(signal) {
                    Some(UnsentKill { text, is_unknown }) => (text, is_unknown),
                    None => (over(signal, spec).unwrap_or_default(), false),
                };
                let failure = Failure::new("Signal", format!("killed by signal {signal}{name}{why}"));
                Outcome::Failure(failure.with_backtrace(self.last_words()).killed_if(killed))
            }
            (None, None) => self.failure("ExitStatus", format!("ended in an unknown way: {status}")),
        }
    }

    fn failure(&mut self, exception: &str, error: String) -> Outcome {
        Outcome::Failure(Failure::new(exception, error).with_backtrace(self.last_words()))
    }
}

/// What is wrong with the program's file, after `env` in its first line did not find an interpreter.
fn fault(spec: &ExecSpec) -> Option<Unrunnable> {
    let search = spec.process.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
    runnable::fault(spec.argv.first()?.as_text()?.as_ref(), Some(&spec.process.cwd), search.as_deref())
}

/// That somebody else sent a signal: the kernel when memory ran out, another instance, a person.
fn unsent(signal: i32) -> Option<UnsentKill> {
    (signal == SIGKILL).then(unsent_kill)
}

/// The limit whose end a signal reports.
fn over(signal: i32, spec: &ExecSpec) -> Option<String> {
    let limits = spec.process.confines.as_ref()?.limits;
    match signal {
        SIGXCPU => limits.cpu_s.map(|limit| format!(": its limits.cpu is {limit}s")),
        SIGXFSZ => limits.file_size.map(|limit| format!(": its limits.file_size is {}", size::show(limit))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
