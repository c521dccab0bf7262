//! When ticks and occurrences come: by the calendar, by what the store has of the last one, and by what is put off.

use crate::admin::waiting_clock::ClockWait;
use crate::admin::waiting_tick::WaitingTick;
use crate::plugin::chain::Chain;
use crate::task::definition::TaskDefinition;
use crate::task::schedule::{Cadence, JobSchedule};

/// The occurrences of a schedule whose last one was `seen_s`.
pub(super) fn occurrences(
    schedule: &JobSchedule,
    seen_s: Option<i64>,
    now_s: i64,
    until_s: i64,
    most: usize,
) -> Vec<i64> {
    let after = |last: &i64| schedule.calendar.after(*last).filter(|next| *next <= until_s);
    if let Some(wait) = ClockWait::of(seen_s, now_s) {
        // What was due while it waited runs at the end of the wait.
        let caught_up = if wait.passes() { Vec::new() } else { schedule.due(Some(now_s), wait.until_s) };
        let caught_up =
            caught_up.into_iter().filter(|(_, runs)| *runs && wait.until_s <= until_s).map(|_| wait.until_s);
        return caught_up.chain(std::iter::successors(after(&wait.until_s), after)).take(most).collect();
    }
    let overdue = schedule.due(seen_s, now_s).into_iter().filter(|(_, runs)| *runs).map(|_| now_s);
    // What was enqueued before a clock was set back by a little is not enqueued again.
    let from = seen_s.map_or(now_s, |seen_s| seen_s.max(now_s));
    overdue.chain(std::iter::successors(after(&from), after)).take(most).collect()
}

/// The ticks of a periodic task.
pub(super) fn ticks(
    task: &TaskDefinition,
    cadence: &Cadence,
    (due_s, last_s): (Option<i64>, Option<i64>),
    now_s: i64,
    until_s: i64,
    most: usize,
) -> Vec<i64> {
    let ahead = due_s.is_some_and(|due_s| cadence.is_ahead(due_s, now_s));
    match cadence {
        Cadence::Every(every) => {
            let every_s = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
            let due_s = if ahead { now_s.checked_add(every_s) } else { due_s };
            // Without an entry the first scheduler seeds it at once.
            let first = due_s.unwrap_or(now_s).max(now_s);
            let next = |last: &i64| last.checked_add(every_s).filter(|next| *next <= until_s);
            // The period counts from the stored due time, not from now.
            let phase = due_s.map_or(first, |due_s| {
                if due_s >= now_s { due_s } else { due_s + (now_s - due_s).div_euclid(every_s) * every_s }
            });
            let rest = std::iter::successors(next(&phase), next).filter(|second| *second > first);
            std::iter::once(first).filter(|first| *first <= until_s).chain(rest).take(most).collect()
        }
        Cadence::Calendar(calendar) => {
            let chain = Chain::of(task);
            if let Some(wait) = ClockWait::of(last_s, now_s) {
                let next = |last: &i64| calendar.after(*last).filter(|next| *next <= until_s);
                let seconds = std::iter::successors(next(&wait.until_s), next).map(|due_s| due_s + chain.spread(due_s));
                return seconds.filter(|second| *second <= until_s).take(most).collect();
            }
            let due_s = due_s.filter(|_| !ahead);
            let after = |last: &i64| calendar.after(*last).filter(|next| *next <= until_s);
            // The stored tick keeps its due time; the calendar gives the ticks after it.
            let overdue = due_s.filter(|due_s| *due_s <= now_s);
            let from = due_s.map_or(now_s, |due_s| due_s - 1).max(now_s);
            let rest = std::iter::successors(after(&from), after).map(|due_s| due_s + chain.spread(due_s));
            let rest = rest.filter(|second| *second <= until_s);
            overdue.map(|_| now_s).into_iter().chain(rest).take(most).collect()
        }
    }
}

/// The jobs of a periodic task that wait for another time than that of its next tick.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PutOff {
    /// Their seconds, in order.
    pub(super) seconds: Vec<i64>,
    /// Do they wait for another attempt?
    pub(super) is_retry: bool,
    /// The next tick is written when what is due then has ended.
    pub(super) until_s: Option<i64>,
}

/// To which second the job of a tick is delayed that is due then.
pub(super) fn delayed_to(task: &TaskDefinition, due_s: i64) -> i64 {
    let is_calendar = matches!(task.cadence, Some(Cadence::Calendar(_)));
    if is_calendar { due_s + Chain::of(task).spread(due_s) } else { due_s }
}

impl PutOff {
    /// `both`: with the next tick, in its second, waits a run that overlaps.
    pub(super) fn of(task: &TaskDefinition, waiting: &WaitingTick, due_s: Option<i64>, both: bool) -> Self {
        let own_s = due_s.map(|due_s| delayed_to(task, due_s));
        let (mut seconds, is_retry) = (waiting.seconds.clone(), waiting.failed_attempts.is_some());
        // The entry of a run that is put off for long has the time of that, which is no tick of its own.
        let put_off = is_retry && !task.overlap;
        let own = seconds.iter().position(|second| Some(*second) == own_s && !put_off);
        if let Some(own) = own.filter(|_| !both) {
            seconds.remove(own);
        }
        // What overlaps has its next tick beside the runs.
        let until_s = seconds.first().copied().filter(|_| own.is_none() && due_s.is_some() && !task.overlap);
        Self { is_retry, until_s, seconds }
    }
}

/// For how long the entry of a run that is put off keeps the time of its tick, about: schedulers wait for that.
const ENTRY_WAITS_S: i64 = 5;

/// The ticks of a periodic task whose present run, that of `due_s`, is put off until `second`: those after it.
pub(super) fn ticks_after(
    task: &TaskDefinition,
    cadence: &Cadence,
    due_s: Option<i64>,
    second: i64,
    until_s: i64,
    most: usize,
) -> Vec<i64> {
    // The entry of what waits for longer becomes that of its time: the next tick counts from there.
    let due_s = due_s.filter(|due_s| second.saturating_sub(*due_s) <= ENTRY_WAITS_S).unwrap_or(second);
    // A tick that is due just when the run ends is not skipped.
    let from = due_s.max(second.saturating_sub(1));
    match cadence {
        Cadence::Every(every) => {
            let every_s = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
            let periods = (from.saturating_sub(due_s)).div_euclid(every_s).saturating_add(1).max(1);
            let first = due_s.saturating_add(periods.saturating_mul(every_s));
            let next = |last: &i64| last.checked_add(every_s);
            std::iter::successors(Some(first), next).take_while(|second| *second <= until_s).take(most).collect()
        }
        Cadence::Calendar(calendar) => {
            let chain = Chain::of(task);
            let after = |last: &i64| calendar.after(*last).filter(|next| *next <= until_s);
            let rest = std::iter::successors(after(&from), after).map(|due_s| due_s + chain.spread(due_s));
            rest.filter(|second| *second <= until_s).take(most).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Args, QueueName};
    use crate::task::calendar::Calendar;

    /// 2026-11-30 12:00:00 UTC.
    const NOW_S: i64 = 1_796_040_000;

    fn each_other_minute() -> JobSchedule {
        JobSchedule {
            id: "t/x".into(),
            calendar: Calendar::parse("*/2 * * * *", None).expect("it is an expression"),
            queue: QueueName::as_stored("q"),
            args: Args::periodic(),
            missed_max_age_s: None,
        }
    }

    #[test]
    fn what_ran_before_a_clock_was_set_back_is_planned_for_the_end_of_its_wait() {
        let schedule = each_other_minute();
        let plan = |seen_s| occurrences(&schedule, Some(seen_s), NOW_S, NOW_S + 600, 10);
        // Two hours ahead: the clock is believed after five minutes, and the last of the occurrences until then runs.
        assert_eq!(plan(NOW_S + 7200), [300, 360, 480, 600].map(|after| NOW_S + after));
        // What passes within that time does not come again.
        assert_eq!(plan(NOW_S + 240), [360, 480, 600].map(|after| NOW_S + after));
        let wait = ClockWait::of(Some(NOW_S + 7200), NOW_S).expect("it waits");
        assert_eq!(wait.next_s(&schedule.calendar), Some(NOW_S + 300));
        assert!(wait.text().contains("a clock was set back") && wait.text().contains(":05:00"), "{}", wait.text());
        assert_eq!(ClockWait::of(Some(NOW_S + 5), NOW_S), None, "that is no more than clocks differ by");
    }
}
