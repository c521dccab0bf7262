//! Counters that this process watches. The term of an owner has lapsed when its counter stood still for as long.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What one process has seen of counters: per name the owner, the counter, and since when both stand.
#[derive(Debug, Default)]
pub(super) struct Terms(RefCell<HashMap<String, (String, i64, Instant)>>);

impl Terms {
    /// Takes one look; true if the counter stood still for `ttl` since it was first seen.
    pub(super) fn lapsed(&self, name: &str, owner: &str, counter: i64, ttl: Duration, now: Instant) -> bool {
        let mut seen = self.0.borrow_mut();
        match seen.get(name) {
            Some((known, at, since)) if known == owner && *at == counter => now.duration_since(*since) >= ttl,
            _ => {
                seen.insert(name.to_owned(), (owner.to_owned(), counter, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_lapses_when_its_counter_was_seen_to_stand_still_for_its_length() {
        let (terms, start) = (Terms::default(), Instant::now());
        let look = |second, owner, counter| {
            let ttl = Duration::from_secs(15);
            terms.lapsed("duties", owner, counter, ttl, start + Duration::from_secs(second))
        };
        assert!(!look(0, "a", 1));
        assert!(!look(14, "a", 1));
        assert!(!look(16, "a", 2), "it was renewed");
        assert!(!look(30, "a", 2));
        assert!(!look(31, "b", 2), "another leads");
        assert!(!look(45, "b", 2));
        assert!(look(46, "b", 2));
    }
}
