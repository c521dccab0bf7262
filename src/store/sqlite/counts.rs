//! How many jobs came to each queue and how many left it: added up in memory, and written once for each queue and
//! transaction.
//!
//! The counts stand beside the rows, so that a length is known without counting them. Another program that writes into the
//! table of jobs does not keep them. So a claim that empties a queue sets them right.

use std::collections::HashMap;

use crate::job::QueueName;

/// What came and left in a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    arrived: i64,
    departed: i64,
    /// How many jobs the queue holds, if the step saw it empty.
    standing: Option<i64>,
}

impl Moved {
    fn changes(&self) -> bool {
        self.arrived != 0 || self.departed != 0 || self.standing.is_some()
    }

    /// No job is left.
    pub(super) fn emptied(&mut self) {
        self.standing = Some(0);
    }

    pub(super) fn add(&mut self, arrived: i64, departed: i64) {
        self.arrived += arrived;
        self.departed += departed;
        self.standing = self.standing.map(|standing| (standing + arrived - departed).max(0));
    }
}

/// What came to which queue and left it.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueCounts(HashMap<QueueName, Moved>);

impl QueueCounts {
    pub(super) fn of(&mut self, queue: &QueueName) -> &mut Moved {
        if !self.0.contains_key(queue) {
            self.0.insert(queue.clone(), Moved::default());
        }
        self.0.get_mut(queue).expect("it was put there if it was missing")
    }

    /// Adds those of a later step.
    pub(super) fn merge(&mut self, later: Self) {
        for (queue, moved) in later.0 {
            let sum = self.of(&queue);
            sum.add(moved.arrived, moved.departed);
            sum.standing = moved.standing.or(sum.standing);
        }
    }

    /// The parameters of [`WRITE`], for each queue of which something is to be written.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, i64, i64, Option<i64>)> {
        let moved = self.0.iter().filter(|(_, moved)| moved.changes());
        moved.map(|(queue, moved)| (queue.as_str(), moved.arrived, moved.departed, moved.standing))
    }
}

/// Adds to the counts of a queue. If it is known what it holds, they are set right. Neither falls: the one that is too low is
/// raised.
pub(super) const WRITE: &str = "INSERT INTO stats (name, value, other) \
     VALUES ('queue:' || ?1, max(?2, coalesce(?3 + ?4, ?2)), coalesce(max(?2, ?3 + ?4) - ?4, ?3)) ON CONFLICT (name) DO UPDATE \
     SET value = max(value + ?2, coalesce(other + ?3 + ?4, value + ?2)), \
     other = coalesce(max(value + ?2, other + ?3 + ?4) - ?4, other + ?3)";
