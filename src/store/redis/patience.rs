//! How long answers of a server are waited for: a part of the lease, and longer on a path that is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The longest and the shortest limit for an answer.
const MOST: Duration = Duration::from_secs(4);
const LEAST: Duration = Duration::from_millis(500);
/// An answer within this time is never late.
const PROMPT: Duration = Duration::from_millis(150);
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
    /// That of a program without a lease.
    fn default() -> Self {
        let lease_ms = AtomicU64::new(millis(MOST * 5 / 2));
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

    /// After how long an answer is late, which raises a doubt.
    pub(super) fn doubt(&self) -> Duration {
        (self.lease() / 10).max(PROMPT).max(self.slowest() * 3 / 2)
    }

    /// How long an answer is waited for: twice as long after each one that did not come.
    pub(super) fn limit(&self, misses: u32) -> Duration {
        let calm = (self.lease() * 2 / 5).max(self.slowest() * 2).clamp(LEAST, MOST);
        (calm * (1 << misses.min(4))).min(MOST)
    }

    /// How long opening a connection may take, which needs several round trips.
    pub(super) fn connecting(&self, misses: u32) -> Duration {
        (self.limit(misses) * 2).min(MOST)
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
        assert_eq!(Patience::default().limit(0), MOST);
        for (lease_s, doubt, limit) in
            [(1, 150, 500), (2, 200, 800), (5, 500, 2000), (15, 1500, 4000), (60, 6000, 4000)]
        {
            let patience = patience(lease_s);
            assert_eq!((patience.doubt().as_millis(), patience.limit(0).as_millis()), (doubt, limit));
            assert_eq!(patience.limit(1).as_millis(), (2 * limit).min(4000));
            assert_eq!(patience.limit(9), MOST);
        }
    }

    #[test]
    fn a_slow_path_is_not_doubted_once_it_is_known_and_is_forgotten_when_it_is_fast_again() {
        let patience = patience(2);
        assert!(!patience.is_tried());
        for n in 0..1000 {
            patience.note(Duration::from_millis(500 + n * 37 % 201));
            assert!(patience.is_tried());
        }
        assert!(patience.doubt() > Duration::from_millis(700) && patience.limit(0) > Duration::from_millis(1200));
        for _ in 0..2 * WINDOW {
            if patience.is_tried() {
                patience.note(Duration::from_millis(1));
            }
        }
        assert!(!patience.is_tried());
        assert_eq!(patience.doubt(), Duration::from_millis(200));
    }
}
