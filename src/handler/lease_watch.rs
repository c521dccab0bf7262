//! The lease under which a job was claimed, as those see it who begin its run, on whichever thread.
//!
//! A job may wait for a child, a connection or a plugin after it was claimed, and the process or the machine may stand still
//! meanwhile. Once the lease may have run out, another instance may run the job, so that it does not begin here any more:
//! anyone who hands it to a program or server asks right before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// Tells whether the lease under which a job was claimed may have run out since. Without a lease it never has.
#[derive(Debug, Clone, Default)]
pub struct LeaseWatch(Option<Watched>);

#[derive(Debug, Clone)]
struct Watched {
    lease: Arc<Shared>,
    /// How often the lease had run out when the job was claimed.
    lapses: u64,
}

impl LeaseWatch {
    /// May another instance run the job by now?
    #[must_use]
    pub fn may_have_lapsed(&self) -> bool {
        self.0.as_ref().is_some_and(|Watched { lease, lapses }| {
            // In this order: an extension that came too late is counted before it counts.
            lease.is_over() || lease.lapses.load(Ordering::Acquire) != *lapses
        })
    }
}

/// A lease, as its owner notes it for all who watch it.
#[derive(Debug)]
pub struct WatchedLease(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    length: Duration,
    /// All times are counted from here.
    start: Instant,
    suspended: Duration,
    /// When the last successful extension was sent, in nanoseconds.
    extended: AtomicU64,
    /// How often the lease had run out before an extension was known to have succeeded.
    lapses: AtomicU64,
}

impl WatchedLease {
    /// A lease of this length that begins now. The clock tells how long the machine was suspended.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, length: Duration) -> Self {
        let (start, suspended) = (Instant::now(), clock.suspended());
        Self(Arc::new(Shared {
            clock,
            length,
            start,
            suspended,
            extended: AtomicU64::new(0),
            lapses: AtomicU64::new(0),
        }))
    }

    /// The lease as of now, for a job that is claimed under it.
    #[must_use]
    pub fn watch(&self) -> LeaseWatch {
        LeaseWatch(Some(Watched { lease: Arc::clone(&self.0), lapses: self.0.lapses.load(Ordering::Acquire) }))
    }

    /// An extension succeeded that was sent at `sent`, when the machine had been suspended for so long.
    pub fn extended(&self, sent: Instant, suspended: Duration) {
        if self.0.is_over() {
            // Others may have given out some of the jobs before it came.
            self.0.lapses.fetch_add(1, Ordering::Release);
        }
        self.0.extended.store(self.0.count(sent, suspended), Ordering::Release);
    }
}

impl Shared {
    /// Has it run out, as far as is known here?
    fn is_over(&self) -> bool {
        let age =
            self.count(Instant::now(), self.clock.suspended()).saturating_sub(self.extended.load(Ordering::Acquire));
        Duration::from_nanos(age) >= self.length
    }

    /// A moment in nanoseconds, those of a suspended machine included.
    fn count(&self, at: Instant, suspended: Duration) -> u64 {
        let time = at.saturating_duration_since(self.start) + suspended.saturating_sub(self.suspended);
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const LENGTH: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_job_that_waits_while_the_lease_is_extended_may_begin_and_none_after_it_ran_out() {
        let clock = Arc::new(ManualClock::at(0));
        let lease = WatchedLease::new(Arc::clone(&clock) as Arc<dyn Clock>, LENGTH);
        let early = lease.watch();
        for _ in 0..5 {
            tokio::time::advance(LENGTH / 2).await;
            lease.extended(Instant::now(), Duration::ZERO);
            assert!(!early.may_have_lapsed());
        }
        tokio::time::advance(LENGTH).await;
        assert!(early.may_have_lapsed());
        lease.extended(Instant::now(), Duration::ZERO);
        assert!(early.may_have_lapsed(), "it was not known to be extended in time");
        let late = lease.watch();
        assert!(!late.may_have_lapsed());
        clock.suspend(LENGTH);
        assert!(late.may_have_lapsed(), "others count on while this machine is suspended");
        lease.extended(Instant::now(), clock.suspended());
        assert!(late.may_have_lapsed() && !lease.watch().may_have_lapsed());
        assert!(!LeaseWatch::default().may_have_lapsed());
    }
}
