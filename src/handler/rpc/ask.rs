//! What is asked of a child.

use tokio::sync::oneshot;

use crate::handler::contract::{Invocation, Stop};
use crate::job::Outcome;

/// A job that wants to be performed.
#[derive(Debug)]
pub(super) struct Ask {
    /// Its number among all of this fleet.
    pub(super) ticket: u64,
    pub(super) job: Invocation,
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl Ask {
    /// Whoever does not wait any more needs no answer.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
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
