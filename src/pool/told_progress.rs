//! How far runs are, as the store knows it: what has changed goes along with the extensions of the lease.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::event::live::LiveRuns;
use crate::job::{ClaimToken, Progress};

/// What the store knows, or may know, and what it does not know yet.
#[derive(Default)]
pub(super) struct ToldProgress {
    /// The runs whose progress may stand in the store.
    standing: RefCell<HashSet<ClaimToken>>,
    /// What an extension could not bring.
    waiting: RefCell<HashMap<ClaimToken, Progress>>,
}

impl ToldProgress {
    /// What the next extension brings; nothing for a run that no slot has any more.
    pub(super) fn changed(
        &self,
        live: &LiveRuns,
        is_held: impl Fn(&ClaimToken) -> bool,
    ) -> Vec<(ClaimToken, Option<Progress>)> {
        let mut told = self.waiting.take();
        told.extend(live.take_told());
        let mut standing = self.standing.borrow_mut();
        let mut changed: Vec<_> = standing.extract_if(|claim| !is_held(claim)).map(|claim| (claim, None)).collect();
        for (claim, progress) in told.into_iter().filter(|(claim, _)| is_held(claim)) {
            standing.insert(claim.clone());
            changed.push((claim, Some(progress)));
        }
        changed
    }

    /// An extension failed, and it is not known whether the store took what it brought.
    pub(super) fn forsaken(&self, brought: Vec<(ClaimToken, Option<Progress>)>) {
        let (mut waiting, mut standing) = (self.waiting.borrow_mut(), self.standing.borrow_mut());
        for (claim, progress) in brought {
            standing.insert(claim.clone());
            if let Some(progress) = progress {
                waiting.entry(claim).or_insert(progress);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_learns_each_change_once_and_that_a_run_is_over() {
        let (told, live) = (ToldProgress::default(), LiveRuns::default());
        let claim = ClaimToken::new("00ff", 0, 1, 0);
        let half = Progress::new(Some(50.0), "half");
        assert_eq!(told.changed(&live, |_| true), []);
        live.tell(&claim, half.clone());
        let brought = told.changed(&live, |_| true);
        assert_eq!(brought, [(claim.clone(), Some(half.clone()))]);
        told.forsaken(brought);
        assert_eq!(told.changed(&live, |_| true), [(claim.clone(), Some(half.clone()))], "it is brought again");
        assert_eq!(told.changed(&live, |_| true), []);
        let gone = told.changed(&live, |_| false);
        assert_eq!(gone, [(claim.clone(), None)]);
        told.forsaken(gone);
        assert_eq!(told.changed(&live, |_| false), [(claim.clone(), None)]);
        assert_eq!(told.changed(&live, |_| false), []);
        live.tell(&claim, half);
        assert_eq!(told.changed(&live, |_| false), [], "what comes after the end of a run is not told");
    }
}
