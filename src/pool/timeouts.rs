//! When runs that their handlers own take too long: they are asked to end at their task's `timeout`, and killed after the
//! grace.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::hooked_run::Performed;
use super::slots::{Job, Limit};
use super::watched::timed_out;
use crate::job::ClaimToken;

/// The runs that are watched, by the time at which something is due.
#[derive(Default)]
pub(super) struct Timeouts {
    due: RefCell<BTreeMap<(Instant, usize), ClaimToken>>,
    /// Notified when something is due earlier than anything before.
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

    /// A run has ended: it is no longer watched, and its outcome counts only if it came in time.
    pub(super) fn judge(&self, slot: usize, job: &Job, performed: Performed) -> Performed {
        let Some(limit) = job.limit else { return performed };
        self.due.borrow_mut().remove(&(limit.due, slot));
        match job.task().and_then(|task| task.timeout).filter(|_| limit.over) {
            Some(timeout) => {
                let ended = match performed {
                    Performed::Ran(outcome) => Some(outcome),
                    Performed::NotBegun | Performed::Vetoed(_) => None,
                };
                Performed::Ran(timed_out(timeout, ended))
            }
            None => performed,
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// Waits until something is due earlier than anything before.
    pub(super) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    /// What is due.
    pub(super) fn take(&self, now: Instant) -> Vec<(usize, ClaimToken)> {
        let mut all = self.due.borrow_mut();
        let later = all.split_off(&(now, usize::MAX));
        let due = std::mem::replace(&mut *all, later);
        due.into_iter().map(|((_, slot), claim)| (slot, claim)).collect()
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
