//! Which of very many queues a claim looks at.
//!
//! Each claim sends the names of all queues that it looks at, and the server looks at each: with ten thousand that takes longer
//! than the jobs do. So a claim names those that held jobs at the last look, and some of the others in turn, both in the order
//! of the list. When these hold nothing, the waker looks at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::job::QueueName;
use crate::store::wake::FEW_QUEUES;

/// How many others are named in turn.
const OTHERS: usize = FEW_QUEUES / 4;
/// How long a list stays, so that lanes keep what they built of it.
const STAYS: Duration = Duration::from_millis(100);

/// The queues that claims name.
#[derive(Default)]
pub(super) struct Short {
    busy: HashSet<QueueName>,
    /// Behind how many of all those begin that are named in turn.
    turn: usize,
    last: Option<Last>,
}

struct Last {
    list: Arc<[QueueName]>,
    made: Instant,
}

impl Short {
    /// The queues to name, of all these.
    pub(super) fn list(&mut self, all: &[QueueName]) -> Arc<[QueueName]> {
        if let Some(last) = self.last.as_ref().filter(|last| last.made.elapsed() < STAYS) {
            return Arc::clone(&last.list);
        }
        let first = self.turn % all.len().max(1);
        self.turn = first + OTHERS;
        let mut room = FEW_QUEUES - OTHERS;
        let mut takes = |at: usize, queue: &QueueName| {
            // Around the end of the list, too.
            if (at + all.len() - first) % all.len() < OTHERS {
                return true;
            }
            let is_busy = room > 0 && self.busy.contains(queue);
            room -= usize::from(is_busy);
            is_busy
        };
        let taken = all.iter().enumerate().filter(|(at, queue)| takes(*at, queue)).map(|(_, queue)| queue.clone());
        let list: Arc<[QueueName]> = taken.collect();
        self.last = Some(Last { list: Arc::clone(&list), made: Instant::now() });
        list
    }

    /// These hold jobs, and no others.
    pub(super) fn saw(&mut self, busy: &[QueueName]) {
        self.busy = busy.iter().cloned().collect();
        self.last = None;
    }

    /// The queues are others by now.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// This one holds jobs, too.
    pub(super) fn add(&mut self, queue: &QueueName) {
        if !self.busy.contains(queue) {
            self.busy.insert(queue.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn names(count: usize) -> Vec<QueueName> {
        (0..count).map(|n| QueueName::as_stored(&format!("q{n:05}"))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn those_with_jobs_are_named_always_and_all_others_in_turn() {
        let (all, mut short) = (names(10_000), Short::default());
        let busy = [all[9_999].clone(), all[5].clone(), all[5_000].clone()];
        short.saw(&busy);
        let (mut seen, mut looks) = (HashSet::new(), 0);
        while seen.len() < all.len() {
            let list = short.list(&all);
            assert!(list.len() <= FEW_QUEUES && list.is_sorted_by(|one, next| one.as_str() < next.as_str()));
            assert!(busy.iter().all(|queue| list.contains(queue)));
            assert!(Arc::ptr_eq(&list, &short.list(&all)), "it stays for a moment");
            seen.extend(list.iter().cloned());
            advance(STAYS).await;
            looks += 1;
        }
        assert_eq!(looks, all.len() / OTHERS);
        short.saw(&[]);
        assert!(!short.list(&all).contains(&busy[2]));
        short.add(&busy[2]);
        advance(STAYS).await;
        assert!(short.list(&all).contains(&busy[2]), "a job was claimed from it");
    }

    #[tokio::test(start_paused = true)]
    async fn of_very_many_with_jobs_the_first_are_named_until_they_are_done() {
        let (all, mut short) = (names(10_000), Short::default());
        short.saw(&all);
        let first = short.list(&all);
        assert_eq!(first[..OTHERS], all[..OTHERS]);
        assert_eq!((first.len(), &first[FEW_QUEUES - 1]), (FEW_QUEUES, &all[FEW_QUEUES - 1]));
        // The waker finds those that are left.
        short.saw(&all[2_000..]);
        assert!(short.list(&all).contains(&all[2_000]));
        short.forget();
        let fewer = names(1_200);
        assert!(short.list(&fewer).iter().all(|queue| fewer.contains(queue)), "the list has changed");
    }
}
