//! Runs that take too long, where no task of their own looks after that: one that its handler keeps is asked to end at
//! its task's `timeout`, and killed after the grace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::core::Core;
use super::hooked::Performed;
use super::perform::timed_out;
use super::roster::{Job, Limit, State};
use crate::handler::contract::Stop;
use crate::job::ClaimToken;
use crate::supervise::pulse::Pulse;

/// Which slots' runs are watched, by when something is due.
#[derive(Default)]
pub(super) struct Timeouts {
    due: RefCell<BTreeMap<(Instant, usize), ClaimToken>>,
    /// Rung when something is due earlier than anything before.
    earlier: Notify,
}

impl Timeouts {
    /// Watches a slot's run.
    pub(super) fn watch(&self, due: Instant, slot: usize, claim: &ClaimToken) -> Limit {
        let mut all = self.due.borrow_mut();
        if all.first_key_value().is_none_or(|((first, _), _)| due < *first) {
            self.earlier.notify_one();
        }
        all.insert((due, slot), claim.clone());
        Limit { due, over: false }
    }

    /// A run has ended: it is watched no more, and what it says counts only if it was in time.
    pub(super) fn judge(&self, slot: usize, job: &Job, performed: Performed) -> Performed {
        let Some(limit) = job.limit else { return performed };
        self.due.borrow_mut().remove(&(limit.due, slot));
        match job.task().and_then(|task| task.timeout).filter(|_| limit.over) {
            Some(timeout) => Performed::Ran(timed_out(timeout)),
            None => performed,
        }
    }

    fn next(&self) -> Option<Instant> {
        self.due.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// What is due.
    fn take(&self, now: Instant) -> Vec<(usize, ClaimToken)> {
        let mut all = self.due.borrow_mut();
        let later = all.split_off(&(now, usize::MAX));
        let due = std::mem::replace(&mut *all, later);
        due.into_iter().map(|((_, slot), claim)| (slot, claim)).collect()
    }
}

/// Enforces for as long as it is polled.
pub(super) async fn enforce(core: Rc<Core>, pulse: Pulse) {
    loop {
        let until = core.timeouts.next();
        let due = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let is_due = pulse.wait(async {
            tokio::select! {
                () = due => true,
                () = core.timeouts.earlier.notified() => false,
            }
        });
        if !is_due.await {
            continue;
        }
        let now = Instant::now();
        for (number, claim) in core.timeouts.take(now) {
            let mut roster = core.roster.borrow_mut();
            let Some(slot) = roster.get_mut(number) else { continue };
            let (State::Running(job) | State::Lost(job)) = &mut slot.state else { continue };
            let Some(limit) = job.limit.filter(|_| job.claim == claim) else { continue };
            if limit.over {
                slot.stop(Stop::Kill);
                continue;
            }
            let limit = core.timeouts.watch(now + core.kill_grace.get(), number, &claim);
            job.limit = Some(Limit { over: true, ..limit });
            slot.stop(Stop::Terminate);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn claim(n: usize) -> ClaimToken {
        ClaimToken::new("00ff", 0, 1, n)
    }

    #[tokio::test]
    async fn what_is_due_is_taken_once_and_in_order() {
        let (timeouts, now) = (Timeouts::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        for (slot, due) in [(1, later), (3, now), (2, now)] {
            timeouts.watch(due, slot, &claim(slot));
        }
        assert_eq!(timeouts.take(now), [(2, claim(2)), (3, claim(3))]);
        assert_eq!((timeouts.take(now), timeouts.next()), (Vec::new(), Some(later)));
    }

    #[tokio::test]
    async fn who_waits_is_told_only_of_what_is_earlier() {
        let (timeouts, now) = (Timeouts::default(), Instant::now());
        let told = || futures_util::FutureExt::now_or_never(timeouts.earlier.notified()).is_some();
        timeouts.watch(now, 1, &claim(1));
        assert!(told());
        timeouts.watch(now + Duration::from_secs(1), 2, &claim(2));
        assert!(!told());
        timeouts.watch(now - Duration::from_secs(1), 3, &claim(3));
        assert!(told());
    }
}
