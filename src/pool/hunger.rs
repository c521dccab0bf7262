//! Which lanes look for jobs, and what the waker is to do.

use std::cell::Cell;

use tokio::sync::Notify;

use super::slots::LANES;

/// The lanes' hunger.
pub(super) struct Hunger {
    /// Per lane: there may be jobs to claim.
    hungry: [Cell<bool>; LANES],
    /// Per lane: look again.
    look: [Notify; LANES],
    /// A lane found less than it asked for: the waker is to wake it when more comes.
    came_short: Notify,
    /// The waker watches the wrong queues, or over a connection that may be dead.
    arm_anew: Notify,
    /// How many instances share the work, as far as is known; 0 before anything is.
    peers: Cell<usize>,
    /// All claims so far, to tell futile wakes from others.
    claims: Cell<u64>,
    /// The store does not tell of new jobs.
    polled: Cell<bool>,
    /// All claims when jobs were announced last, since the waker armed.
    announced: Cell<Option<u64>>,
}

impl Hunger {
    pub(super) fn new() -> Self {
        Self {
            hungry: [const { Cell::new(false) }; LANES],
            look: [const { Notify::const_new() }; LANES],
            came_short: Notify::new(),
            arm_anew: Notify::new(),
            peers: Cell::new(0),
            claims: Cell::new(0),
            polled: Cell::new(false),
            announced: Cell::new(None),
        }
    }

    /// Does this lane look for jobs?
    pub(super) fn is_hungry(&self, lane: usize) -> bool {
        self.hungry[lane].get()
    }

    /// There may be jobs for this lane.
    pub(super) fn wake(&self, lane: usize) {
        self.hungry[lane].set(true);
        self.look[lane].notify_one();
    }

    /// There may be jobs for this lane, which is about to look.
    pub(super) fn set_hungry(&self, lane: usize) {
        self.hungry[lane].set(true);
    }

    /// Something has changed for this lane.
    pub(super) fn notify(&self, lane: usize) {
        self.look[lane].notify_one();
    }

    /// Something has changed for all lanes.
    pub(super) fn notify_all(&self) {
        for look in &self.look {
            look.notify_one();
        }
    }

    /// Waits until something has changed for this lane.
    pub(super) async fn notified(&self, lane: usize) {
        self.look[lane].notified().await;
    }

    /// A lane asked for so many jobs and got so many. If it got fewer it rests until it is woken; otherwise there may be jobs
    /// for the other lane, too.
    pub(super) fn got(&self, lane: usize, asked: usize, claimed: usize) {
        self.claims.set(self.claims.get() + claimed as u64);
        if claimed < asked {
            self.hungry[lane].set(false);
            self.ask_waker();
        } else {
            let other = 1 - lane;
            if !self.hungry[other].get() {
                self.wake(other);
            }
        }
    }

    /// The waker is to look, and to wake a lane when jobs come.
    pub(super) fn ask_waker(&self) {
        self.came_short.notify_one();
    }

    /// Waits until the waker is asked.
    pub(super) async fn waker_asked(&self) {
        self.came_short.notified().await;
    }

    /// The waker is to arm anew, even if it waits to be told of jobs.
    pub(super) fn arm_anew(&self) {
        self.arm_anew.notify_one();
    }

    /// Waits until the waker is to arm anew.
    pub(super) async fn arming_wanted(&self) {
        self.arm_anew.notified().await;
    }

    /// How many instances share the work, as far as is known; 0 before anything is.
    pub(super) fn peers(&self) -> usize {
        self.peers.get()
    }

    pub(super) fn set_peers(&self, peers: usize) {
        self.peers.set(peers);
    }

    /// Does nobody tell of new jobs, so that a lane that calls the store anyway looks for some?
    pub(super) fn is_polled(&self) -> bool {
        self.polled.get()
    }

    pub(super) fn set_polled(&self, polled: bool) {
        self.polled.set(polled);
    }

    /// Jobs are on their way, and a lane is woken for them before the store tells of them.
    pub(super) fn announced(&self) {
        self.announced.set(Some(self.claims()));
    }

    /// What was announced is not awaited any more.
    pub(super) fn forget_announcement(&self) {
        self.announced.set(None);
    }

    /// Has anything been claimed since jobs were announced? They are not awaited any more then.
    pub(super) fn has_met_announcement(&self) -> bool {
        self.announced.take().is_some_and(|claims| claims != self.claims())
    }

    /// All claims so far.
    pub(super) fn claims(&self) -> u64 {
        self.claims.get()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_announcement_is_met_once_something_is_claimed_unless_it_was_forgotten() {
        let hunger = Hunger::new();
        assert!(!hunger.has_met_announcement());
        for (claimed, forgotten) in [(0, false), (1, false), (1, true)] {
            hunger.announced();
            hunger.got(0, 2, claimed);
            if forgotten {
                hunger.forget_announcement();
            }
            assert_eq!(hunger.has_met_announcement(), claimed > 0 && !forgotten);
            assert!(!hunger.has_met_announcement(), "it is not awaited any more");
        }
    }

    #[test]
    fn a_lane_that_got_all_wakes_the_other_and_one_that_came_short_rests() {
        let hunger = Hunger::new();
        hunger.wake(0);
        hunger.got(0, 2, 2);
        assert!(hunger.is_hungry(0) && hunger.is_hungry(1));
        assert!(hunger.waker_asked().now_or_never().is_none());
        hunger.got(1, 2, 1);
        assert!(hunger.is_hungry(0) && !hunger.is_hungry(1));
        assert!(hunger.waker_asked().now_or_never().is_some());
        assert_eq!(hunger.claims(), 3);
    }
}
