//! A job's output on the bus: so much a second.
//!
//! Who writes more is slowed first: the reader of its pipe waits until the second is over, the pipe fills, and the program
//! waits in its next write. A log must not hold up a run for long, so this lasts only so long; from then on what is too much
//! is dropped and counted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bus::Bus;
use super::kind::{Event, EventKind, LONGEST_LINE, OutputStream};
use crate::job::TaskName;
use crate::text::cut::cut;
use crate::text::redact::Stream;

/// How much output of one job is told a second, in bytes of events. Everybody shares the queue of the log, so nobody may fill
/// it.
const BUDGET: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
/// How long a program is slowed at most. It gets as much back as it stays within its budget.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what is left in its pipes is told when it has ended: a full pipe of short lines.
const LAST: usize = 4 * BUDGET;

/// Tells the lines of one job, or of one child of an `rpc` task. What exceeds the budget of a second, and does not wait for the
/// next one, is dropped and counted, and told once with the next second's first line that begins one, or when the job has
/// ended: a line that lasts for many seconds is told once.
#[derive(Debug)]
pub struct OutputTeller {
    bus: Bus,
    task: TaskName,
    speaker: Speaker,
    /// When the current second began.
    began: Option<Instant>,
    /// The bytes of this second.
    told: usize,
    /// Does the caller ask [`OutputTeller::held_until`]?
    slows: bool,
    /// How long the program may still be slowed.
    patience: Duration,
    /// Does what is too much wait in this second, instead of being dropped?
    waits: bool,
    /// The bytes that may be told in this second.
    budget: usize,
    /// Is no line told, only warnings?
    quiet: bool,
    dropped: Dropped,
    /// What is hidden on its stdout and on its stderr.
    hidden: [Stream; 2],
}

#[derive(Debug, Clone)]
enum Speaker {
    Job(Arc<str>),
    Child(u32),
}

#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    bytes: usize,
    /// Was something dropped in this second?
    lately: bool,
}

impl OutputTeller {
    /// For the output of a job.
    #[must_use]
    pub fn of_job(bus: Bus, id: Arc<str>, task: TaskName) -> Self {
        Self::new(bus, task, Speaker::Job(id))
    }

    /// For the stderr of a child that serves many jobs.
    #[must_use]
    pub fn of_child(bus: Bus, pid: u32, task: TaskName) -> Self {
        Self::new(bus, task, Speaker::Child(pid))
    }

    fn new(bus: Bus, task: TaskName, speaker: Speaker) -> Self {
        let (slows, waits, budget) = (false, false, BUDGET);
        Self {
            bus,
            task,
            speaker,
            began: None,
            told: 0,
            slows,
            patience: PATIENCE,
            waits,
            budget,
            quiet: false,
            dropped: Dropped::default(),
            hidden: Default::default(),
        }
    }

    /// The caller does not read on before [`held_until`](Self::held_until).
    #[must_use]
    pub fn slowing(mut self) -> Self {
        (self.slows, self.waits) = (true, true);
        self
    }

    /// Tells no lines, but still [warns](Self::warn).
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Until when the program is not to be read; `None`: read on.
    #[must_use]
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        let full = self.waits && self.told >= self.budget;
        let over = self.began.filter(|_| full)? + SECOND;
        (over > now).then_some(over)
    }

    /// The program has ended, and nobody is slowed by what is left in its pipes.
    pub fn ended(&mut self) {
        (self.slows, self.waits) = (false, false);
        (self.told, self.budget) = (0, LAST);
    }

    /// The program has ended, but what it left in the background writes on, and can be slowed.
    pub fn goes_on(&mut self) {
        (self.slows, self.waits) = (true, true);
        (self.told, self.budget) = (0, BUDGET);
    }

    /// Warns of something that happened to the output.
    pub fn warn(&self, what: &str) {
        self.bus.emit(Event::Warning { text: format!("{}: {what}", self.who()) });
    }

    /// A line without the values of secret keys (`log.redact`), for all who see any of it. Each line passes here, in its order: a
    /// value may stand on another line or piece than its key.
    pub fn shown<'t>(
        &mut self,
        stream: OutputStream,
        overwritten: &str,
        line: &'t str,
        continued: bool,
    ) -> Cow<'t, str> {
        let redactor = self.bus.redactor();
        if redactor.is_idle() {
            return Cow::Borrowed(line);
        }
        let [stdout, stderr] = &mut self.hidden;
        let hidden = if stream == OutputStream::Stdout { stdout } else { stderr };
        hidden.hide(&redactor, overwritten, line, continued)
    }

    /// Tells a line, if anybody wants to hear it. `continued`: it is a further piece of the line before.
    pub fn tell(&mut self, stream: OutputStream, line: &str, continued: bool) {
        if !self.quiet && self.bus.wants(EventKind::Output) {
            self.tell_at(Instant::now(), stream, line, continued);
        }
    }

    fn tell_at(&mut self, now: Instant, stream: OutputStream, line: &str, continued: bool) {
        let passed = self.began.map(|began| now.saturating_duration_since(began));
        if passed.is_none_or(|passed| passed >= SECOND) {
            self.begin(now, passed.unwrap_or_default());
        }
        if !continued && !self.dropped.lately {
            self.report();
        }
        let bytes = line.len().min(LONGEST_LINE) + size_of::<Event>();
        // What was read already is told; then the reader waits.
        if self.told + bytes > self.budget && !self.waits {
            // Of a long line several pieces may be dropped.
            self.dropped.lines += u64::from(!continued || self.dropped.lines == 0);
            self.dropped.bytes += line.len();
            self.dropped.lately = true;
            return;
        }
        self.told += bytes;
        let (task, line) = (self.task.clone(), cut(line, LONGEST_LINE));
        self.bus.emit(match &self.speaker {
            Speaker::Job(id) => Event::Output { id: Arc::clone(id), task, stream, line },
            Speaker::Child(pid) => Event::ChildOutput { task, pid: *pid, line },
        });
    }

    /// Begins another second; `passed` is how long the last one took, with the silence behind it.
    fn begin(&mut self, now: Instant, passed: Duration) {
        let was_held = self.waits && self.told >= self.budget;
        let was_cut = std::mem::take(&mut self.dropped.lately);
        if was_held {
            self.patience = self.patience.saturating_sub(SECOND);
        } else if !was_cut && self.slows {
            self.patience = (self.patience + passed).min(PATIENCE);
        }
        // Anyone who used up its patience is slowed again when it has been quiet for as long as this lasts.
        self.waits = if self.waits { self.patience >= SECOND } else { self.slows && self.patience == PATIENCE };
        // What was told too much counts for this second.
        let paid = self.budget.saturating_mul(usize::try_from(passed.as_secs()).unwrap_or(usize::MAX));
        (self.began, self.told) = (Some(now), if was_held { self.told.saturating_sub(paid) } else { 0 });
    }

    fn who(&self) -> String {
        match &self.speaker {
            Speaker::Job(id) => format!("job {id} ({})", self.task),
            Speaker::Child(pid) => format!("child {pid} of task {}", self.task),
        }
    }

    /// Tells how much was dropped, if anything was.
    fn report(&mut self) {
        let Dropped { lines, bytes, .. } = std::mem::take(&mut self.dropped);
        if lines == 0 {
            return;
        }
        let (who, of) = (self.who(), if lines == 1 { "line" } else { "lines" });
        let text = format!(
            "{who} writes more than {} KiB a second: {bytes} bytes of {lines} {of} are not in the log",
            BUDGET / 1024
        );
        self.bus.emit(Event::Warning { text });
    }
}

impl Drop for OutputTeller {
    fn drop(&mut self) {
        self.report();
    }
}

#[cfg(test)]
mod tests {
    use super::super::bus::Listener;
    use super::*;

    fn told(listener: &Listener) -> (usize, Vec<String>) {
        let (mut lines, mut warnings) = (0, Vec::new());
        while let Some(event) = listener.try_next() {
            match event {
                Event::Warning { text } => warnings.push(text),
                _ => lines += 1,
            }
        }
        (lines, warnings)
    }

    #[test]
    fn a_line_of_100_mb_is_told_within_the_budget_with_one_notice() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
        let mut teller = OutputTeller::of_job(bus, Arc::from("7"), TaskName::as_stored("t"));
        // As a process' output comes: in pieces.
        let (piece, now) = ("x".repeat(16 * 1024), Instant::now());
        for n in 0..6400 {
            teller.tell_at(now, OutputStream::Stdout, &piece, n > 0);
        }
        let (lines, warnings) = told(&listeners[0]);
        assert!(lines * piece.len() <= BUDGET && lines > 50 && warnings.is_empty(), "{lines} {warnings:?}");
        drop(teller);
        let dropped = 6400 - lines;
        let bytes = dropped * piece.len();
        let warning =
            format!("job 7 (t) writes more than 1024 KiB a second: {bytes} bytes of 1 line are not in the log");
        assert_eq!(told(&listeners[0]), (0, vec![warning]));
    }

    #[test]
    fn a_line_that_lasts_for_many_seconds_is_told_with_one_notice() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 30);
        let mut teller = OutputTeller::of_child(bus, 9, TaskName::as_stored("t"));
        let (piece, begin) = ("x".repeat(16 * 1024), Instant::now());
        for n in 0..6400 {
            let now = begin + Duration::from_millis(n * 10);
            teller.tell_at(now, OutputStream::Stderr, &piece, n > 0);
        }
        let (lines, warnings) = told(&listeners[0]);
        assert!(lines < 6400 && warnings.is_empty(), "{lines} {warnings:?}");
        let now = begin + Duration::from_secs(64);
        teller.tell_at(now, OutputStream::Stderr, "the next", false);
        let (told, warnings) = told(&listeners[0]);
        let bytes = (6400 - lines) * piece.len();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(told == 1 && warning.ends_with(&format!(": {bytes} bytes of 1 line are not in the log")), "{warning}");
    }

    #[test]
    fn each_second_has_its_budget_and_at_most_one_notice() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
        let mut teller = OutputTeller::of_child(bus, 9, TaskName::as_stored("t"));
        let begin = Instant::now();
        for ms in 0..3_000 {
            for _ in 0..100 {
                teller.tell_at(begin + Duration::from_millis(ms), OutputStream::Stderr, "", false);
            }
        }
        let (lines, warnings) = told(&listeners[0]);
        // Empty lines cost memory, too.
        assert_eq!(lines, 3 * (BUDGET / size_of::<Event>()));
        assert_eq!(warnings.len(), 2, "the third second is not over: {warnings:?}");
        teller.tell_at(begin + 3 * SECOND, OutputStream::Stderr, "on", false);
        let (lines, warnings) = told(&listeners[0]);
        assert_eq!((lines, warnings.len()), (1, 1), "{warnings:?}");
        drop(teller);
        assert_eq!(told(&listeners[0]), (0, Vec::new()), "nothing was dropped since");
    }

    #[test]
    fn a_program_is_slowed_first_and_cut_only_when_that_took_too_long() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
        let mut teller = OutputTeller::of_job(bus, Arc::from("7"), TaskName::as_stored("t")).slowing();
        let (piece, begin) = ("x".repeat(1024), Instant::now());
        // A program that never stops: after each piece it is read as soon as it may be.
        let write = |teller: &mut OutputTeller, now: &mut Instant, seconds: u32| {
            let end = *now + SECOND * seconds;
            while *now < end {
                teller.tell_at(*now, OutputStream::Stdout, &piece, false);
                *now = teller.held_until(*now).unwrap_or(*now + Duration::from_micros(100));
            }
        };
        let mut now = begin;
        write(&mut teller, &mut now, 9);
        let (lines, warnings) = told(&listeners[0]);
        assert!(warnings.is_empty() && teller.dropped.lines == 0, "{warnings:?}");
        assert!(lines * piece.len() > 7 * BUDGET && lines * piece.len() <= 10 * BUDGET, "{lines}");
        write(&mut teller, &mut now, 10);
        let (lines, warnings) = told(&listeners[0]);
        assert!((7..=10).contains(&warnings.len()), "one a second: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("job 7 (t) writes")), "{warnings:?}");
        assert!(lines * piece.len() <= 11 * BUDGET, "{lines}");
        assert_eq!(teller.held_until(now), None, "it is not slowed for ever");
        // After a while of silence it is again.
        now += PATIENCE + 2 * SECOND;
        teller.tell_at(now, OutputStream::Stdout, "x", false);
        now += PATIENCE + SECOND;
        told(&listeners[0]);
        write(&mut teller, &mut now, 5);
        assert_eq!(told(&listeners[0]).1, Vec::<String>::new());
        // What is left in its pipes when it ends is told.
        teller.ended();
        for _ in 0..2000 {
            teller.tell_at(now, OutputStream::Stdout, &piece, false);
        }
        assert_eq!(told(&listeners[0]), (2000, Vec::new()));
    }

    #[test]
    fn nothing_is_done_for_nobody() {
        let mut teller = OutputTeller::of_job(Bus::silent(), Arc::from("7"), TaskName::as_stored("t"));
        teller.tell(OutputStream::Stdout, "x", false);
        assert_eq!((teller.began, teller.told), (None, 0));
    }
}
