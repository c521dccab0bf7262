//! What is kept of the output of a job's process, and what its end means.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use signal_hook::consts::{SIGKILL, SIGXCPU, SIGXFSZ};
use tokio::time::Instant;

use crate::config::element::size;
use crate::event::live::Speaker;
use crate::event::{Bus, OutputStream, OutputTeller};
use crate::handler::contract::Invocation;
use crate::handler::kept_output::{KeptOutputs, RunOutput};
use crate::job::output_end::STDOUT_FOLLOWS;
use crate::job::run_variables::STATUS_FD;
use crate::job::{Failure, Outcome, Progress};
use crate::process::runnable::{self, Unrunnable};
use crate::process::{
    OutputLine, ShimWord, Source, Tail, Unbegun, signal::UnsentKill, signal::unsent_kill, signal_name,
};
use crate::task::handler_spec::{ExecSpec, OutputMode, ResultMode};
use crate::text::cut::cut;

/// How much of a line that tells no progress is shown.
const SHOWN: usize = 80;
/// The exit status that means "later": `EX_TEMPFAIL` of sysexits.
const LATER: i32 = 75;
/// What shells and `env` exit with when they cannot run a program.
const NOT_RUN: i32 = 126;
/// The same when they do not find it.
const NOT_FOUND: i32 = 127;

/// What is kept of a process' output.
pub(super) struct CapturedOutput {
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
    pub(super) last: Option<String>,
    result: ResultMode,
    pub(super) log: OutputTeller,
    /// For those who watch the run.
    speaker: Speaker,
    bus: Bus,
    told_bad_progress: bool,
}

impl CapturedOutput {
    pub(super) fn new(
        spec: &ExecSpec,
        bus: Bus,
        kept: Option<&KeptOutputs>,
        job: &Invocation,
        speaker: Speaker,
    ) -> Self {
        let (id, task) = (&job.identity.id, &job.task.name);
        let log = OutputTeller::of_job(bus.clone(), Arc::clone(id), task.clone()).slowing();
        let kept = kept.filter(|_| spec.output == OutputMode::File);
        let log = if spec.output == OutputMode::Discard || kept.is_some() { log.quiet() } else { log };
        let file = kept.map(|kept| kept.of_run(task, &job.identity, &job.claim));
        let (tail, stdout) = (Tail::default(), Tail::default());
        let is_kept = file.is_some();
        let result = spec.result;
        let (place, last, told_bad_progress) = (None, None, false);
        Self { tail, stdout, is_kept, file, place, last, result, log, speaker, bus, told_bad_progress }
    }

    pub(super) fn take(&mut self, line: OutputLine<'_>) {
        if line.source == Source::Status {
            return self.take_progress(line);
        }
        let stream = if line.source == Source::Stderr { OutputStream::Stderr } else { OutputStream::Stdout };
        let shown = self.log.shown(stream, line.overwritten, line.text, line.continued);
        if let Some(file) = &mut self.file {
            file.take(&OutputLine { text: &shown, ..line });
        }
        if line.source == Source::Stdout && (self.is_kept || self.tail.is_empty()) {
            self.stdout.push(&shown);
        }
        if line.source == Source::Stderr {
            self.tail.push(&shown);
        } else if self.result == ResultMode::LastLine && !line.continued && !line.text.trim().is_empty() {
            // Only the beginning of a line that is too long is kept. Blank lines are no result.
            self.last = Some(line.text.to_owned());
        }
        self.speaker.run().print(&shown);
        self.log.tell(stream, &shown, line.continued);
    }

    /// The program tells how far it is. What cannot be read is told once.
    fn take_progress(&mut self, line: OutputLine<'_>) {
        match Progress::told(line.text.as_bytes()).filter(|_| !line.continued) {
            Some(progress) => self.speaker.tell(Progress { at_ms: self.bus.now_ms(), ..progress }),
            None if line.text.trim().is_empty() || std::mem::replace(&mut self.told_bad_progress, true) => {}
            None => {
                let beginning = cut(line.text, SHOWN);
                self.log.warn(&format!(
                    "expected lines such as {{\"percent\":40,\"message\":\"copying\"}} on {STATUS_FD}, found {beginning:?}; \
                     it is passed over"
                ));
            }
        }
    }

    /// Passes on to the file what was taken.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            file.flush();
        }
    }

    /// Until when nothing more is to be read.
    pub(super) fn held_until(&mut self, now: Instant) -> Option<Instant> {
        let by_file = self.file.as_mut().and_then(|file| file.held_until(now));
        self.log.held_until(now).max(by_file)
    }

    pub(super) async fn end_file(&mut self) {
        if let Some(file) = self.file.take() {
            self.place = file.end().await;
        }
    }

    /// The run was stopped.
    pub(super) fn stopped(&mut self) -> Outcome {
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

    /// The program has not begun, as its shim says.
    pub(super) fn unbegun(&mut self, word: &ShimWord) -> Outcome {
        let failure =
            |captured: &mut Self| Failure::new("SpawnError", word.text.clone()).with_backtrace(captured.last_words());
        match word.why {
            Unbegun::Short => Outcome::NotStarted(word.text.clone()),
            Unbegun::NotExecuted => Outcome::unstarted(failure(self)),
            Unbegun::Failed => Outcome::Failure(failure(self)),
        }
    }

    pub(super) fn judge(&mut self, status: ExitStatus, spec: &ExecSpec, later: u32) -> Outcome {
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

    pub(super) fn failure(&mut self, exception: &str, error: String) -> Outcome {
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
