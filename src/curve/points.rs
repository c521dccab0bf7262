//! The curve of arrivals: how many jobs had arrived by when, as a bounded number of points.

/// How many points a curve has at most. Older ones are thinned out: the gaps between them stay below about a tenth of their
/// age for weeks.
pub const MOST_POINTS: usize = 180;

/// The count of arrivals, seen from `first_ms` to `last_ms` in every sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) arrived: i64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

/// When a job arrived: after one sample and by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The last sample that did not count it; `None` if it was there before the first point.
    pub(super) after_ms: Option<i64>,
    /// The first sample that counted it.
    pub(super) by_ms: i64,
}

/// Jobs that arrived between two neighbouring points: numbers above `below` up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) below: i64,
    pub(super) to: i64,
    pub(super) arrival: Arrival,
}

/// Points in ascending order of time and of arrivals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Points(Vec<Point>);

impl Points {
    /// Points from elsewhere, if they are in order and not too many.
    pub(super) fn of(points: Vec<Point>) -> Option<Self> {
        let whole = points.iter().all(|point| point.first_ms <= point.last_ms);
        let rises = |pair: &[Point]| match pair {
            [one, next] => one.arrived < next.arrived && one.last_ms <= next.first_ms,
            _ => true,
        };
        (points.len() <= MOST_POINTS && whole && points.windows(2).all(rises)).then_some(Self(points))
    }

    pub(super) fn all(&self) -> &[Point] {
        &self.0
    }

    /// Forgets all before this sample.
    pub(super) fn restart(&mut self, at_ms: i64, arrived: i64) {
        self.0.clear();
        self.0.push(Point { arrived, first_ms: at_ms, last_ms: at_ms });
    }

    /// Adds a sample. Neither time nor arrivals go back.
    pub(super) fn add(&mut self, at_ms: i64, arrived: i64) {
        match self.0.last_mut() {
            Some(last) if last.arrived == arrived => last.last_ms = at_ms,
            _ => self.0.push(Point { arrived, first_ms: at_ms, last_ms: at_ms }),
        }
        if self.0.len() > MOST_POINTS {
            self.thin(at_ms);
        }
    }

    /// Removes the point between whose neighbours the gap is smallest, measured by their age.
    fn thin(&mut self, now_ms: i64) {
        let gap = |at: usize| {
            let (before, after) = (self.0.get(at)?, self.0.get(at + 2)?);
            let age = i128::from(now_ms) - i128::from(before.last_ms);
            let width = i128::from(after.first_ms) - i128::from(before.last_ms);
            Some(width * 1_000_000 / age.max(1))
        };
        let least = (0..self.0.len().saturating_sub(2)).min_by_key(|at| gap(*at).unwrap_or(i128::MAX));
        if let Some(at) = least {
            self.0.remove(at + 1);
        }
    }

    /// Forgets what only concerns jobs before this number.
    pub(super) fn forget_before(&mut self, number: i64) {
        let needed = self.0.partition_point(|point| point.arrived < number);
        self.0.drain(..needed.saturating_sub(1));
    }

    /// When the job of this number arrived; `None` if it has not.
    pub(super) fn arrival(&self, number: i64) -> Option<Arrival> {
        let at = self.0.partition_point(|point| point.arrived < number);
        let by_ms = self.0.get(at)?.first_ms;
        let after_ms = at.checked_sub(1).and_then(|before| self.0.get(before)).map(|before| before.last_ms);
        Some(Arrival { after_ms, by_ms })
    }

    /// The stretches of the numbers above `below` up to `to`, as far as they have arrived.
    pub(super) fn stretches(&self, below: i64, to: i64) -> impl Iterator<Item = Stretch> + '_ {
        let mut before: Option<&Point> = None;
        self.0.iter().filter_map(move |point| {
            let start = before.map_or(i64::MIN, |before| before.arrived);
            let arrival = Arrival { after_ms: before.map(|before| before.last_ms), by_ms: point.first_ms };
            before = Some(point);
            let (below, to) = (below.max(start), to.min(point.arrived));
            (below < to).then_some(Stretch { below, to, arrival })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(after_ms: Option<i64>, by_ms: i64) -> Option<Arrival> {
        Some(Arrival { after_ms, by_ms })
    }

    #[test]
    fn a_number_arrived_between_the_last_sample_without_it_and_the_first_with_it() {
        let mut points = Points::default();
        for (at, arrived) in [(1, 5), (2, 5), (3, 8), (4, 8), (7, 9)] {
            points.add(at, arrived);
        }
        assert_eq!(points.arrival(5), arrival(None, 1));
        assert_eq!(points.arrival(6), arrival(Some(2), 3));
        assert_eq!(points.arrival(8), arrival(Some(2), 3));
        assert_eq!(points.arrival(9), arrival(Some(4), 7));
        assert_eq!(points.arrival(10), None);
        points.forget_before(9);
        assert_eq!((points.arrival(9), points.all().len()), (arrival(Some(4), 7), 2));
    }

    #[test]
    fn points_are_bounded_and_gaps_grow_with_age() {
        let mut points = Points::default();
        let long = 12 * 3600;
        for second in 0..=long {
            points.add(second * 1000, second);
        }
        assert_eq!(points.all().len(), MOST_POINTS);
        for age in [2, 10, 60, 600, 3600, long / 2, long - 1] {
            let arrived = points.arrival(long - age).unwrap();
            let width = arrived.by_ms - arrived.after_ms.unwrap();
            assert!(width <= 1000 + age * 1000 / 8, "{age} s ago: {width} ms");
        }
    }

    #[test]
    fn stretches_cover_each_number_once() {
        let mut points = Points::default();
        for (at, arrived) in [(1, 5), (3, 8), (7, 9)] {
            points.add(at, arrived);
        }
        let found: Vec<_> = points.stretches(2, 9).map(|stretch| (stretch.below, stretch.to)).collect();
        assert_eq!(found, [(2, 5), (5, 8), (8, 9)]);
        assert_eq!(points.stretches(6, 7).map(|stretch| (stretch.below, stretch.to)).collect::<Vec<_>>(), [(6, 7)]);
        assert_eq!(points.stretches(9, 12).count(), 0);
    }

    #[test]
    fn points_out_of_order_are_no_curve() {
        let point = |arrived, first_ms, last_ms| Point { arrived, first_ms, last_ms };
        assert!(Points::of(vec![point(1, 1, 2), point(2, 2, 2)]).is_some());
        assert!(Points::of(vec![point(1, 2, 1)]).is_none());
        assert!(Points::of(vec![point(1, 1, 2), point(1, 3, 3)]).is_none());
        assert!(Points::of(vec![point(1, 1, 2), point(2, 1, 3)]).is_none());
        assert!(Points::of((0..181).map(|n| point(n, n, n)).collect()).is_none());
    }
}
