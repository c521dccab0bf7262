//! A job's output on the bus: so much a second, and the rest is counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bus::Bus;
use super::kind::{Event, EventKind, LONGEST_LINE, OutputStream};
use crate::job::TaskName;
use crate::text::cut::cut;

/// How much output of one job is told a second, in bytes of events. Everybody shares the queue of the log, so nobody may fill
/// it.
const BUDGET: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// Tells the lines of one job, or of one child of an `rpc` task. What exceeds the budget of a second is dropped and counted,
/// and told once with the next second's first line, or when the job has ended.
#[derive(Debug)]
pub struct OutputTeller {
    bus: Bus,
    task: TaskName,
    speaker: Speaker,
    /// When the current second began.
    began: Option<Instant>,
    /// The bytes of this second.
    told: usize,
    dropped: Dropped,
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
        Self { bus, task, speaker, began: None, told: 0, dropped: Dropped::default() }
    }

    /// Tells a line, if anybody wants to hear it.
    pub fn tell(&mut self, stream: OutputStream, line: &str) {
        if self.bus.wants(EventKind::Output) {
            self.tell_at(Instant::now(), stream, line);
        }
    }

    fn tell_at(&mut self, now: Instant, stream: OutputStream, line: &str) {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            self.report();
            (self.began, self.told) = (Some(now), 0);
        }
        let bytes = line.len().min(LONGEST_LINE) + size_of::<Event>();
        if self.told + bytes > BUDGET {
            self.dropped.lines += 1;
            self.dropped.bytes += line.len();
            return;
        }
        self.told += bytes;
        let (task, line) = (self.task.clone(), cut(line, LONGEST_LINE));
        self.bus.emit(match &self.speaker {
            Speaker::Job(id) => Event::Output { id: Arc::clone(id), task, stream, line },
            Speaker::Child(pid) => Event::ChildOutput { task, pid: *pid, line },
        });
    }

    /// Tells how much was dropped, if anything was.
    fn report(&mut self) {
        let Dropped { lines, bytes } = std::mem::take(&mut self.dropped);
        if lines == 0 {
            return;
        }
        let who = match &self.speaker {
            Speaker::Job(id) => format!("job {id} ({})", self.task),
            Speaker::Child(pid) => format!("child {pid} of task {}", self.task),
        };
        let text = format!(
            "{who} writes more than {} KiB a second: {lines} lines with {bytes} bytes are not in the log",
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
        for _ in 0..6400 {
            teller.tell_at(now, OutputStream::Stdout, &piece);
        }
        let (lines, warnings) = told(&listeners[0]);
        assert!(lines * piece.len() <= BUDGET && lines > 50 && warnings.is_empty(), "{lines} {warnings:?}");
        drop(teller);
        let dropped = 6400 - lines;
        let bytes = dropped * piece.len();
        let warning = format!(
            "job 7 (t) writes more than 1024 KiB a second: {dropped} lines with {bytes} bytes are not in the log"
        );
        assert_eq!(told(&listeners[0]), (0, vec![warning]));
    }

    #[test]
    fn each_second_has_its_budget_and_at_most_one_notice() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 64 * 1024 * 1024);
        let mut teller = OutputTeller::of_child(bus, 9, TaskName::as_stored("t"));
        let begin = Instant::now();
        for ms in 0..3_000 {
            for _ in 0..100 {
                teller.tell_at(begin + Duration::from_millis(ms), OutputStream::Stderr, "");
            }
        }
        let (lines, warnings) = told(&listeners[0]);
        // Empty lines cost memory, too.
        assert_eq!(lines, 3 * (BUDGET / size_of::<Event>()));
        assert_eq!(warnings.len(), 2, "the third second is not over: {warnings:?}");
        teller.tell_at(begin + 3 * SECOND, OutputStream::Stderr, "on");
        let (lines, warnings) = told(&listeners[0]);
        assert_eq!((lines, warnings.len()), (1, 1), "{warnings:?}");
        drop(teller);
        assert_eq!(told(&listeners[0]), (0, Vec::new()), "nothing was dropped since");
    }

    #[test]
    fn nothing_is_done_for_nobody() {
        let mut teller = OutputTeller::of_job(Bus::silent(), Arc::from("7"), TaskName::as_stored("t"));
        teller.tell(OutputStream::Stdout, "x");
        assert_eq!((teller.began, teller.told), (None, 0));
    }
}
