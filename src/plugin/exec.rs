//! Plugins that are programs: one process for each hook and job, without a shell, in its own process group.
//!
//! The program gets one JSON line on stdin, and the same facts in the environment for programs that do not read JSON.
//! It answers with one JSON document on stdout, or with nothing, which allows. Anything else (another exit status, a
//! signal, no answer in time, an invalid or too long answer) is a named error with the last lines of stderr. It never
//! counts as permission.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use super::hook::{Decision, Hook, HookError, HookJob, HookPoint, HookPoints};
use crate::event::{Bus, OutputStream, OutputTeller};
use crate::job::ecma::quote;
use crate::job::{Outcome, TaskName, run_variables};
use crate::process::{
    Command, OutputLine, Running, ShimWord, Source, Tail, Unbegun, background, confine, mark, signal::unsent_kill,
    signal_name, spawn_retry, terminate,
};
use crate::task::plugin_spec::PluginProgram;

pub(crate) mod answer;

/// The longest answer, in bytes.
const ANSWER_CAP: usize = 64 * 1024;
/// How long a program that did not answer in time may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// A plugin that is a program.
#[derive(Debug)]
pub(crate) struct ExecHook {
    program: Arc<PluginProgram>,
    name: Arc<str>,
    bus: Bus,
}

impl ExecHook {
    /// Makes the plugin of this name. What it writes to stderr during a run goes to `bus`, like a job's output.
    #[must_use]
    pub(crate) fn new(program: Arc<PluginProgram>, name: Arc<str>, bus: Bus) -> Self {
        Self { program, name, bus }
    }
}

#[async_trait]
impl Hook for ExecHook {
    fn points(&self) -> HookPoints {
        self.program.points
    }

    async fn before_enqueue(&self, job: &HookJob) -> Result<Decision, HookError> {
        let (answer, tail) = self.ask(HookPoint::BeforeEnqueue, job, None).await?;
        answer::decision(&answer).map_err(|error| bad_answer(error, tail))
    }

    async fn after_enqueue(&self, job: &HookJob) -> Result<(), HookError> {
        let (answer, tail) = self.ask(HookPoint::AfterEnqueue, job, None).await?;
        answer::nothing(&answer).map_err(|error| bad_answer(error, tail))
    }

    async fn before_perform(&self, job: &HookJob) -> Result<Decision, HookError> {
        let (answer, tail) = self.ask(HookPoint::BeforePerform, job, None).await?;
        answer::decision(&answer).map_err(|error| bad_answer(error, tail))
    }

    async fn after_perform(&self, job: &HookJob, outcome: Outcome) -> Result<Outcome, HookError> {
        let (answer, tail) = self.ask(HookPoint::AfterPerform, job, Some(&outcome)).await?;
        let clears = answer::clears(&answer).map_err(|error| bad_answer(error, tail))?;
        let failed = matches!(outcome, Outcome::Failure(_));
        Ok(if clears && failed { Outcome::Success { result: None } } else { outcome })
    }
}

fn bad_answer(error: String, tail: Tail) -> HookError {
    named("PluginAnswer", error, tail)
}

fn named(exception: &str, error: String, tail: Tail) -> HookError {
    HookError { backtrace: tail.into_lines(), ..HookError::new(error).with_exception(exception) }
}

/// Why the reading of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadEnd {
    /// The program exited.
    Exited,
    /// The answer is too long.
    TooLong,
    /// The answer did not arrive in time.
    Hung,
    /// The run was cut off, so no answer is needed.
    CutOff,
}

impl ExecHook {
    /// Runs the program; returns its stdout, and the last lines of its stderr.
    async fn ask(
        &self,
        point: HookPoint,
        job: &HookJob,
        outcome: Option<&Outcome>,
    ) -> Result<(String, Tail), HookError> {
        let mut running = self.start(point, &self.command(point, job), &self.question(point, job, outcome)).await?;
        let deadline = Instant::now() + self.program.timeout;
        let log = self.log(job);
        let mut captured = HookOutput { stdout: String::new(), too_long: false, tail: Tail::default(), log };
        let end = follow(&mut running, &mut captured, deadline, job).await;
        match end {
            ReadEnd::Exited => {}
            ReadEnd::TooLong => terminate::end(&mut running.child, Duration::ZERO).await,
            ReadEnd::Hung | ReadEnd::CutOff => terminate::end(&mut running.child, GRACE).await,
        }
        running.output.rest(&mut |line| captured.take(line)).await;
        let end = if end == ReadEnd::Exited && captured.too_long { ReadEnd::TooLong } else { end };
        let status = running.child.reap();
        let word = running.output.shim_word().cloned();
        if end == ReadEnd::Exited && running.output.is_open() {
            background::read_on(running.output, captured.log);
        }
        match (end, status) {
            (ReadEnd::Exited, _) if let Some(word) = word => Err(unbegun(&word, captured.tail)),
            (ReadEnd::Exited, Ok(status)) if status.success() => Ok((captured.stdout, captured.tail)),
            (ReadEnd::Exited, Ok(status)) => Err(ended_badly(status, captured.tail)),
            (ReadEnd::Exited, Err(error)) => {
                Err(named("PluginExitStatus", format!("its exit status was lost: {error}"), captured.tail))
            }
            (ReadEnd::TooLong, _) => {
                Err(named("PluginOutput", format!("wrote more than {ANSWER_CAP} bytes to stdout"), captured.tail))
            }
            (ReadEnd::Hung, _) => {
                let limit = humantime::format_duration(self.program.timeout);
                Err(named("PluginTimeout", format!("did not answer within {limit}"), captured.tail))
            }
            (ReadEnd::CutOff, _) => {
                Err(named("PluginError", "was cut off before it answered".to_owned(), captured.tail))
            }
        }
    }

    fn command(&self, point: HookPoint, job: &HookJob) -> Command {
        let mut argv = self.program.argv.iter();
        let mut command = Command::new(argv.next().cloned().unwrap_or_default());
        command.args(argv).cwd(&self.program.cwd).changed_by(self.program.trusted.clone());
        // Anyone who may write the files of the task's user must not reach root through a plugin. A client that is not root
        // has no other rights to give.
        if let Some(account) = self.program.account.as_ref().filter(|_| confine::is_root()) {
            command.confine(Arc::clone(account));
        }
        // This process may itself be part of a run; the variables of that run name another job.
        for name in run_variables::ALL {
            command.env_remove(name);
        }
        command
            .env("WINDLASS_HOOK", point.name())
            .env("WINDLASS_PLUGIN", &*self.name)
            .env("WINDLASS_TASK", job.task.as_str())
            .env("WINDLASS_QUEUE", job.queue.as_str());
        if let Some(identity) = &job.identity {
            command.env("WINDLASS_JOB_ID", &*identity.id).env("WINDLASS_ATTEMPT", identity.attempt.to_string());
        }
        if let Some(at) = &job.scheduled_at {
            command.env("WINDLASS_SCHEDULED_AT", &**at);
        }
        if let Some(claim) = &job.claim {
            command.env("WINDLASS_CLAIM", claim.as_str());
        }
        if let Some(instance) = &job.instance {
            command.env(mark::INSTANCE, &**instance);
        }
        let (name, args) = run_variables::args_variable(&job.args);
        command.env(name, args);
        command
    }

    /// The question as one line of JSON.
    fn question(&self, point: HookPoint, job: &HookJob, outcome: Option<&Outcome>) -> Vec<u8> {
        let mut line = format!(
            "{{\"hook\":{},\"plugin\":{},\"task\":{},\"queue\":{},\"args\":",
            quote(point.name()),
            quote(&self.name),
            quote(job.task.as_str()),
            quote(job.queue.as_str()),
        )
        .into_bytes();
        run_variables::push_args(&mut line, &job.args);
        let mut rest = format!(",\"options\":{}", job.options);
        if let Some(identity) = &job.identity {
            rest += &format!(
                ",\"id\":{},\"attempt\":{},\"redelivered\":{}",
                quote(&identity.id),
                identity.attempt,
                identity.redelivered
            );
        }
        if let Some(claim) = &job.claim {
            rest += &format!(",\"claim\":{}", quote(claim.as_str()));
        }
        if let Some(at) = &job.scheduled_at {
            rest += &format!(",\"scheduled_at\":{}", quote(at));
        }
        if let Some(outcome) = outcome {
            rest += &answer::outcome(outcome);
        }
        line.extend_from_slice(rest.as_bytes());
        line.extend_from_slice(b"}\n");
        line
    }

    /// Starts the program. After a run the job cannot be given back, so what is short is waited for, however long that takes:
    /// anyone who waits for the answer ends it. Other runs that find nothing either are given back meanwhile, and fewer are begun.
    async fn start(&self, point: HookPoint, command: &Command, question: &[u8]) -> Result<Running, HookError> {
        loop {
            match spawn_retry::start(|| Running::spawn(command, question.to_vec())).await {
                Ok(running) => return Ok(running),
                Err(error) if error.is_shortage() && point == HookPoint::AfterPerform => {}
                Err(error) => {
                    let named = named("PluginSpawnError", format!("failed to {error}"), Tail::default());
                    let short = error.is_shortage();
                    return Err(HookError { short, unstarted: !short && error.may_pass(), ..named });
                }
            }
        }
    }

    /// Tells its stderr as that of the job and its task. While a job is enqueued it has no id yet, and nothing is told but warnings.
    fn log(&self, job: &HookJob) -> OutputTeller {
        match &job.identity {
            Some(identity) => self.teller(Arc::clone(&identity.id), job),
            None => self.teller("that is enqueued".into(), job).quiet(),
        }
    }

    fn teller(&self, id: Arc<str>, job: &HookJob) -> OutputTeller {
        OutputTeller::of_job(self.bus.clone(), id, TaskName::as_stored(&format!("{} {}", job.task, self.name)))
    }
}

/// The program has not begun, as its shim says.
fn unbegun(word: &ShimWord, tail: Tail) -> HookError {
    let named = named("PluginSpawnError", word.text.clone(), tail);
    HookError { short: word.why == Unbegun::Short, unstarted: word.why == Unbegun::NotExecuted, ..named }
}

fn ended_badly(status: ExitStatus, tail: Tail) -> HookError {
    match (status.code(), status.signal()) {
        (Some(code), _) => named("PluginExitStatus", format!("exited with {code}"), tail),
        (None, Some(signal)) => {
            let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
            let kill = (signal == Signal::KILL.as_raw()).then(unsent_kill);
            let (why, killed) = kill.map_or_else(Default::default, |kill| (kill.text, kill.is_unknown));
            HookError { killed, ..named("PluginSignal", format!("killed by signal {signal}{name}{why}"), tail) }
        }
        (None, None) => named("PluginExitStatus", format!("ended in an unknown way: {status}"), tail),
    }
}

/// Feeds and reads the program until there is a reason to stop.
async fn follow(running: &mut Running, captured: &mut HookOutput, deadline: Instant, job: &HookJob) -> ReadEnd {
    let Running { child, input, output } = running;
    let cancelled = job.cancelled.wait();
    tokio::pin!(cancelled);
    let mut open = true;
    loop {
        let mut sink = |line: OutputLine<'_>| captured.take(line);
        tokio::select! {
            () = child.exited() => return ReadEnd::Exited,
            more = output.pump(&mut sink), if open => open = more,
            never = input.feed() => match never {},
            () = sleep_until(deadline) => return ReadEnd::Hung,
            () = &mut cancelled => return ReadEnd::CutOff,
        }
        if captured.too_long {
            return ReadEnd::TooLong;
        }
    }
}

/// What is kept of a program's output.
struct HookOutput {
    stdout: String,
    too_long: bool,
    tail: Tail,
    log: OutputTeller,
}

impl HookOutput {
    fn take(&mut self, line: OutputLine<'_>) {
        if line.source == Source::Stdout {
            if self.stdout.len() + line.text.len() > ANSWER_CAP {
                self.too_long = true;
                return;
            }
            if !line.continued && !self.stdout.is_empty() {
                self.stdout.push('\n');
            }
            self.stdout.push_str(line.text);
            return;
        }
        let shown = self.log.shown(OutputStream::Stderr, line.overwritten, line.text, line.continued);
        self.tail.push(&shown);
        self.log.tell(OutputStream::Stderr, &shown, line.continued);
    }
}

#[cfg(test)]
mod tests;
