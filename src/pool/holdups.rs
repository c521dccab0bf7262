//! Tasks whose jobs cannot begin here at present: the program is missing, or no task here has that name.
//!
//! What never began is not failed. Its job is put off uncounted, and so are the jobs of the same task that are claimed
//! meanwhile, so that the jobs of other tasks pass them and nothing spins. Only when that has lasted too long do jobs of the
//! task fail. It is told when that begins, when jobs begin to fail, and when it is over.
//!
//! A task that begins costs nothing: nothing is kept of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::unknown::UnknownClasses;
use crate::job::TaskName;
use crate::job::run_counts::millis;

/// How long a task waits, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// The patience with what is to wait without an end.
pub(super) const WITHOUT_END: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// After so long without another job that could not begin, the next one is news.
const QUIET: Duration = Duration::from_secs(300);
/// How many tasks are remembered. Any producer may write any class.
const MOST: usize = 1000;

/// Why no job of a task can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its program cannot be started.
    Unstarted,
    /// No task here has that name.
    Unknown,
    /// Its file has mistakes and is skipped.
    Skipped,
    /// Another instance has it.
    Elsewhere,
    /// It is periodic, and no instance declares it any more.
    Undeclared,
}

impl Cause {
    fn begins(self, task: &TaskName, why: &str, patience: Duration) -> String {
        let patience = humantime::format_duration(patience);
        match self {
            Self::Unstarted => format!(
                "no job of task {:?} can begin: {why}. Its jobs are put off uncounted until one begins; they fail if none \
                 does within {patience} (`unstarted`)",
                task.as_str()
            ),
            Self::Skipped => format!(
                "task {:?} is skipped, or may stand in a file that is, because of mistakes in it. Its jobs are put off \
                 uncounted until the file is right and read again (HUP)",
                task.as_str()
            ),
            Self::Elsewhere => format!(
                "no task here is called {:?}, but {why} has it. Its jobs are put off uncounted, for that one; to keep them \
                 from coming here give this instance other queues (`queues`)",
                task.as_str()
            ),
            Self::Undeclared => format!(
                "no instance has the periodic task {:?} any more. Its ticks are put off uncounted until one has it, or until \
                 it is withdrawn with them, after 10 minutes; to run the task again bring back its file and reload (HUP)",
                task.as_str()
            ),
            Self::Unknown => format!(
                "no task here is called {:?}. Its jobs are put off uncounted, for another instance or a reload (HUP) that \
                 brings the task; they fail from {patience} on (`unknown`)",
                task.as_str()
            ),
        }
    }

    /// Do its jobs fail in the end?
    fn may_fail(self) -> bool {
        matches!(self, Self::Unstarted | Self::Unknown)
    }

    fn gives_up(self, task: &TaskName, patience: Duration) -> String {
        let patience = humantime::format_duration(patience);
        match self {
            Self::Unstarted => {
                format!("no job of task {:?} could begin for {patience}: they fail from now on", task.as_str())
            }
            Self::Unknown | Self::Skipped | Self::Elsewhere | Self::Undeclared => format!(
                "no task here has been called {:?} for {patience}: its jobs fail from now on; `windlass failed retry \
                 --unknown` retries them once it is known",
                task.as_str()
            ),
        }
    }
}

/// What becomes of a job that cannot begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for so many milliseconds.
    Waits(u64),
    /// It fails.
    Fails,
}

/// A task whose jobs cannot begin.
struct Holdup {
    cause: Cause,
    since: Instant,
    /// Until when none of its jobs is tried.
    until: Instant,
    pause: Duration,
    /// The last job that could not begin.
    last: Instant,
    /// How often a job was put off.
    put_off: u64,
    /// Its jobs fail.
    given_up: bool,
    /// That it began was told.
    told: bool,
}

impl Holdup {
    fn wait(&mut self, now: Instant) -> Option<u64> {
        let left = self.until.checked_duration_since(now).filter(|left| !left.is_zero() && !self.given_up)?;
        self.put_off += 1;
        Some(millis(left).max(1))
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Holdups {
    tasks: RefCell<HashMap<TaskName, Holdup>>,
    any: Cell<bool>,
    /// Which began lately, and were told. A task whose jobs begin now and then, such as one at its own limit of processes, is no
    /// news each time.
    lately: RefCell<HashMap<TaskName, (Cause, Instant)>>,
    /// Counts those of unknown classes that fail.
    pub(super) unknown: UnknownClasses,
}

impl Holdups {
    /// A job could not begin. `at_least`: nothing of its task begins earlier. Also returns what is to be told.
    pub(super) fn met(
        &self,
        task: &TaskName,
        cause: Cause,
        why: &str,
        patience: Duration,
        at_least: Duration,
    ) -> (Fate, Option<String>) {
        let now = Instant::now();
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|_, holdup| now < holdup.last.max(holdup.until) + QUIET);
        let is_known = tasks.get(task).is_some_and(|holdup| holdup.cause == cause);
        if patience.is_zero() || (!is_known && tasks.len() >= MOST) {
            let waits = Fate::Waits(millis(PAUSE.1));
            return (if cause.may_fail() { Fate::Fails } else { waits }, None);
        }
        self.any.set(true);
        let mut news = None;
        if !is_known {
            let mut lately = self.lately.borrow_mut();
            lately.retain(|_, (_, at)| now < *at + QUIET);
            let told = lately.get(task).is_none_or(|(known, _)| *known != cause);
            if lately.len() < MOST {
                lately.insert(task.clone(), (cause, now));
            }
            if told {
                news = Some(cause.begins(task, why, patience));
            }
            let (since, until, last) = (now, now, now);
            let new = Holdup { cause, since, until, pause: Duration::ZERO, last, put_off: 0, given_up: false, told };
            tasks.insert(task.clone(), new);
        }
        // It was inserted if it was missing.
        let Some(holdup) = tasks.get_mut(task) else { return (Fate::Fails, news) };
        holdup.last = now;
        let end = holdup.since + patience;
        if now >= end {
            if !std::mem::replace(&mut holdup.given_up, true) {
                news = Some(cause.gives_up(task, patience));
            }
            return (Fate::Fails, news);
        }
        // Others that were claimed at the same time do not make the wait longer.
        if now >= holdup.until {
            holdup.pause = (holdup.pause * 2).clamp(PAUSE.0, PAUSE.1);
            holdup.until = now + holdup.pause.max(at_least).min(end - now);
        }
        (holdup.wait(now).map_or(Fate::Fails, Fate::Waits), news)
    }

    /// Is none of this task's jobs tried now?
    pub(super) fn waits(&self, task: &TaskName) -> bool {
        let waits = |holdup: &Holdup| !holdup.given_up && Instant::now() < holdup.until;
        self.any.get() && self.tasks.borrow().get(task).is_some_and(waits)
    }

    /// For how many milliseconds a claimed job of this task is put off without a try.
    pub(super) fn wait(&self, task: &TaskName) -> Option<u64> {
        if !self.any.get() {
            return None;
        }
        self.tasks.borrow_mut().get_mut(task)?.wait(Instant::now())
    }

    /// A job of this task did begin then. What is to be told, if that is news.
    pub(super) fn begun(&self, task: &TaskName, began: Instant) -> Option<String> {
        if !self.any.get() {
            return None;
        }
        let mut tasks = self.tasks.borrow_mut();
        // A run that ends now may have begun before.
        let holdup = tasks.get(task).is_some_and(|holdup| began > holdup.last).then(|| tasks.remove(task))??;
        self.any.set(!tasks.is_empty());
        if !holdup.told && !holdup.given_up {
            return None;
        }
        let (lasted, times) = (Duration::from_secs(holdup.since.elapsed().as_secs()), holdup.put_off);
        let lasted = humantime::format_duration(lasted);
        Some(format!("jobs of task {:?} begin again after {lasted}; {times} times one was put off", task.as_str()))
    }

    /// The tasks have changed: what could not begin may begin now.
    pub(super) fn clear(&self) {
        self.tasks.borrow_mut().clear();
        self.lately.borrow_mut().clear();
        self.any.set(false);
        self.unknown.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn met(holdups: &Holdups, task: &str) -> (Fate, Option<String>) {
        holdups.met(&TaskName::as_stored(task), Cause::Unstarted, "why", PATIENCE, Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_waits_longer_each_time_and_others_are_not_held_up() {
        let (holdups, task) = (Holdups::default(), TaskName::as_stored("t"));
        assert_eq!(holdups.wait(&task), None);
        let (fate, news) = met(&holdups, "t");
        assert_eq!(fate, Fate::Waits(100));
        assert!(news.is_some_and(|news| news.contains("\"t\" can begin: why. ") && news.contains("within 5m")));
        assert_eq!(met(&holdups, "t"), (Fate::Waits(100), None), "one that was claimed at the same time");
        assert_eq!((holdups.wait(&task), holdups.wait(&TaskName::as_stored("other"))), (Some(100), None));
        for ms in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            tokio::time::advance(Duration::from_millis(holdups.wait(&task).expect("it waits"))).await;
            assert_eq!(holdups.wait(&task), None, "one is tried");
            assert_eq!(met(&holdups, "t"), (Fate::Waits(ms), None));
        }
        assert_eq!(holdups.begun(&task, Instant::now()), None, "it began before");
        tokio::time::advance(Duration::from_millis(1)).await;
        let news = holdups.begun(&task, Instant::now()).expect("that is news");
        assert!(news.starts_with("jobs of task \"t\" begin again after 1m 21s; "), "{news}");
        assert_eq!((holdups.begun(&task, Instant::now()), holdups.wait(&task)), (None, None));
        assert_eq!(met(&holdups, "t"), (Fate::Waits(100), None), "the next time is another, but no news so soon");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(holdups.begun(&task, Instant::now()), None, "nor is its end");
        tokio::time::advance(QUIET).await;
        assert!(met(&holdups, "t").1.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_jobs_fail_and_after_a_quiet_time_the_next_one_waits() {
        let holdups = Holdups::default();
        let at_least = |wait| holdups.met(&TaskName::as_stored("t"), Cause::Unstarted, "why", PATIENCE, wait).0;
        assert_eq!(at_least(Duration::from_secs(7)), Fate::Waits(7000));
        assert_eq!(at_least(PATIENCE), Fate::Waits(7000));
        tokio::time::advance(PATIENCE - Duration::from_secs(1)).await;
        assert_eq!(at_least(PATIENCE), Fate::Waits(1000), "not beyond the end");
        tokio::time::advance(Duration::from_secs(1)).await;
        let (fate, news) = met(&holdups, "t");
        assert_eq!(fate, Fate::Fails);
        assert!(news.is_some_and(|news| news.contains("fail from now on")));
        assert_eq!(met(&holdups, "t"), (Fate::Fails, None), "it is told once");
        tokio::time::advance(QUIET).await;
        assert_eq!(met(&holdups, "t").0, Fate::Waits(100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_to_wait_fails_at_once_and_memory_is_bounded() {
        let holdups = Holdups::default();
        let met = |n: usize, patience| {
            holdups.met(&TaskName::as_stored(&format!("t{n}")), Cause::Unknown, "", patience, Duration::ZERO)
        };
        assert_eq!(met(0, Duration::ZERO), (Fate::Fails, None));
        for n in 0..MOST {
            assert_eq!(met(n, PATIENCE).0, Fate::Waits(100));
        }
        assert_eq!(met(MOST, PATIENCE), (Fate::Fails, None));
        assert_eq!(met(0, PATIENCE).0, Fate::Waits(100));
        holdups.clear();
        assert!(met(0, PATIENCE).1.is_some(), "what the new tasks lack is news");
    }
}
