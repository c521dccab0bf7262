//! The queues that the pool claims from.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::short::Short;
use crate::config::element::queues::{MAX_MATCHES, QueuePatterns, ResolvedQueues};
use crate::job::QueueName;
use crate::store::wake::FEW_QUEUES;

/// The patterns, and the queues that match them.
pub(super) struct Queues {
    patterns: RefCell<Arc<QueuePatterns>>,
    /// The queues that matched when the waker last looked, in order.
    matching: RefCell<Arc<[QueueName]>>,
    /// How many more match than are worked on.
    left_out: Cell<usize>,
    /// That was told.
    told: Cell<bool>,
    /// What is claimed from, if that is not all of them.
    short: RefCell<Short>,
}

impl Queues {
    pub(super) fn new(patterns: &QueuePatterns) -> Self {
        let matching = RefCell::new(patterns.resolve(&[]).queues.into());
        let patterns = RefCell::new(Arc::new(patterns.clone()));
        Self { patterns, matching, left_out: Cell::new(0), told: Cell::new(false), short: RefCell::default() }
    }

    /// The queues to claim from with the next exchange, in order: all, if they are few.
    pub(super) fn claiming(&self) -> Arc<[QueueName]> {
        let matching = self.matching.borrow();
        if matching.len() <= FEW_QUEUES {
            return Arc::clone(&matching);
        }
        self.short.borrow_mut().list(&matching)
    }

    /// Of very many queues these held jobs when the waker last looked.
    pub(super) fn saw_busy(&self, busy: &[QueueName]) {
        self.short.borrow_mut().saw(busy);
    }

    /// A job was claimed from this queue, which may hold more.
    pub(super) fn claimed_from(&self, queue: &QueueName) {
        if self.matching.borrow().len() > FEW_QUEUES {
            self.short.borrow_mut().add(queue);
        }
    }

    /// The queues to work on, in order.
    pub(super) fn matching(&self) -> Arc<[QueueName]> {
        Arc::clone(&self.matching.borrow())
    }

    /// The patterns, if it depends on the store's queues which of them match.
    pub(super) fn patterns(&self) -> Option<Arc<QueuePatterns>> {
        Some(Arc::clone(&self.patterns.borrow())).filter(|patterns| patterns.has_patterns())
    }

    /// Are these all queues of the store, new ones as well?
    pub(super) fn are_all(&self) -> bool {
        self.patterns.borrow().stand_for_all() && self.left_out.get() == 0
    }

    /// A reload may have brought other patterns. What they stand for is known with the next look.
    pub(super) fn change_patterns(&self, patterns: &QueuePatterns) {
        if **self.patterns.borrow() != *patterns {
            self.take(&patterns.resolve(&[]));
            *self.patterns.borrow_mut() = Arc::new(patterns.clone());
        }
    }

    /// The waker, which watched the queues in `watched`, found what these patterns stand for. True if it watched all that
    /// match.
    pub(super) fn found(
        &self,
        patterns: Option<&Arc<QueuePatterns>>,
        resolved: Option<&ResolvedQueues>,
        watched: &[QueueName],
    ) -> bool {
        // Other patterns may have come while it looked.
        if patterns.is_some_and(|patterns| *patterns != *self.patterns.borrow()) {
            return false;
        }
        resolved.into_iter().for_each(|resolved| self.take(resolved));
        **self.matching.borrow() == *watched
    }

    fn take(&self, resolved: &ResolvedQueues) {
        self.left_out.set(resolved.left_out);
        // Lanes keep what they built of a list that stays.
        if **self.matching.borrow() != *resolved.queues {
            *self.matching.borrow_mut() = resolved.queues.clone().into();
            self.short.borrow_mut().forget();
        }
    }

    /// What is to be told if more queues match than are worked on: once, and again after it was otherwise.
    pub(super) fn surplus(&self) -> Option<String> {
        let left_out = self.left_out.get();
        if self.told.replace(left_out > 0) || left_out == 0 {
            return None;
        }
        let patterns = self.patterns.borrow().as_configured();
        Some(format!(
            "the patterns in queues = {patterns:?} match {left_out} queues more than {MAX_MATCHES}, which are not worked on \
             (those with jobs come first, in turn): name them or narrow the patterns, or delete queues that nobody needs with `windlass queues delete`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<QueueName> {
        names.iter().map(|name| QueueName::as_stored(name)).collect()
    }

    #[test]
    fn a_queue_that_appears_is_watched_before_the_look_counts() {
        let queues = Queues::new(&QueuePatterns::all());
        let (patterns, known) = (queues.patterns(), names(&["mail"]));
        let resolved = QueuePatterns::all().resolve(&known);
        assert!(!queues.found(patterns.as_ref(), Some(&resolved), &[]), "it was not watched");
        assert_eq!(*queues.matching(), *known);
        assert!(queues.found(patterns.as_ref(), Some(&resolved), &known));
        let list = queues.matching();
        assert!(
            queues.found(None, None, &known) && Arc::ptr_eq(&list, &queues.matching()),
            "lanes keep what they built of it"
        );
    }

    #[test]
    fn what_was_found_for_other_patterns_does_not_count() {
        let queues = Queues::new(&QueuePatterns::all());
        let (before, known) = (queues.patterns(), names(&["mail", "slow"]));
        let resolved = QueuePatterns::all().resolve(&known);
        queues.found(before.as_ref(), Some(&resolved), &[]);
        queues.change_patterns(&QueuePatterns::new(vec!["z".to_owned(), "m*".to_owned()]).unwrap());
        assert_eq!(*queues.matching(), *names(&["z"]));
        assert!(!queues.found(before.as_ref(), Some(&resolved), &names(&["z"])));
        assert_eq!(*queues.matching(), *names(&["z"]), "what `*` stood for");
    }

    #[test]
    fn what_a_pattern_stands_for_is_bounded_and_told_once() {
        let written = ["mail_*", "z", "*", "!odd*"].map(str::to_owned).to_vec();
        let queues = Queues::new(&QueuePatterns::new(written).unwrap());
        let all = |count: usize| -> Vec<QueueName> {
            let many = (0..count).map(|n| format!("q{n:07}"));
            many.chain((0..100).map(|n| format!("odd{n}"))).map(|name| QueueName::as_stored(&name)).collect()
        };
        let look = |known: &[QueueName]| {
            let (patterns, resolved) = (queues.patterns(), queues.patterns().unwrap().resolve(known));
            queues.found(patterns.as_ref(), Some(&resolved), &[]);
            let watched = queues.matching();
            assert!(queues.found(patterns.as_ref(), Some(&resolved), &watched), "the list stays while nothing changes");
            queues.surplus()
        };
        assert_eq!(look(&all(MAX_MATCHES)), None);
        assert_eq!(queues.matching().len(), MAX_MATCHES + 1);
        let told = look(&all(200_000)).unwrap();
        assert!(told.contains("match 190000 queues more than 10000"), "{told}");
        assert_eq!(queues.matching().len(), MAX_MATCHES + 1);
        assert_eq!(queues.matching()[0].as_str(), "z", "what is named is always worked on");
        assert_eq!(look(&all(200_001)), None, "told once");
        assert_eq!(look(&all(5)), None);
        assert!(look(&all(200_000)).is_some(), "and again");
    }
}
