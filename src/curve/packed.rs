//! A curve as text, for the leader that comes after this one.
//!
//! `1 <booked> <at> <departed> <length>`, then for each point `<arrivals>,<gap>,<width>`: its arrivals as the difference to the
//! point before (the first one's as they are), the time since that point's last sample, and how long it lasted, in ms.

use std::fmt::Write as _;

use super::points::{MOST_POINTS, Point, Points};

/// What is kept of a curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) booked: i64,
    pub(super) at_ms: i64,
    pub(super) departed: i64,
    pub(super) length: u64,
    pub(super) points: Points,
}

impl Kept {
    pub(super) fn pack(&self) -> String {
        let Self { booked, at_ms, departed, length, points } = self;
        let mut text = format!("1 {booked} {at_ms} {departed} {length}");
        let (mut arrived, mut last_ms) = (0_i64, 0_i64);
        for point in points.all() {
            let (more, gap) = (point.arrived.saturating_sub(arrived), point.first_ms.saturating_sub(last_ms));
            let width = point.last_ms.saturating_sub(point.first_ms);
            // Writing to a string cannot fail.
            let _ = write!(text, " {more},{gap},{width}");
            (arrived, last_ms) = (point.arrived, point.last_ms);
        }
        text
    }

    /// Reads what `pack` wrote; `None` for anything else.
    pub(super) fn unpack(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let mut number = || words.next()?.parse::<i64>().ok();
        let (booked, at_ms, departed) = (number()?, number()?, number()?);
        let length = u64::try_from(number()?).ok()?;
        let (mut arrived, mut last_ms) = (0_i64, 0_i64);
        let mut points = Vec::new();
        for word in words {
            if points.len() >= MOST_POINTS {
                return None;
            }
            let mut parts = word.split(',');
            let mut part = || parts.next()?.parse::<i64>().ok();
            let (more, gap, width) = (part()?, part()?, part()?);
            arrived = arrived.checked_add(more)?;
            let first_ms = last_ms.checked_add(gap)?;
            last_ms = first_ms.checked_add(width)?;
            points.push(Point { arrived, first_ms, last_ms });
        }
        let points = Points::of(points)?;
        // The last sample is a point, or the curve was read in part.
        let last = points.all().last()?;
        let standing = i64::try_from(length).ok()?.checked_add(departed)?.checked_add(booked)?;
        (last.arrived == standing && last.last_ms == at_ms).then_some(Self { booked, at_ms, departed, length, points })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_packed_is_read_and_nothing_else() {
        let mut points = Points::default();
        points.add(1_800_000_000_000, 40);
        points.add(1_800_000_001_000, 40);
        points.add(1_800_000_002_000, 45);
        let kept = Kept { booked: 2, at_ms: 1_800_000_002_000, departed: 33, length: 10, points };
        assert_eq!(kept.pack(), "1 2 1800000002000 33 10 40,1800000000000,1000 5,1000,0");
        assert_eq!(Kept::unpack(&kept.pack()), Some(kept));
        for other in ["", "1", "2 0 0 0 0", "1 0 0 0 0", "1 0 5 0 1 1,5,0 1,1", "1 0 5 0 2 1,5,0", "1 0 5 0 -1 1,5,0"] {
            assert_eq!(Kept::unpack(other), None, "{other}");
        }
    }

    #[test]
    fn a_full_curve_is_small() {
        let mut points = Points::default();
        for second in 0..100_000 {
            points.add(1_800_000_000_000 + second * 1000, second * 50);
        }
        let last = points.all().last().unwrap();
        let kept =
            Kept { booked: 0, at_ms: last.last_ms, departed: last.arrived - 9, length: 9, points: points.clone() };
        assert!(kept.pack().len() < 3000, "{}", kept.pack().len());
        assert_eq!(Kept::unpack(&kept.pack()), Some(kept));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "1( -?[0-9]{1,19}){4}( -?[0-9]{1,19},-?[0-9]{1,19},-?[0-9]{1,19}){0,4}|\\PC*") {
            if let Some(kept) = Kept::unpack(&text) {
                prop_assert_eq!(Kept::unpack(&kept.pack()), Some(kept));
            }
        }
    }
}
