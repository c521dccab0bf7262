//! Failures that are tried again later. Each is reported once, and again when its reason changes; one does not hold up
//! the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Bus, Event};
use crate::store::StoreError;

/// How long after its first, second, ... failure a thing is tried again, in milliseconds. The last value holds for all
/// further failures.
const WAITS_MS: [i64; 4] = [1_000, 4_000, 15_000, 60_000];

/// The most failures remembered. Beyond that the one that is due first is forgotten, and so tried at once.
const MAX_REMEMBERED: usize = 1_000;

/// The most reasons remembered of a failure.
const MAX_REASONS: usize = 8;

/// Things that failed, by the caller's key. Times are milliseconds of the caller's clock.
#[derive(Debug)]
pub struct FailureTracker<K>(HashMap<K, FailureState>);

#[derive(Debug)]
struct FailureState {
    tries: u32,
    next_ms: i64,
    reason: String,
    /// The reasons before it: it may fail for two in turn.
    earlier: Vec<String>,
}

impl<K> Default for FailureTracker<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> FailureTracker<K> {
    /// Remembers a failure. True if it must be reported, because it is the first or its reason is new.
    pub fn failed(&mut self, key: &K, now_ms: i64, reason: &str) -> bool {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(key) {
            let first = self.0.iter().min_by_key(|(_, state)| state.next_ms).map(|(key, _)| key.clone());
            if let Some(first) = first {
                self.0.remove(&first);
            }
        }
        let state = self.0.entry(key.clone()).or_insert_with(|| FailureState {
            tries: 0,
            next_ms: 0,
            reason: String::new(),
            earlier: Vec::new(),
        });
        let wait = usize::try_from(state.tries).ok().and_then(|tries| WAITS_MS.get(tries));
        state.next_ms = now_ms.saturating_add(*wait.unwrap_or(&WAITS_MS[WAITS_MS.len() - 1]));
        state.tries = state.tries.saturating_add(1);
        if state.reason == reason {
            return false;
        }
        let is_new = !state.earlier.iter().any(|earlier| earlier == reason);
        state.earlier.retain(|earlier| earlier != reason);
        if state.earlier.len() >= MAX_REASONS {
            state.earlier.remove(0);
        }
        let before = std::mem::replace(&mut state.reason, reason.to_owned());
        state.earlier.push(before);
        is_new
    }

    /// Forgets the failures of a thing that works. True if there were any.
    pub fn worked(&mut self, key: &K) -> bool {
        !self.0.is_empty() && self.0.remove(key).is_some()
    }

    /// If the next try of a thing is not yet due: how often it failed, how long to wait, and why it failed.
    #[must_use]
    pub fn waits(&self, key: &K, now_ms: i64) -> Option<(u32, i64, &str)> {
        let state = self.0.get(key)?;
        (state.next_ms > now_ms).then(|| (state.tries, state.next_ms - now_ms, state.reason.as_str()))
    }

    /// How often in a row a thing has failed.
    #[must_use]
    pub fn tries(&self, key: &K) -> u32 {
        self.0.get(key).map_or(0, |state| state.tries)
    }

    /// The things whose next try is not yet due.
    pub fn waiting(&self, now_ms: i64) -> impl Iterator<Item = &K> {
        self.0.iter().filter(move |(_, state)| state.next_ms > now_ms).map(|(key, _)| key)
    }

    /// When the first of all next tries is due.
    #[must_use]
    pub fn next_ms(&self) -> Option<i64> {
        self.0.values().map(|state| state.next_ms).min()
    }

    /// Why a thing failed last.
    pub fn reason<Q>(&self, key: &Q) -> Option<&str>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).map(|state| state.reason.as_str())
    }

    /// Has nothing failed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the things for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| keep(key));
    }
}

/// The reason of a failure that was told by another.
const UNTOLD: &str = "";

/// Keeps the failures of duties, tasks, instances and jobs apart, each under its name.
#[derive(Debug)]
pub struct Bulkheads {
    failures: FailureTracker<String>,
    since: Instant,
    skipped: Duration,
    failed: bool,
}

impl Default for Bulkheads {
    fn default() -> Self {
        Self { failures: FailureTracker::default(), since: Instant::now(), skipped: Duration::ZERO, failed: false }
    }
}

impl Bulkheads {
    fn now_ms(&self) -> i64 {
        i64::try_from((self.since.elapsed() + self.skipped).as_millis()).unwrap_or(i64::MAX)
    }

    /// Moves its clock forward.
    pub fn skip(&mut self, time: Duration) {
        self.skipped += time;
    }

    /// May this be tried now? The wait grows with each failure.
    #[must_use]
    pub fn may_try(&self, what: &str) -> bool {
        self.failures.is_empty() || self.failures.waits(&what.to_owned(), self.now_ms()).is_none()
    }

    /// How often in a row this has failed.
    #[must_use]
    pub fn tries(&self, what: &str) -> u32 {
        self.failures.tries(&what.to_owned())
    }

    /// Notes a result. A failure that concerns only this thing is reported and remembered, and becomes `None`.
    ///
    /// # Errors
    /// A failure that concerns everything: the store cannot be reached, or is full.
    pub fn note<T>(&mut self, bus: &Bus, what: &str, result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => {
                let was_told = self.failures.reason(what).is_some_and(|reason| reason != UNTOLD);
                if !self.failures.is_empty() && self.failures.worked(&what.to_owned()) && was_told {
                    bus.emit(Event::Notice { text: format!("{what}: works again") });
                }
                Ok(Some(value))
            }
            Err(error) if error.is_transient() => Err(error),
            Err(StoreError::MissingRights(_)) => {
                // The engine tells that itself, once for everybody, and that none is missing any more.
                self.failed = true;
                self.failures.failed(&what.to_owned(), self.now_ms(), UNTOLD);
                Ok(None)
            }
            Err(error) => {
                self.failed = true;
                let reason = error.to_string();
                if self.failures.failed(&what.to_owned(), self.now_ms(), &reason) {
                    let error = format!("{what}: failed to {reason}; trying again later");
                    bus.emit(Event::InternalError { error });
                }
                Ok(None)
            }
        }
    }

    /// Has anything failed since the last call?
    pub fn take_failed(&mut self) -> bool {
        std::mem::take(&mut self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_when_its_reason_changes() {
        let mut failures = FailureTracker::default();
        assert!(failures.failed(&"a", 0, "one"));
        assert!(!failures.failed(&"a", 1_000, "one"));
        assert!(failures.failed(&"a", 5_000, "two"));
        assert!(!failures.failed(&"a", 9_000, "one") && !failures.failed(&"a", 12_000, "two"), "in turn");
        assert!(failures.failed(&"b", 5_000, "two"), "each thing by itself");
        assert!(failures.worked(&"a") && !failures.worked(&"a"));
        assert!(failures.failed(&"a", 6_000, "two"), "it had worked in between");
    }

    #[test]
    fn a_missing_right_is_left_to_the_engine_to_tell() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told = || std::iter::from_fn(|| listeners[0].try_next()).count();
        let mut bulkheads = Bulkheads::default();
        let missing = || Err::<(), _>(StoreError::MissingRights("type this".to_owned()));
        assert_eq!(bulkheads.note(&bus, "a duty", missing()), Ok(None));
        assert!(bulkheads.take_failed() && !bulkheads.may_try("a duty"), "it waits as after any failure");
        assert_eq!(bulkheads.note(&bus, "a duty", Ok(())), Ok(Some(())));
        assert_eq!(told(), 0);
        let refused = || Err::<(), _>(StoreError::Unsupported("it refuses this".to_owned()));
        for result in [missing(), refused(), Ok(())] {
            let _ = bulkheads.note(&bus, "a duty", result);
        }
        assert_eq!(told(), 2, "what it refuses, and that it works again");
    }

    #[test]
    fn what_failed_waits_longer_each_time_and_holds_up_nothing_else() {
        let mut failures = FailureTracker::default();
        let mut now_ms = 0;
        for (earlier, wait) in [1_000, 4_000, 15_000, 60_000, 60_000].into_iter().enumerate() {
            failures.failed(&"a", now_ms, "x");
            assert_eq!(failures.waits(&"a", now_ms), Some((u32::try_from(earlier).unwrap() + 1, wait, "x")));
            assert_eq!(failures.waits(&"a", now_ms + wait), None, "it is its turn");
            assert_eq!(failures.next_ms(), Some(now_ms + wait));
            now_ms += wait;
        }
        assert_eq!(failures.waits(&"b", 0), None);
        assert_eq!(failures.waiting(now_ms - 1).count(), 1);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut failures = FailureTracker::default();
        for n in 0..2 * MAX_REMEMBERED {
            failures.failed(&n, i64::try_from(n).unwrap(), "x");
        }
        assert_eq!(failures.waiting(i64::MIN).count(), MAX_REMEMBERED);
        assert_eq!((failures.tries(&0), failures.tries(&(2 * MAX_REMEMBERED - 1))), (0, 1));
    }
}
