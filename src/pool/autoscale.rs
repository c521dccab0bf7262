//! How many processors there should be: node-resque's MultiWorker, row by row, as a pure function.
//!
//! Two rows differ on purpose: a shrinking pool takes an idle processor before a busy one and does
//! not wait for it, and the rows for a stopped pool are left to `drain`.

/// What the pool looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Processors, without those that are to leave.
    pub processors: usize,
    /// The processors that have a job.
    pub busy: usize,
    /// Whether the measured scheduling delay is above its limit.
    pub blocked: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// One more.
    Grow,
    /// One less.
    Shrink,
    /// Nothing.
    Hold,
}

impl Decision {
    /// The word that node-resque logs for it.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Grow => "+",
            Self::Shrink => "-",
            Self::Hold => "x",
        }
    }
}

/// Decides one step within `min` and `max` processors.
#[must_use]
pub fn decide(census: Census, min: usize, max: usize) -> Decision {
    let Census { processors, busy, blocked } = census;
    // More than half: exactly half changes nothing either way.
    let (more, less) = (busy * 2 > processors, busy * 2 < processors);
    match blocked {
        // The bounds were changed.
        _ if processors > max => Decision::Shrink,
        true if processors > min => Decision::Shrink,
        true => Decision::Hold,
        false if processors < min => Decision::Grow,
        false if processors < max && (processors == 0 || more) => Decision::Grow,
        // Never the last one: the row above would bring it back at once.
        false if processors > min.max(1) && less => Decision::Shrink,
        false => Decision::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_holds() {
        use Decision::{Grow, Hold, Shrink};
        // (processors, busy, blocked) with 2 to 4 processors
        for (given, wanted) in [
            ((3, 3, true), Shrink),
            ((2, 2, true), Hold),
            ((1, 1, true), Hold),
            ((1, 0, false), Grow),
            ((0, 0, false), Grow),
            ((2, 2, false), Grow),
            ((3, 2, false), Grow),
            ((4, 4, false), Hold),
            ((3, 1, false), Shrink),
            ((2, 0, false), Hold),
            ((4, 2, false), Hold),
            ((2, 1, false), Hold),
            ((5, 5, false), Shrink),
            ((5, 5, true), Shrink),
        ] {
            let (processors, busy, blocked) = given;
            assert_eq!(decide(Census { processors, busy, blocked }, 2, 4), wanted, "{given:?}");
        }
        assert_eq!(decide(Census { processors: 0, busy: 0, blocked: false }, 0, 3), Grow);
        assert_eq!(decide(Census { processors: 0, busy: 0, blocked: false }, 0, 0), Hold);
        assert_eq!(decide(Census { processors: 1, busy: 0, blocked: false }, 0, 1), Hold);
    }

    proptest::proptest! {
        #[test]
        fn a_step_never_leaves_the_bounds_nor_swings_back(
            processors in 0usize..20, busy in 0usize..20, blocked: bool, min in 0usize..10, span in 0usize..10,
        ) {
            let (busy, max) = (busy.min(processors), min + span);
            let decision = decide(Census { processors, busy, blocked }, min, max);
            match decision {
                Decision::Grow => {
                    proptest::prop_assert!(processors < max);
                    let next = decide(Census { processors: processors + 1, busy, blocked }, min, max);
                    proptest::prop_assert_ne!(next, Decision::Shrink);
                }
                Decision::Shrink => proptest::prop_assert!(processors > min),
                Decision::Hold => {}
            }
        }
    }
}
