//! Jobs of classes that no task here defines.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::job::QueueName;
use crate::text::count::counted;

/// After so many of them from one queue, advice is given.
const BEFORE_ADVICE: u64 = 10;

/// How many jobs of unknown classes each queue brought since the last reload.
#[derive(Default)]
pub(super) struct UnknownClasses {
    counts: RefCell<HashMap<QueueName, u64>>,
}

impl UnknownClasses {
    /// Counts one; returns the advice that is due with it.
    pub(super) fn count(&self, queue: &QueueName) -> Option<String> {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(queue.clone()).or_insert(0u64);
        *count += 1;
        (*count == BEFORE_ADVICE).then(|| advice(*count, queue))
    }

    /// The tasks have changed.
    pub(super) fn clear(&self) {
        self.counts.borrow_mut().clear();
    }
}

fn advice(count: u64, queue: &QueueName) -> String {
    format!(
        "{} unknown here came from queue {:?} and failed; if other workers know them, list this \
         instance's queues in `queues` instead of a pattern, or exclude that one with {:?}",
        counted(count, "job of a class", "jobs of classes"),
        queue,
        format!("!{queue}")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_once_and_is_one_sentence_without_gaps() {
        let (unknown, mail) = (UnknownClasses::default(), QueueName::as_stored("mail"));
        let given: Vec<_> = (0..30).filter_map(|_| unknown.count(&mail)).collect();
        let [advice] = given.as_slice() else { panic!("{given:?}") };
        assert!(!advice.contains("  ") && advice.ends_with("or exclude that one with \"!mail\""), "{advice}");
    }
}
