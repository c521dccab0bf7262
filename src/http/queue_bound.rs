//! How many queues those bring into being who may only enqueue.
//!
//! Every name costs the store and each look at it, and nobody works on the jobs behind a name that no pattern matches. So the
//! holder of a token with the role `enqueue` may use the queues that tasks declare and those that the store knows, and makes no
//! further one once it knows many. Who may do more is not bound.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::job::QueueName;

/// In this time they make no more than so many, whatever became of those that they made before: one of a delayed job is known
/// only when that is due.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How many names are remembered as known.
const REMEMBERED: usize = 1000;

/// What was made, and what is known.
#[derive(Debug, Default)]
pub(super) struct QueueBound(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    known: HashSet<QueueName>,
    made: u64,
    since: Option<Instant>,
}

impl QueueBound {
    /// Is it known that this queue may be used?
    pub(super) fn knows(&self, queue: &QueueName) -> bool {
        self.lock().known.contains(queue)
    }

    /// Notes that a queue is used, which the store knows or not; it knows `count` of them. False: it would be one too many.
    pub(super) fn take(&self, queue: &QueueName, is_known: bool, count: u64, most: u64) -> bool {
        self.lock().take(queue, is_known, count, most)
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn take(&mut self, queue: &QueueName, is_known: bool, count: u64, most: u64) -> bool {
        if self.since.is_none_or(|since| since.elapsed() >= DAY) {
            (self.made, self.since) = (0, Some(Instant::now()));
        }
        if !is_known && (count >= most || self.made >= most) {
            return false;
        }
        self.made += u64::from(!is_known);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(queue.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn new_names_are_bounded_by_those_of_the_store_and_by_those_of_a_day() {
        let mut made = Made::default();
        let name = |n: u64| QueueName::as_stored(&format!("q{n}"));
        assert!(!made.take(&name(0), false, 3, 3) && made.take(&name(0), true, 0, 0), "what exists may be used");
        // The store does not know them yet.
        assert_eq!(
            (1..9).map(|n| made.take(&name(n), false, 0, 3)).collect::<Vec<_>>()[..4],
            [true, true, true, false]
        );
        advance(DAY).await;
        assert!(made.take(&name(9), false, 0, 3));
        assert!((0..5 * REMEMBERED as u64).all(|n| made.take(&name(n), true, 0, 3)));
        assert!(made.known.len() <= REMEMBERED);
    }
}
