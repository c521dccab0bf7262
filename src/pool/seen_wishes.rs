//! The wishes about runs that this instance has seen, and which of them are done with.

use std::cell::RefCell;

use crate::job::ClaimToken;

/// The claims of the wishes, and whether each run was over when it was looked at last.
#[derive(Default)]
pub(super) struct SeenWishes(RefCell<Vec<(ClaimToken, bool)>>);

impl SeenWishes {
    /// A wish about this run stands.
    pub(super) fn add(&self, claim: &ClaimToken) {
        let mut seen = self.0.borrow_mut();
        if seen.iter().all(|(other, _)| other != claim) {
            seen.push((claim.clone(), false));
        }
    }

    /// Takes the claims whose wishes are done with: those whose runs were over twice in a row. At the first look the
    /// settlement may still be on its way, and whoever recovers the job then must find the wish.
    pub(super) fn done(&self, is_held: impl Fn(&ClaimToken) -> bool) -> Vec<ClaimToken> {
        let over = |(claim, was_over): &mut (ClaimToken, bool)| {
            let is_over = !is_held(claim);
            std::mem::replace(was_over, is_over) && is_over
        };
        self.0.borrow_mut().extract_if(.., over).map(|(claim, _)| claim).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_done_with_when_its_run_was_over_at_two_looks() {
        let (seen, claim) = (SeenWishes::default(), ClaimToken::new("00ff", 0, 1, 1));
        assert_eq!(seen.done(|_| false), []);
        seen.add(&claim);
        assert_eq!(seen.done(|_| true), []);
        assert_eq!(seen.done(|_| false), [], "its settlement may be on its way");
        seen.add(&claim);
        assert_eq!(seen.done(|_| false), [claim]);
        assert_eq!(seen.done(|_| false), []);
    }
}
