//! The first names of queues among any number of them, in the order in which JavaScript sorts.
//!
//! A store may know very many queues, and tells them in no order. Of all that are added only so many are held.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::QueueName;

/// Keeps the first of the names that are added, each once.
#[derive(Debug, Clone)]
pub struct FirstQueues {
    most: usize,
    names: BTreeSet<InOrder>,
    more: usize,
}

/// By UTF-16 code units, as node-resque sorts queues.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InOrder(QueueName);

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (self.0.as_str(), other.0.as_str());
        // Below the surrogates, as in all of ASCII, the order of bytes is the same.
        if one.is_ascii() && other.is_ascii() { one.cmp(other) } else { one.encode_utf16().cmp(other.encode_utf16()) }
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FirstQueues {
    /// Keeps so many at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, names: BTreeSet::new(), more: 0 }
    }

    /// Adds a name.
    pub fn add(&mut self, name: QueueName) {
        let name = InOrder(name);
        if self.names.len() < self.most {
            self.names.insert(name);
            return;
        }
        match self.names.last().map_or(Ordering::Greater, |last| name.cmp(last)) {
            Ordering::Greater => self.more += 1,
            Ordering::Equal => {}
            Ordering::Less => {
                if self.names.insert(name) {
                    self.names.pop_last();
                    self.more += 1;
                }
            }
        }
    }

    /// Does the one name stand before the other?
    #[must_use]
    pub fn is_before(one: &QueueName, other: &QueueName) -> bool {
        InOrder(one.clone()) < InOrder(other.clone())
    }

    /// How many names were not kept. One that was added twice counts twice.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// How many are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.names.len()
    }

    /// Those that are kept, in order.
    pub fn into_names(self) -> impl Iterator<Item = QueueName> {
        self.names.into_iter().map(|name| name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_whatever_the_order_in_which_they_come() {
        let names = ["c", "\u{ff21}", "a", "b", "a", "\u{1f600}", "d", "a"];
        let kept = |most: usize| {
            let mut first = FirstQueues::new(most);
            names.iter().for_each(|name| first.add(QueueName::as_stored(name)));
            let more = first.more();
            (first.into_names().map(|name| name.to_string()).collect::<Vec<_>>().join(" "), more)
        };
        assert_eq!(kept(9), ("a b c d \u{1f600} \u{ff21}".to_owned(), 0));
        assert_eq!(kept(2), ("a b".to_owned(), 4));
        assert_eq!(kept(0), (String::new(), 8));
    }
}
