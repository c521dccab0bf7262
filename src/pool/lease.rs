//! The instance's lease, and the record that is published with its extensions.

use std::cell::{Cell, Ref, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::handler::lease_watch::{LeaseWatch, WatchedLease};
use crate::store::instance::InstanceRecord;
use crate::supervise::stillness::stood_still;

/// A moment, by a clock that also counts while the machine is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    at: Instant,
    suspended: Duration,
}

impl Moment {
    /// The moment by the clock of timers, which stands still while the machine is suspended.
    pub(super) fn instant(self) -> Instant {
        self.at
    }
}

/// The lease. Its age decides what the instance may do. Others count the age by their own clocks, which go on while this
/// machine is suspended.
pub(super) struct Lease {
    clock: Arc<dyn Clock>,
    /// For how long after an extension no other instance may declare this one dead.
    length: Duration,
    /// When the last successful extension was sent.
    extended: Cell<Moment>,
    /// The same for the runs, which begin on other threads.
    watched: WatchedLease,
    record: RefCell<InstanceRecord>,
    /// How often `record` was changed, and which of its changes the store has.
    version: Cell<u64>,
    published: Cell<u64>,
    /// The lease is to be extended now.
    wanted: Notify,
    /// Since when its guard waits, and for how long at most.
    wait: Cell<(Moment, Duration)>,
    /// When it was found last that the lease had run out while this process stood still.
    overslept: Cell<Option<Instant>>,
}

impl Lease {
    /// A lease that begins when the instance joins, which is now.
    pub(super) fn new(clock: Arc<dyn Clock>, length: Duration, record: InstanceRecord) -> Self {
        let now = Moment { at: Instant::now(), suspended: clock.suspended() };
        Self {
            watched: WatchedLease::new(Arc::clone(&clock), length),
            clock,
            length,
            extended: Cell::new(now),
            record: RefCell::new(record),
            version: Cell::new(0),
            published: Cell::new(0),
            wanted: Notify::new(),
            wait: Cell::new((now, Duration::ZERO)),
            overslept: Cell::new(None),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn now(&self) -> Moment {
        Moment { at: Instant::now(), suspended: self.clock.suspended() }
    }

    /// When the last successful extension was sent.
    pub(super) fn extended(&self) -> Moment {
        self.extended.get()
    }

    /// How long ago the last successful extension was sent, the time that the machine was suspended included.
    pub(super) fn age(&self) -> Duration {
        self.since(self.extended.get())
    }

    fn since(&self, moment: Moment) -> Duration {
        moment.at.elapsed() + self.clock.suspended().saturating_sub(moment.suspended)
    }

    /// Waits for something that takes at most `time`. The guard waits by it alone, so that it shows whether this process
    /// stands still. Also returns for how long it did.
    pub(super) async fn wait<T>(&self, time: Duration, something: impl Future<Output = T>) -> (T, Duration) {
        self.wait.set((self.now(), time));
        let output = something.await;
        let still = self.note_stillness();
        self.wait.set((self.now(), Duration::ZERO));
        (output, still)
    }

    /// For how long this process stood still since the guard was to go on; remembers if the lease ran out meanwhile.
    fn note_stillness(&self) -> Duration {
        let (since, time) = self.wait.get();
        let still = stood_still(time, self.since(since));
        if !still.is_zero() && self.age() >= self.length {
            self.overslept.set(Some(Instant::now()));
        }
        still
    }

    /// Could another instance have killed the processes of a run that began then and has ended now? One that runs on this
    /// machine does so when our lease has run out. We would have killed them before, unless we stood still.
    pub(super) fn may_have_killed(&self, began: Instant) -> bool {
        self.note_stillness();
        self.overslept.get().is_some_and(|at| began <= at && at.elapsed() < self.length)
    }

    /// The lease as a run sees it that begins now.
    pub(super) fn watch(&self) -> LeaseWatch {
        self.watched.watch()
    }

    /// Whether a run may begin. Not if half of the lease has passed: the process or the machine slept, or the store is slow,
    /// and the claim may be lost by now or the run would soon have to be ended.
    pub(super) fn is_fresh(&self) -> bool {
        self.age() < self.length / 2
    }

    /// An extension that was sent at this moment succeeded. True if runs may begin again that could not before.
    pub(super) fn extend(&self, sent: Moment) -> bool {
        self.note_stillness();
        let waited = !self.is_fresh();
        // Replies may come in another order.
        if sent.at >= self.extended.get().at {
            self.extended.set(sent);
            self.watched.extended(sent.at, sent.suspended);
        }
        waited && self.is_fresh()
    }

    /// What the instance says of itself.
    pub(super) fn record(&self) -> Ref<'_, InstanceRecord> {
        self.record.borrow()
    }

    /// Changes what the instance says of itself. If that makes a difference, the lease is extended now.
    pub(super) fn change_record(&self, change: impl FnOnce(&mut InstanceRecord)) {
        let mut record = self.record.borrow_mut();
        let before = record.clone();
        change(&mut record);
        if *record != before {
            self.version.set(self.version.get() + 1);
            self.want_extension();
        }
    }

    /// The version of the record that an extension sent now will publish.
    pub(super) fn version(&self) -> u64 {
        self.version.get()
    }

    /// The store has this version of the record. True if it had another one before.
    pub(super) fn publish(&self, version: u64) -> bool {
        version > self.published.replace(version.max(self.published.get()))
    }

    /// Whether the store has the present record. Before, no worker of a new name may be registered: who finds this
    /// instance dead looks for its jobs under the names of the record that the store has.
    pub(super) fn is_published(&self) -> bool {
        self.published.get() == self.version.get()
    }

    /// Extend the lease now.
    pub(super) fn want_extension(&self) {
        self.wanted.notify_one();
    }

    /// Waits until the lease is to be extended.
    pub(super) async fn extension_wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::instance::HostIdentity;

    const LENGTH: Duration = Duration::from_secs(30);

    fn lease() -> (Arc<ManualClock>, Lease) {
        let clock = Arc::new(ManualClock::at(0));
        let host =
            HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 7, started_ticks: 1 };
        let record = InstanceRecord {
            id: "00ff".into(),
            name: "h-windlass:7".into(),
            queues: "*".into(),
            former_queues: Vec::new(),
            host,
            processors: 2,
            lease_ms: 30_000,
            periodic: Vec::new(),
            version: "1".into(),
            halt: None,
            tasks: None,
            skipped: Vec::new(),
            stuck: None,
            reload_refused: None,
            queues_given: false,
        };
        let lease = Lease::new(Arc::clone(&clock) as Arc<dyn Clock>, LENGTH, record);
        (clock, lease)
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspension_makes_the_lease_as_old_as_it_is_for_others() {
        let (clock, lease) = lease();
        assert!(lease.is_fresh());
        let sent = lease.now();
        clock.suspend(LENGTH);
        assert!(!lease.is_fresh(), "nothing may be claimed or begun");
        assert_eq!(lease.age(), LENGTH);
        assert!(!lease.extend(sent), "it was sent before the suspension");
        assert!(!lease.is_fresh());
        assert!(lease.extend(lease.now()));
        assert!(lease.is_fresh());
        assert_eq!(lease.age(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn time_awake_and_time_suspended_add_up() {
        let (clock, lease) = lease();
        clock.suspend(LENGTH / 3);
        tokio::time::advance(LENGTH / 3).await;
        assert_eq!(lease.age(), LENGTH / 3 * 2);
        assert!(!lease.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn a_neighbour_may_have_killed_a_run_only_if_this_process_stood_still_beyond_the_lease() {
        let (clock, lease) = lease();
        let began = Instant::now();
        tokio::time::advance(LENGTH * 2).await;
        let nap = || lease.wait(LENGTH / 10, tokio::time::sleep(LENGTH / 10));
        nap().await;
        tokio::time::advance(LENGTH).await;
        assert_eq!(nap().await.1, Duration::ZERO);
        assert!(
            !lease.may_have_killed(began),
            "the lease ran out while we were awake, and we killed the run ourselves"
        );
        assert!(lease.extend(lease.now()));
        let nap = nap();
        tokio::pin!(nap);
        assert!(futures_util::poll!(nap.as_mut()).is_pending());
        clock.suspend(LENGTH / 2);
        assert!(!lease.may_have_killed(began), "it stood still within its lease");
        clock.suspend(LENGTH);
        // The extension is answered before the guard has its turn.
        lease.extend(lease.now());
        assert!(lease.may_have_killed(began));
        assert!(!lease.may_have_killed(Instant::now() + Duration::from_secs(1)), "it began afterwards");
        assert!(nap.await.1 > LENGTH);
        for _ in 0..10 {
            lease.wait(LENGTH / 10, tokio::time::sleep(LENGTH / 10)).await;
            lease.extend(lease.now());
        }
        assert!(!lease.may_have_killed(began), "it went on for long");
    }

    #[test]
    fn a_change_of_the_record_counts_until_the_store_has_it() {
        let (_, lease) = lease();
        lease.change_record(|_| ());
        assert!(lease.is_published());
        lease.change_record(|record| record.processors = 7);
        assert!(!lease.is_published());
        assert!(lease.publish(lease.version()));
        assert!(lease.is_published() && !lease.publish(lease.version()));
    }
}
