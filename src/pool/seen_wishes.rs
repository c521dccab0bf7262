//! The wishes about runs that this instance has seen, and which of them are done with.

use std::cell::RefCell;

use crate::job::ClaimToken;

/// The claims of the wishes that were seen and are not done with.
#[derive(Default)]
pub(super) struct SeenWishes(RefCell<Vec<ClaimToken>>);

impl SeenWishes {
    /// A wish about this run stands.
    pub(super) fn add(&self, claim: &ClaimToken) {
        let mut seen = self.0.borrow_mut();
        if !seen.contains(claim) {
            seen.push(claim.clone());
        }
    }

    /// Takes the claims whose wishes are done with, because no slot has them any more. While a settlement is on its way its
    /// slot has the claim: anyone who recovers the job then must find the wish. If the wish cannot be removed, the next
    /// extension sees it again.
    pub(super) fn done(&self, is_held: impl Fn(&ClaimToken) -> bool) -> Vec<ClaimToken> {
        self.0.borrow_mut().extract_if(.., |claim| !is_held(claim)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_done_with_when_no_slot_has_its_claim() {
        let (seen, claim) = (SeenWishes::default(), ClaimToken::new("00ff", 0, 1, 1));
        assert_eq!(seen.done(|_| false), []);
        seen.add(&claim);
        seen.add(&claim);
        assert_eq!(seen.done(|_| true), [], "it runs, or its end is on its way");
        assert_eq!(seen.done(|_| false), [claim]);
        assert_eq!(seen.done(|_| false), []);
    }
}
