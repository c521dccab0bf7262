//! Which queues are sampled, if there are too many to sample each: those that hold jobs.

use std::collections::HashSet;

use crate::job::QueueName;
use crate::store::role::Scheduler;
use crate::store::sampling::WalkQueues;
use crate::store::{Store, StoreError};

/// How many queues are sampled. Of more than so many those are that a walk through all names finds with jobs.
pub(super) const MOST: usize = 10_000;
/// About how many names one step of a walk looks at, in about how many rounds all of them are seen, and how many steps a round
/// takes at most.
const WALKED: u64 = 1000;
const ROUNDS: u64 = 20;
const STEPS: u64 = 20;

/// Are there too many queues to sample each?
pub(super) fn is_too_many(known: u64) -> bool {
    known > MOST as u64
}

/// A walk through all names, which finds the queues that hold jobs. It goes on in each round, and begins anew at its end.
#[derive(Debug, Default)]
pub(super) struct NamesWalk {
    from: Option<String>,
    /// What was found since it began, and by the one before.
    found: HashSet<QueueName>,
    before: HashSet<QueueName>,
}

impl NamesWalk {
    /// Goes on. Returns the queues that it found with jobs, also when it was there before.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; the next call goes on.
    pub(super) async fn go_on(&mut self, store: &Store<Scheduler>, known: u64) -> Result<Vec<QueueName>, StoreError> {
        for _ in 0..(known / WALKED / ROUNDS).clamp(1, STEPS) {
            let walked = store.run(WalkQueues { from: self.from.clone() }).await?;
            let room = MOST.saturating_sub(self.found.len());
            self.found.extend(walked.holding.into_iter().take(room));
            self.from = walked.next;
            if self.from.is_none() {
                self.before = std::mem::take(&mut self.found);
                break;
            }
        }
        let new = self.found.difference(&self.before);
        Ok(self.before.iter().chain(new).take(MOST).cloned().collect())
    }
}
