//! What is asked of a child.

use crate::handler::contract::{Done, Invocation, Stop};
use crate::job::Outcome;

/// A job that wants to be performed.
#[derive(Debug)]
pub(super) struct Ask {
    /// Its number among all of this fleet.
    pub(super) ticket: u64,
    pub(super) job: Invocation,
    pub(super) done: Done,
}

impl Ask {
    pub(super) fn answer(self, outcome: Outcome) {
        self.done.tell(outcome);
    }
}

/// What a child finds when it looks for orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Jobs to perform.
    pub(super) asks: Vec<Ask>,
    /// Jobs that should end; not all of them need be this child's.
    pub(super) stops: Vec<(u64, Stop)>,
}
