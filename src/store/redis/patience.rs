//! How long answers of a server are waited for: a part of the lease, and longer on a path that is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::job::run_counts::millis;

/// The longest and the shortest limit for an answer.
const MOST: Duration = Duration::from_secs(4);
const LEAST: Duration = Duration::from_millis(500);
/// From how many bytes on it takes longer to transfer a call and its answer.
pub(super) const LONG: usize = 32 * 1024;
/// How many bytes a millisecond even a slow path takes, and the longest time that is given to them: what hangs is found
/// before its task counts as hung.
const SLOW: usize = 128;
const LONGEST: Duration = Duration::from_secs(40);
/// An answer within this time is never late.
const PROMPT: Duration = Duration::from_millis(150);
/// How many misses in a row count.
pub(super) const MOST_MISSES: u32 = 4;
/// After how many answers the slowest of those before is forgotten.
const WINDOW: u32 = 64;

/// All connections of a store share it. An instance that joins sets it to its lease.
#[derive(Debug, Clone)]
pub(super) struct Patience(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lease_ms: AtomicU64,
    /// The slowest recent answer, in milliseconds; 0 as long as none was late.
    slowest_ms: AtomicU64,
    /// The slowest answer of this window, and how many came in it.
    window_ms: AtomicU64,
    window: AtomicU32,
}

impl Default for Patience {
    /// That of a program without a lease: it waits for as long as may be, and no answer is late.
    fn default() -> Self {
        let lease_ms = AtomicU64::new(millis(MOST * 10));
        Self(Arc::new(Shared {
            lease_ms,
            slowest_ms: AtomicU64::new(0),
            window_ms: AtomicU64::new(0),
            window: AtomicU32::new(0),
        }))
    }
}

impl Patience {
    /// From now on a silent connection must be found, replaced and used within this lease.
    pub(super) fn hold(&self, lease: Duration) {
        self.0.lease_ms.store(millis(lease), Ordering::Relaxed);
    }

    /// After how long an answer is late, and how long it is waited for. Both double with each connection that was dropped
    /// for its silence, because the answer may be one that takes long to transfer, and it is asked for again.
    pub(super) fn limits(&self, misses: u32) -> (Duration, Duration) {
        let doubt = (self.lease() / 10).max(PROMPT).max(self.slowest() * 3 / 2);
        let limit = (self.lease() * 2 / 5).max(self.slowest() * 2).clamp(LEAST, MOST);
        let more = 1 << misses.min(MOST_MISSES);
        let limit = (limit * more).min(MOST);
        ((doubt * more).min(limit), limit)
    }

    /// The same for an answer before which so many bytes go over the connection: it is waited for as much longer as they take
    /// on a slow path.
    pub(super) fn limits_for(&self, misses: u32, bytes: usize) -> (Duration, Duration) {
        let (doubt, limit) = self.limits(misses);
        if bytes < LONG {
            return (doubt, limit);
        }
        let more = Duration::from_millis(u64::try_from(bytes / SLOW).unwrap_or(u64::MAX)).min(LONGEST);
        (doubt + more, limit + more)
    }

    /// How long opening a connection may take, which needs several round trips.
    pub(super) fn connecting(&self, misses: u32) -> Duration {
        (self.limits(misses).1 * 2).min(MOST)
    }

    /// Whether answers are measured at present, because one was late.
    pub(super) fn is_tried(&self) -> bool {
        self.0.slowest_ms.load(Ordering::Relaxed) > 0
    }

    /// An answer took so long.
    pub(super) fn note(&self, took: Duration) {
        let (shared, took) = (&*self.0, millis(took).max(1));
        shared.slowest_ms.fetch_max(took, Ordering::Relaxed);
        let slowest = shared.window_ms.fetch_max(took, Ordering::Relaxed).max(took);
        if shared.window.fetch_add(1, Ordering::Relaxed) + 1 >= WINDOW {
            shared.window.store(0, Ordering::Relaxed);
            shared.window_ms.store(0, Ordering::Relaxed);
            let is_slow = Duration::from_millis(slowest) >= PROMPT;
            shared.slowest_ms.store(if is_slow { slowest } else { 0 }, Ordering::Relaxed);
        }
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.0.lease_ms.load(Ordering::Relaxed))
    }

    fn slowest(&self) -> Duration {
        Duration::from_millis(self.0.slowest_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(lease_s: u64) -> Patience {
        let patience = Patience::default();
        patience.hold(Duration::from_secs(lease_s));
        patience
    }

    #[test]
    fn limits_are_parts_of_the_lease_and_grow_with_silence() {
        assert_eq!(Patience::default().limits(0), (MOST, MOST));
        for (lease_s, doubt, limit) in
            [(1, 150, 500), (2, 200, 800), (5, 500, 2000), (15, 1500, 4000), (60, 4000, 4000)]
        {
            let patience = patience(lease_s);
            for misses in 0..3 {
                let (late, longest) = patience.limits(misses);
                let most = |millis: u128| millis.min(MOST.as_millis());
                assert_eq!((late.as_millis(), longest.as_millis()), (most(doubt << misses), most(limit << misses)));
            }
            assert_eq!(patience.limits(9), patience.limits(MOST_MISSES));
            assert_eq!(patience.limits(9).1, MOST);
        }
    }

    #[test]
    fn a_long_call_or_answer_is_given_the_time_that_it_takes_on_a_slow_path() {
        let patience = patience(15);
        assert_eq!(patience.limits_for(0, LONG - 1), patience.limits(0));
        let (doubt, limit) = patience.limits(1);
        for (bytes, more) in
            [(64_000, Duration::from_millis(500)), (1_280_000, Duration::from_secs(10)), (usize::MAX, LONGEST)]
        {
            assert_eq!(patience.limits_for(1, bytes), (doubt + more, limit + more));
        }
        assert!(limit + LONGEST < crate::supervise::pulse::LONGEST);
    }

    #[test]
    fn a_slow_path_is_not_doubted_once_it_is_known_and_is_forgotten_when_it_is_fast_again() {
        let patience = patience(2);
        assert!(!patience.is_tried());
        for n in 0..1000 {
            patience.note(Duration::from_millis(500 + n * 37 % 201));
            assert!(patience.is_tried());
        }
        let (late, longest) = patience.limits(0);
        assert!(late > Duration::from_millis(700) && longest > Duration::from_millis(1200));
        for _ in 0..2 * WINDOW {
            if patience.is_tried() {
                patience.note(Duration::from_millis(1));
            }
        }
        assert!(!patience.is_tried());
        assert_eq!(patience.limits(0).0, Duration::from_millis(200));
    }
}
