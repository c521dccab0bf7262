//! What ran and is not in the store's history yet.
//!
//! It is what the tally has grown by. It goes along with an extension of the lease, or with the last call of the instance. A
//! batch stays as it is until it is known that the store has it, and what is counted meanwhile waits for the next one: so
//! nothing is counted twice and nothing is lost, whatever becomes of a reply. Only if this process is killed, what was
//! counted since the last extension is not in the history; and if the instance is declared dead while it is unknown whether
//! the store took a batch, that batch is not sent again.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Tally;
use crate::job::RunCounts;
use crate::store::StoreError;
use crate::store::history::Ran;

/// For how long nothing is sent along after an extension failed for a reason that may lie in what it carried: the lease is
/// worth more.
const PAUSE: Duration = Duration::from_secs(30);

/// Of how many tasks a batch tells at most: the store holds everybody up while it adds one to its history.
const AT_ONCE: usize = 50;

/// What is to be sent, over all lives of an instance.
pub(super) struct History {
    tally: Tally,
    /// How much was counted when all of it had been put into batches.
    seen: Cell<u64>,
    /// The task, by its place in the tally, at which the next batch begins.
    turn: Cell<usize>,
    /// The totals up to which batches were made, in the order of the tally.
    sent: RefCell<Vec<RunCounts>>,
    /// The batch that the store may not have.
    waiting: RefCell<Option<Ran>>,
    sequence: Cell<u64>,
    /// An extension with the batch is under way.
    under_way: Cell<bool>,
    /// It was sent, and it is not known whether the store took it.
    in_doubt: Cell<bool>,
    paused_until: Cell<Option<Instant>>,
}

impl History {
    pub(super) fn new(tally: Tally) -> Self {
        Self {
            tally,
            seen: Cell::new(0),
            turn: Cell::new(0),
            sent: RefCell::default(),
            waiting: RefCell::default(),
            sequence: Cell::new(0),
            under_way: Cell::new(false),
            in_doubt: Cell::new(false),
            paused_until: Cell::new(None),
        }
    }

    /// The batch that goes with an extension sent now: at most one, because a second one under way could overtake it.
    pub(super) fn next(&self) -> Vec<Ran> {
        if self.under_way.get() || self.paused_until.get().is_some_and(|until| Instant::now() < until) {
            return Vec::new();
        }
        if self.waiting.borrow().is_none() {
            self.waiting.replace(self.batch());
        }
        let waiting = self.waiting.borrow();
        self.under_way.set(waiting.is_some());
        waiting.iter().cloned().collect()
    }

    /// An extension with a batch was answered: the store has all batches up to this one.
    pub(super) fn taken(&self, sequence: u64) {
        self.under_way.set(false);
        self.in_doubt.set(false);
        self.waiting.borrow_mut().take_if(|batch| batch.sequence <= sequence);
    }

    /// An extension with a batch was answered, and nothing of it was done.
    pub(super) fn refused(&self) {
        self.under_way.set(false);
    }

    /// An extension with a batch failed.
    pub(super) fn failed(&self, error: &StoreError) {
        self.under_way.set(false);
        if !error.changed_nothing() {
            self.in_doubt.set(true);
        }
        if !error.is_transient() || matches!(error, StoreError::Full(_)) {
            self.paused_until.set(Some(Instant::now() + PAUSE));
        }
    }

    /// Nobody waits for the extension any more that is under way.
    pub(super) fn forsake(&self) {
        if self.under_way.replace(false) {
            self.in_doubt.set(true);
        }
    }

    /// All that the store may not have, for the last call.
    pub(super) fn last(&self) -> Vec<Ran> {
        let waiting = self.waiting.borrow_mut().take();
        waiting.into_iter().chain(std::iter::from_fn(|| self.batch())).collect()
    }

    /// The instance was declared dead and begins anew under another id, of which the store has no batch yet.
    pub(super) fn begin_anew(&self) {
        self.forsake();
        if self.in_doubt.replace(false) {
            self.waiting.take();
        }
    }

    /// What was counted since the last batch was made; of many tasks a part, and the others have their turn next.
    fn batch(&self) -> Option<Ran> {
        let counted = self.tally.counted();
        if self.seen.get() == counted {
            return None;
        }
        let mut sent = self.sent.borrow_mut();
        let totals = self.tally.tasks();
        sent.resize(totals.len(), RunCounts::default());
        let (mut tasks, turn) = (Vec::new(), self.turn.get());
        let mut looked = 0;
        for at in (turn..totals.len()).chain(0..turn) {
            if tasks.len() == AT_ONCE {
                break;
            }
            looked += 1;
            let (Some((task, total)), Some(sent)) = (totals.get(at), sent.get_mut(at)) else { continue };
            let more = total.since(sent);
            if !more.is_empty() {
                sent.clone_from(total);
                tasks.push((task.clone(), more));
            }
        }
        if looked < totals.len() {
            self.turn.set((turn + looked) % totals.len());
        } else {
            self.seen.set(counted);
        }
        if tasks.is_empty() {
            return None;
        }
        self.sequence.set(self.sequence.get() + 1);
        Some(Ran { sequence: self.sequence.get(), tasks: tasks.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{QueueName, RunEnd, TaskName};

    fn history() -> (Tally, History) {
        let tally = Tally::default();
        (tally.clone(), History::new(tally))
    }

    fn run(tally: &Tally, task: &str) {
        tally.count(Some(&TaskName::as_stored(task)), &QueueName::as_stored("q"), RunEnd::Done, Some(1));
    }

    /// Sequences, and how many runs of which tasks.
    fn told(batches: &[Ran]) -> Vec<(u64, Vec<(String, u64)>)> {
        let of =
            |ran: &Ran| ran.tasks.iter().map(|(task, counts)| (task.to_string(), counts.of(RunEnd::Done))).collect();
        batches.iter().map(|ran| (ran.sequence, of(ran))).collect()
    }

    fn lost() -> StoreError {
        StoreError::Unavailable("the answer was lost".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_stays_as_it_is_until_the_store_has_it_and_the_rest_waits() {
        let (tally, history) = history();
        assert_eq!(history.next(), [], "nothing ran");
        run(&tally, "a");
        let first = history.next();
        assert_eq!(told(&first), [(1, vec![("a".to_owned(), 1)])]);
        run(&tally, "a");
        run(&tally, "b");
        assert_eq!(history.next(), [], "one is under way");
        history.failed(&lost());
        assert_eq!(history.next(), first, "the same once more");
        history.taken(1);
        let second = history.next();
        assert_eq!(told(&second), [(2, vec![("a".to_owned(), 1), ("b".to_owned(), 1)])]);
        history.taken(1);
        assert_eq!(history.next(), second, "the store did not take it");
        history.taken(2);
        assert_eq!(history.next(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_call_takes_all_that_the_store_may_not_have() {
        let (tally, history) = history();
        run(&tally, "a");
        let first = history.next();
        run(&tally, "a");
        let last = history.last();
        assert_eq!((&last[..1], told(&last[1..])), (&first[..], vec![(2, vec![("a".to_owned(), 1)])]));
        assert_eq!(history.last(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_tasks_each_has_its_turn() {
        let (tally, history) = history();
        let ran = |tally: &Tally| (0..120).for_each(|n| run(tally, &format!("t{n}")));
        ran(&tally);
        let mut told = Vec::new();
        for sequence in 1..=3 {
            run(&tally, "t0");
            let next = history.next();
            assert!(next[0].tasks.len() <= AT_ONCE);
            told.extend(next[0].tasks.iter().cloned());
            history.taken(sequence);
        }
        let names: std::collections::BTreeSet<_> = told.iter().map(|(task, _)| task.to_string()).collect();
        assert_eq!(names.len(), 120, "nobody waits behind one that always ran");
        ran(&tally);
        told.extend(history.last().iter().flat_map(|ran| ran.tasks.iter().cloned()));
        let done: u64 = told.iter().map(|(_, counts)| counts.of(RunEnd::Done)).sum();
        assert_eq!((done, history.last()), (2 * 120 + 3, Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_death_only_what_was_surely_not_taken_is_sent_again() {
        for (fate, sent_again) in [(lost(), false), (StoreError::Unreached("down".to_owned()), true)] {
            let (tally, history) = history();
            run(&tally, "a");
            let first = history.next();
            history.failed(&fate);
            history.begin_anew();
            run(&tally, "b");
            let next = history.next();
            if sent_again {
                assert_eq!(next, first);
                history.taken(1);
                assert_eq!(told(&history.next()), [(2, vec![("b".to_owned(), 1)])]);
            } else {
                assert_eq!(told(&next), [(2, vec![("b".to_owned(), 1)])]);
            }
        }
        let (tally, under_way) = history();
        run(&tally, "a");
        under_way.next();
        under_way.begin_anew();
        assert_eq!(under_way.next(), [], "nobody knows what became of it");
        run(&tally, "a");
        let second = under_way.next();
        under_way.refused();
        under_way.begin_anew();
        assert_eq!(under_way.next(), second, "it was told that the instance is dead");
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_failed_an_extension_does_not_fail_the_next_one() {
        let (tally, history) = history();
        run(&tally, "a");
        let first = history.next();
        history.failed(&StoreError::Full("no room".to_owned()));
        assert_eq!(history.next(), []);
        tokio::time::advance(PAUSE).await;
        assert_eq!(history.next(), first);
    }
}
