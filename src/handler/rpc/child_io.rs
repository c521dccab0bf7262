//! The pipes of a child: its stderr, what it prints to stdout beside its messages, and waits for pipes that may be closed
//! already.

use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use super::pending::Pending;
use crate::event::live::LiveRuns;
use crate::event::{Bus, OutputStream, OutputTeller};
use crate::job::TaskName;
use crate::process::splitter::LineSplitter;
use crate::process::{OutputLine, Source, Tail};

/// A child's stderr: each line is emitted as an event, and the last lines are kept.
pub(super) struct ChildStderr {
    pub(super) tail: Tail,
    pub(super) log: OutputTeller,
    /// For those who watch a job that the child holds.
    pub(super) live: LiveRuns,
}

impl ChildStderr {
    /// Takes a line for the jobs that the child holds: where their output is kept, or somebody watches them, all of them get the
    /// line, because it does not say whose it is. If none keeps it, it is logged.
    pub(super) fn take_for(&mut self, pending: &mut Pending, line: OutputLine<'_>) {
        let shown = self.log.shown(OutputStream::Stderr, line.overwritten, line.text, line.continued);
        let line = OutputLine { text: &shown, ..line };
        let (mut is_kept, is_watched) = (false, self.live.is_watched());
        for held in pending.iter() {
            if let Some(file) = &mut held.file {
                file.take(&line);
                is_kept = true;
            }
            if is_watched && let Some(run) = self.live.find(&held.request.job.claim) {
                run.print(line.text);
            }
        }
        self.tail.push(line.text);
        if !is_kept {
            self.log.tell(OutputStream::Stderr, line.text, line.continued);
        }
    }
}

/// What a child prints to stdout although it is for messages only, such as a library that says hello.
pub(super) struct Strays {
    lines: LineSplitter,
    log: OutputTeller,
    /// Was the child's first line warned about?
    warned: bool,
}

impl Strays {
    pub(super) fn new(bus: Bus, pid: u32, task: TaskName) -> Self {
        Self { lines: LineSplitter::default(), log: OutputTeller::of_child(bus, pid, task), warned: false }
    }

    /// Logs a line as output of the child, and keeps it in the tail of its stderr.
    pub(super) fn take(&mut self, line: &[u8], tail: &mut Tail) {
        if line.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.warned, true) {
            self.log.warn("printed to stdout, which is for messages only; it is logged as output. Print to stderr");
        }
        let Self { lines, log, .. } = self;
        let mut sink = |line: OutputLine<'_>| {
            let shown = log.shown(OutputStream::Stdout, line.overwritten, line.text, line.continued);
            tail.push(&shown);
            log.tell(OutputStream::Stdout, &shown, line.continued);
        };
        lines.push(line, Source::Stdout, &mut sink);
        lines.finish(Source::Stdout, &mut sink);
    }
}

pub(super) async fn readable(output: Option<&Receiver>) {
    match output {
        // An error shows again at the read, which then closes this pipe.
        Some(output) => drop(output.readable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn writable(input: Option<&Sender>) {
    match input {
        Some(input) => drop(input.writable().await),
        None => std::future::pending().await,
    }
}

pub(super) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
