//! The queues that the pool claims from.

use std::cell::RefCell;
use std::sync::Arc;

use crate::config::element::queues::QueuePatterns;
use crate::job::QueueName;

/// The patterns, and the queues that match them.
pub(super) struct Queues {
    patterns: RefCell<QueuePatterns>,
    /// The queues of the store when the waker last looked.
    known: RefCell<Vec<QueueName>>,
    /// The known queues that match, in order.
    matching: RefCell<Arc<[QueueName]>>,
}

impl Queues {
    pub(super) fn new(patterns: &QueuePatterns) -> Self {
        let matching = RefCell::new(patterns.resolve(&[]).into());
        Self { patterns: RefCell::new(patterns.clone()), known: RefCell::default(), matching }
    }

    /// The queues to claim from, in order.
    pub(super) fn matching(&self) -> Arc<[QueueName]> {
        Arc::clone(&self.matching.borrow())
    }

    /// Whether it depends on the store's queues which of them match.
    pub(super) fn have_patterns(&self) -> bool {
        self.patterns.borrow().has_patterns()
    }

    /// A reload may have brought other patterns.
    pub(super) fn change_patterns(&self, patterns: &QueuePatterns) {
        if *self.patterns.borrow() != *patterns {
            self.patterns.borrow_mut().clone_from(patterns);
            *self.matching.borrow_mut() = patterns.resolve(&self.known.borrow()).into();
        }
    }

    /// The waker, which watched the queues in `watched`, found these in the store. True if they were all that match.
    pub(super) fn found(&self, known: Option<&[QueueName]>, watched: &[QueueName]) -> bool {
        if let Some(known) = known {
            known.clone_into(&mut self.known.borrow_mut());
        }
        let matching = self.patterns.borrow().resolve(&self.known.borrow());
        let all = matching == *watched;
        if !all {
            *self.matching.borrow_mut() = matching.into();
        }
        all
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
        let known = names(&["mail"]);
        assert!(!queues.found(Some(&known), &[]), "it was not watched");
        assert_eq!(*queues.matching(), *known);
        assert!(queues.found(Some(&known), &known));
        let list = queues.matching();
        assert!(
            queues.found(None, &known) && Arc::ptr_eq(&list, &queues.matching()),
            "lanes keep what they built of it"
        );
    }
}
