//! How many jobs come and go, over the last minute.

use std::collections::VecDeque;

/// Over how long jobs are counted.
const WINDOW_MS: i64 = 60_000;
/// How far apart the samples are that are kept for that.
const APART_MS: i64 = 5_000;
/// Over less, counts would tell little.
const SHORTEST_MS: i64 = 5_000;

/// How many jobs came and went in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// How long that was.
    pub over_ms: u64,
    /// How many came.
    pub arrived: u64,
    /// How many went. Those that were given back do not count.
    pub departed: u64,
}

impl Flow {
    /// How many came in a minute, rounded. `None` before a minute was counted: a few seconds would be told as if they went on.
    #[must_use]
    pub fn in_per_minute(&self) -> Option<u64> {
        self.is_a_minute().then(|| self.per_minute(self.arrived))
    }

    /// How many went in a minute, rounded.
    #[must_use]
    pub fn out_per_minute(&self) -> Option<u64> {
        self.is_a_minute().then(|| self.per_minute(self.departed))
    }

    /// Was it counted for so long that it can be told as a rate?
    #[must_use]
    pub fn is_a_minute(&self) -> bool {
        i64::try_from(self.over_ms).is_ok_and(|over_ms| over_ms >= WINDOW_MS)
    }

    fn per_minute(&self, count: u64) -> u64 {
        let over = u128::from(self.over_ms.max(1));
        let rate = (u128::from(count) * 60_000 + over / 2) / over;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// When a queue of this length is empty if that goes on; `None` if it does not get shorter, or a minute is not known yet.
    #[must_use]
    pub fn empty_in_ms(&self, length: u64) -> Option<u64> {
        let net = self.departed.checked_sub(self.arrived).filter(|net| *net > 0 && self.is_a_minute())?;
        Some(u64::try_from(u128::from(length) * u128::from(self.over_ms) / u128::from(net)).unwrap_or(u64::MAX))
    }
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    at_ms: i64,
    arrived: i64,
    departed: i64,
}

/// Samples of the last minute.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    kept: VecDeque<Counted>,
    last: Option<Counted>,
}

impl Recent {
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.last = None;
    }

    pub(super) fn add(&mut self, at_ms: i64, arrived: i64, departed: i64) {
        let counted = Counted { at_ms, arrived, departed };
        if self.kept.back().is_none_or(|last| at_ms.saturating_sub(last.at_ms) >= APART_MS) {
            self.kept.push_back(counted);
        }
        self.last = Some(counted);
        // The one at the beginning of the window stays.
        let old =
            |counted: Option<&Counted>| counted.is_some_and(|counted| at_ms.saturating_sub(counted.at_ms) >= WINDOW_MS);
        while old(self.kept.get(1)) {
            self.kept.pop_front();
        }
    }

    pub(super) fn flow(&self) -> Option<Flow> {
        let (first, last) = (self.kept.front()?, self.last?);
        let over_ms = last.at_ms.saturating_sub(first.at_ms);
        let grown = |now: i64, then: i64| u64::try_from(now.saturating_sub(then)).unwrap_or(0);
        (over_ms >= SHORTEST_MS).then(|| Flow {
            over_ms: grown(last.at_ms, first.at_ms),
            arrived: grown(last.arrived, first.arrived),
            departed: grown(last.departed, first.departed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_counted() {
        let mut recent = Recent::default();
        for second in 0..200 {
            recent.add(second * 1000, second * 2, second * 5);
            let flow = recent.flow();
            assert_eq!(flow.is_some(), second >= 5, "{second}");
            let Some(flow) = flow else { continue };
            assert!(flow.over_ms <= 65_000 && (second < 60 || flow.over_ms >= 60_000), "{flow:?}");
            let (told, empty) = if second < 60 { ((None, None), None) } else { ((Some(120), Some(300)), Some(10_000)) };
            assert_eq!((flow.in_per_minute(), flow.out_per_minute()), told, "{second}");
            assert_eq!(flow.empty_in_ms(30), empty, "{second}");
            assert_eq!(flow.arrived * 1000, flow.over_ms * 2, "what was counted is told as it is");
            assert!(recent.kept.len() <= 14);
        }
    }

    #[test]
    fn a_queue_that_does_not_get_shorter_is_never_empty() {
        let flow = Flow { over_ms: 60_000, arrived: 5, departed: 5 };
        assert_eq!(flow.empty_in_ms(1), None);
        assert_eq!(Flow { departed: 6, ..flow }.empty_in_ms(u64::MAX), Some(u64::MAX));
    }
}
