//! When the next tick of a periodic task is due, as `cadence.lua` computes it on Redis.

use super::number::stored;
use crate::store::effect::{Next, Occurrence, early_s};

/// When a task is due after `due_s` (`None`: never yet) and the time of the store. `None` if the calendar has no
/// occurrence after that; then reconciling writes the next tick. With a period, a `due_s` of the future counts
/// as now, because the clock was set back since; one second is allowed, because node-resque promotes up to a second early. With
/// a calendar that occurrence ran and does not come again; what lies too far ahead for the task is moved by reconciling.
pub(super) fn next_due(next: &Next, due_s: Option<i64>, now_ms: i64) -> Option<Occurrence> {
    let now_s = now_ms.div_euclid(1000);
    let is_set_back = |due_s: i64| next.every_s() > 0 && due_s > now_s.saturating_add(early_s(next.every_s()));
    let due_s = due_s.filter(|due_s| !is_set_back(*due_s));
    match next {
        Next::Every { seconds } => {
            let due_s = first_after(due_s.unwrap_or(now_s), *seconds, now_ms);
            Some(Occurrence { due_s, second: due_s })
        }
        Next::At { calendar } => calendar.after(due_s.map_or(now_s, |due_s| due_s.max(now_s.saturating_sub(LATE_S)))),
    }
}

/// Does no other tick lie between these two?
pub(super) fn follows(next: &Next, last_s: i64, due_s: i64) -> bool {
    match next {
        Next::Every { seconds } => last_s.saturating_add(period(*seconds)) == due_s,
        Next::At { calendar } => {
            let first = |after_s| calendar.after(after_s).map(|occurrence| occurrence.due_s);
            first(last_s.saturating_sub(1)) == Some(last_s) && first(last_s) == Some(due_s)
        }
    }
}

/// A tick that is at most this late is not skipped: a run may end late.
const LATE_S: i64 = 1;

pub(super) fn period(every_s: u64) -> i64 {
    stored(every_s).max(1)
}

/// `due_s` plus the least number of periods, at least one, that leads to a tick that is less than a second late.
fn first_after(due_s: i64, every_s: u64, now_ms: i64) -> i64 {
    let every_s = period(every_s);
    let late_s = now_ms.div_euclid(1000).saturating_sub(due_s).saturating_sub(LATE_S).max(0);
    due_s.saturating_add((late_s / every_s + 1).saturating_mul(every_s))
}

/// `due_s` plus as many periods as have passed since.
pub(super) fn last_due(due_s: i64, every_s: u64, now_s: i64) -> i64 {
    let every_s = period(every_s);
    due_s.saturating_add((now_s.saturating_sub(due_s).max(0) / every_s).saturating_mul(every_s))
}

#[cfg(test)]
mod tests {
    use super::first_after;

    #[test]
    fn the_next_tick_keeps_to_the_schedule() {
        assert_eq!(first_after(100, 10, 100_000), 110);
        assert_eq!(first_after(100, 10, 109_999), 110);
        assert_eq!(first_after(100, 10, 110_999), 110, "less than a second late is not skipped");
        assert_eq!(first_after(100, 10, 111_000), 120);
        assert_eq!(first_after(100, 1, 101_900), 101);
        assert_eq!(first_after(100, 10, 1_234_500), 1240);
        // A clock that was set back does not bring a second tick before the first.
        assert_eq!(first_after(100, 10, 50_000), 110);
        assert_eq!(first_after(i64::MAX - 1, u64::MAX, i64::MAX), i64::MAX);
    }
}
