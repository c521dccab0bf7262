//! Which of the long-lived tasks still turn.
//!
//! Each task has a named [`Pulse`], and counts each turn of its loop there. An [`Observer`] looks at intervals and finds
//! the tasks that have not turned for too long. A task that waits for something that may never come turns at intervals
//! meanwhile ([`Pulse::wait`]).

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::fault;

/// How often a waiting task turns.
pub const TURN: Duration = Duration::from_secs(10);
/// How long most tasks may go without a turn before they count as hung: longer than any call of the store may take.
pub const LONGEST: Duration = Duration::from_secs(60);

/// The pulses of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tasks: Mutex<Vec<Weak<Task>>>,
    stalled: Mutex<Vec<&'static str>>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    longest: Duration,
    turns: AtomicU64,
}

/// The pulse of one task. Dropping it says that the task is over.
#[derive(Debug)]
pub struct Pulse(Arc<Task>);

impl Pulses {
    /// Begins the pulse of a task that goes for at most `longest` without a turn.
    #[must_use]
    pub fn begin(&self, name: &'static str, longest: Duration) -> Pulse {
        let longest = fault::longest(name).unwrap_or(longest);
        let task = Arc::new(Task { name, longest, turns: AtomicU64::new(0) });
        lock(&self.0.tasks).push(Arc::downgrade(&task));
        Pulse(task)
    }

    /// Had a task whose name begins with `prefix` stalled at the last look?
    #[must_use]
    pub fn is_stalled(&self, prefix: &str) -> bool {
        lock(&self.0.stalled).iter().any(|name| name.starts_with(prefix))
    }

    /// The tasks that had stalled at the last look.
    #[must_use]
    pub fn stalled(&self) -> Vec<&'static str> {
        lock(&self.0.stalled).clone()
    }
}

impl Pulse {
    /// Counts a turn.
    pub fn turn(&self) {
        // Only the task itself writes it.
        self.0.turns.store(self.0.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        fault::strike(self.0.name);
    }

    /// How long the task may go without a turn.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.0.longest
    }

    /// Waits for something that may take any time, and counts turns meanwhile.
    pub async fn wait<T>(&self, something: impl Future<Output = T>) -> T {
        let mut something = pin!(something);
        loop {
            self.turn();
            if let Ok(output) = tokio::time::timeout(TURN, something.as_mut()).await {
                return output;
            }
        }
    }
}

/// Looks at the pulses. It belongs on a thread of its own.
#[derive(Debug, Default)]
pub struct Observer {
    seen: Vec<LastTurn>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct LastTurn {
    task: Weak<Task>,
    turns: u64,
    since: Instant,
}

/// The result of a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The tasks that have stalled, and how long ago they turned last.
    pub stalled: Vec<(&'static str, Duration)>,
    /// The tasks that had stalled at the last look and turn again, or are over.
    pub recovered: Vec<&'static str>,
}

impl Observer {
    /// Looks. If the last look is longer than `patience` ago, the process or the machine was stopped, and no task counts as
    /// stalled for that time.
    pub fn look(&mut self, pulses: &Pulses, now: Instant, patience: Duration) -> Look {
        let away = self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) > patience);
        let mut tasks = lock(&pulses.0.tasks);
        tasks.retain(|task| task.strong_count() > 0);
        self.seen.retain(|seen| seen.task.strong_count() > 0);
        for task in tasks.iter() {
            if !self.seen.iter().any(|seen| seen.task.ptr_eq(task)) {
                self.seen.push(LastTurn { task: Weak::clone(task), turns: 0, since: now });
            }
        }
        drop(tasks);
        let mut stalled = Vec::new();
        for seen in &mut self.seen {
            let Some(task) = seen.task.upgrade() else { continue };
            let turns = task.turns.load(Ordering::Relaxed);
            if away || turns != seen.turns {
                (seen.turns, seen.since) = (turns, now);
            }
            let still = now.saturating_duration_since(seen.since);
            if still > task.longest {
                stalled.push((task.name, still));
            }
        }
        let mut before = lock(&pulses.0.stalled);
        let names: Vec<_> = stalled.iter().map(|(name, _)| *name).collect();
        let recovered = before.iter().copied().filter(|name| !names.contains(name)).collect();
        *before = names;
        Look { stalled, recovered }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_does_not_turn_is_found_and_what_turns_again_too() {
        let (pulses, mut observer, start) = (Pulses::default(), Observer::default(), Instant::now());
        let (heart, lane) = (pulses.begin("pool heartbeat", 5 * SECOND), pulses.begin("pool lane", 60 * SECOND));
        let mut look = |at: u32| observer.look(&pulses, start + at * SECOND, 3 * SECOND);
        for at in 0..=5 {
            assert_eq!(look(at), Look::default(), "{at}");
        }
        assert_eq!(look(6).stalled, [("pool heartbeat", 6 * SECOND)]);
        assert!(pulses.is_stalled("pool ") && !pulses.is_stalled("scheduler "));
        assert_eq!(pulses.stalled(), ["pool heartbeat"]);
        heart.turn();
        assert_eq!(look(7), Look { stalled: Vec::new(), recovered: vec!["pool heartbeat"] });
        assert!(!pulses.is_stalled(""));
        lane.turn();
        drop((heart, lane));
        for at in (9..200).step_by(2) {
            assert_eq!(look(at), Look::default(), "what is over does not stand still");
        }
    }

    #[test]
    fn who_was_away_judges_nobody_by_what_it_missed() {
        let (pulses, mut observer, start) = (Pulses::default(), Observer::default(), Instant::now());
        let _heart = pulses.begin("heart", 5 * SECOND);
        let mut look = |at: u32| observer.look(&pulses, start + at * SECOND, 3 * SECOND).stalled.len();
        assert_eq!((look(0), look(100), look(103), look(105), look(108)), (0, 0, 0, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_turns() {
        let pulses = Pulses::default();
        let pulse = pulses.begin("waiter", LONGEST);
        pulse.wait(tokio::time::sleep(TURN * 5 / 2)).await;
        assert_eq!(pulse.0.turns.load(Ordering::Relaxed), 3);
    }
}
