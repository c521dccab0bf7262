//! Wall time, behind a trait so that tests can set it.
//!
//! This file is the only reader of the system's wall clock, and of the one that counts while the machine is suspended.
//! Loops wait with tokio's clock, which tests can pause.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A source of wall time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// For how long the machine has been suspended since its start. The clock of timers stands still meanwhile.
    fn suspended(&self) -> Duration {
        Duration::ZERO
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads wall time")]
    fn now_ms(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn suspended(&self) -> Duration {
        let read = |clock| {
            let time = clock_gettime(clock);
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
        };
        // In this order a pause between the two makes the suspension look shorter, never longer.
        let since_boot = read(ClockId::Boottime);
        since_boot.saturating_sub(read(ClockId::Monotonic))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    suspended_ms: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `now_ms`, milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self { now_ms: AtomicI64::new(now_ms), suspended_ms: AtomicU64::new(0) }
    }

    /// Moves the clock by `ms` milliseconds, backwards if negative.
    pub fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Lets the machine have been suspended for this long more. Wall time is moved by [`Self::advance`].
    pub fn suspend(&self, time: Duration) {
        self.suspended_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the clock to `now_ms`.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn suspended(&self) -> Duration {
        Duration::from_millis(self.suspended_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_the_machine_was_suspended_stands_still_while_it_is_awake() {
        let before = SystemClock.suspended();
        std::hint::black_box((0..100_000).sum::<u64>());
        assert!(SystemClock.suspended().abs_diff(before) < Duration::from_secs(1));
    }
}
