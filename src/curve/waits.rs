//! How long jobs waited that left a queue, as a histogram.

use super::points::{Points, Stretch};

/// The upper ends of the classes of waits; those that are longer stand in a last one.
pub const WAIT_BOUNDS_MS: [i64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000];

/// In how many parts the jobs of a stretch are classed.
const PARTS: i128 = 16;

/// How long jobs waited, all that left since the curve began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    counts: [u64; WAIT_BOUNDS_MS.len() + 1],
    sum_ms: u64,
}

/// Jobs that left between two samples: numbers above `below` up to `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) below: i64,
    pub(super) to: i64,
    pub(super) after_ms: i64,
    pub(super) by_ms: i64,
}

impl Waits {
    /// How many jobs waited for at most each of [`WAIT_BOUNDS_MS`] and not for the one before, then the rest.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How long they waited together.
    #[must_use]
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms
    }

    /// Did no job leave?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// Adds jobs that left in their order. Between two samples arrivals and departures count as evenly spread, so that a wait
    /// is as uncertain as they are apart. One that arrived before the first point waited at least as long as it says.
    pub(super) fn add(&mut self, points: &Points, left: Left) {
        for Stretch { below, to, arrival } in points.stretches(left.below, left.to) {
            let (first, count) = (i128::from(below) + 1, i128::from(to) - i128::from(below));
            let from = (arrival.after_ms, i128::from(below), i128::from(to));
            let mut done = 0;
            for part in 1..=count.min(PARTS) {
                let until = count * part / count.min(PARTS);
                let middle = first + (done + until - 1) / 2;
                let went = between(middle, i128::from(left.below), i128::from(left.to), left.after_ms, left.by_ms);
                let came = match from {
                    (Some(after_ms), below, to) => between(middle, below, to, after_ms, arrival.by_ms),
                    (None, ..) => i128::from(arrival.by_ms),
                };
                self.count((went - came).max(0), until - done);
                done = until;
            }
        }
    }

    fn count(&mut self, wait_ms: i128, jobs: i128) {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        let class = WAIT_BOUNDS_MS.partition_point(|bound| i128::from(*bound) < wait_ms);
        if let Some(count) = self.counts.get_mut(class) {
            *count = count.saturating_add(jobs);
        }
        let wait = u64::try_from(wait_ms).unwrap_or(u64::MAX);
        self.sum_ms = self.sum_ms.saturating_add(wait.saturating_mul(jobs));
    }
}

/// When the job of a number came or went, if those above `below` up to `to` did so evenly between two times.
fn between(number: i128, below: i128, to: i128, after_ms: i64, by_ms: i64) -> i128 {
    let (after, by) = (i128::from(after_ms), i128::from(by_ms));
    after + (by - after).saturating_mul(number - below) / (to - below).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_leave_at_the_rate_at_which_they_came_waited_equally_long() {
        let mut points = Points::default();
        for second in 0..100 {
            points.add(second * 1000, second * 1000);
        }
        let mut waits = Waits::default();
        // What came between 10 s and 11 s leaves between 40 s and 41 s.
        waits.add(&points, Left { below: 10_000, to: 11_000, after_ms: 40_000, by_ms: 41_000 });
        let class = WAIT_BOUNDS_MS.iter().position(|bound| *bound == 30_000).unwrap();
        assert_eq!(waits.counts()[class], 1000);
        assert_eq!(waits.sum_ms(), 30_000_000);
    }

    #[test]
    fn jobs_that_came_together_and_left_slowly_waited_for_different_times() {
        let mut points = Points::default();
        points.add(0, 0);
        points.add(1, 100);
        let mut waits = Waits::default();
        waits.add(&points, Left { below: 0, to: 100, after_ms: 0, by_ms: 100_000 });
        assert_eq!(waits.counts().iter().sum::<u64>(), 100);
        assert!(waits.counts()[7] > 0 && waits.counts()[10] > 0, "{waits:?}");
        let mean = waits.sum_ms() / 100;
        assert!((47_000..53_000).contains(&mean), "{mean}");
    }

    #[test]
    fn numbers_beyond_reason_are_counted_all_the_same() {
        let mut points = Points::default();
        points.add(i64::MIN, i64::MIN);
        points.add(i64::MAX, i64::MAX);
        let mut waits = Waits::default();
        waits.add(&points, Left { below: i64::MIN, to: i64::MAX, after_ms: i64::MIN, by_ms: i64::MAX });
        assert!(!waits.is_empty());
    }
}
