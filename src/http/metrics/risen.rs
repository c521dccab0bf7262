//! What came to each queue and what left it, so that it only grows while this process lives.
//!
//! The leader's numbers may fall: a job that is given back has not left, and another leader begins with numbers of its own,
//! because it knows no more than the store which jobs others took. Who collects would take a counter that fell for one that
//! began anew, and everything for growth. So the highest number of a leader counts, and that of the next one goes on from
//! what was told. What came and went between the two is not told.

use std::collections::HashMap;

use crate::store::snapshot::QueueGauge;

/// How many queues are remembered. More than have series of their own are not told.
const MOST: usize = 1000;

/// What was told of the queues.
#[derive(Debug, Default)]
pub(super) struct Risen {
    leader: String,
    queues: HashMap<String, Of>,
}

/// What was told of a queue.
#[derive(Debug, Clone, Copy)]
struct Of {
    arrived: Rising,
    departed: Rising,
}

#[derive(Debug, Clone, Copy)]
struct Rising {
    /// The highest number of this leader.
    highest: i64,
    told: u64,
}

impl Rising {
    /// The next number; `anew`: it cannot be compared with those before.
    fn see(&mut self, number: i64, anew: bool) -> u64 {
        if !anew {
            let grown = u64::try_from(number.saturating_sub(self.highest)).unwrap_or(0);
            self.told = self.told.saturating_add(grown);
        }
        self.highest = if anew { number } else { number.max(self.highest) };
        self.told
    }
}

impl Risen {
    /// What is to be told of this queue: how many jobs came, and how many left.
    pub(super) fn see(&mut self, leader: &str, queue: &QueueGauge) -> (u64, u64) {
        let first = |number: i64| Rising { highest: number, told: u64::try_from(number).unwrap_or(0) };
        let begin = Of { arrived: first(queue.arrived), departed: first(queue.departed) };
        if self.leader != leader {
            leader.clone_into(&mut self.leader);
            // Nothing of another leader can be compared: below every number, each is one that begins anew.
            self.queues.values_mut().for_each(|of| of.arrived.highest = i64::MAX);
        }
        if self.queues.len() >= MOST && !self.queues.contains_key(&queue.queue) {
            return (begin.arrived.told, begin.departed.told);
        }
        let of = self.queues.entry(queue.queue.clone()).or_insert(begin);
        // Jobs that are given back leave the arrivals as they are, so that these only fall where the count began anew.
        let anew = queue.arrived < of.arrived.highest;
        (of.arrived.see(queue.arrived, anew), of.departed.see(queue.departed, anew))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, arrived: i64, departed: i64) -> QueueGauge {
        QueueGauge { queue: name.to_owned(), arrived, departed, ..QueueGauge::default() }
    }

    #[test]
    fn a_job_that_is_given_back_leaves_once() {
        let mut risen = Risen::default();
        let told: Vec<_> = [(10, 4), (10, 3), (10, 4), (12, 5)].map(|(a, d)| risen.see("a", &queue("q", a, d))).into();
        assert_eq!(told, [(10, 4), (10, 4), (10, 4), (12, 5)]);
    }

    #[test]
    fn another_leader_goes_on_from_what_was_told() {
        let mut risen = Risen::default();
        assert_eq!(risen.see("a", &queue("q", 1000, 900)), (1000, 900));
        // Others took 300 jobs, which the new leader does not know; then a third one counts them again.
        assert_eq!(risen.see("b", &queue("q", 700, 600)), (1000, 900));
        assert_eq!(risen.see("b", &queue("q", 705, 603)), (1005, 903));
        assert_eq!(risen.see("a", &queue("q", 2000, 1900)), (1005, 903), "nobody knows what of it is new");
        assert_eq!(risen.see("a", &queue("q", 2001, 1900)), (1006, 903));
        assert_eq!(risen.see("a", &queue("other", 7, 7)), (7, 7));
    }

    #[test]
    fn a_count_that_begins_anew_does_not_begin_for_who_collects() {
        let mut risen = Risen::default();
        risen.see("a", &queue("q", 1000, 900));
        assert_eq!(risen.see("a", &queue("q", 3, 0)), (1000, 900), "somebody emptied the store");
        assert_eq!(risen.see("a", &queue("q", 5, 4)), (1002, 904));
    }

    proptest::proptest! {
        #[test]
        fn they_never_fall(seen in proptest::collection::vec((0..3_usize, -5..50_i64, -5..50_i64), 1..60)) {
            let (mut risen, mut last) = (Risen::default(), (0, 0));
            for (leader, arrived, departed) in seen {
                let told = risen.see(["a", "b", "c"][leader], &queue("q", arrived, departed));
                proptest::prop_assert!(told.0 >= last.0 && told.1 >= last.1, "{:?} after {:?}", told, last);
                last = told;
            }
        }
    }
}
