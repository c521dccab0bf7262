//! `[[schedule]]`: a task enqueued with arguments whenever a calendar says. ActionHero's job schedules.

use std::time::Duration;

use super::calendar::Calendar;
use crate::job::payload::encode_scheduled;
use crate::job::{Args, QueueName, TaskName, date};

/// When a periodic task runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Cadence {
    /// `frequency`: this long after the run before was due; whole seconds, at least one.
    Every(Duration),
    /// `schedule`: whenever the calendar says.
    Calendar(Calendar),
}

/// How long a task waits for a clock that is behind what ran. Then the clock is believed.
pub const CLOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Occurrences of the last so many seconds are all enqueued; of older ones only the last.
const RECENT_S: i64 = 60;
/// A last occurrence that lies further ahead is not believed. Up to that, the store's clock may have been set by a little,
/// or another server with its own clock answers; what was enqueued is then not enqueued again.
const AHEAD_S: i64 = 10;

impl Cadence {
    /// The next second after this one, if the last was now.
    #[must_use]
    pub fn next_after(&self, now_s: i64) -> Option<i64> {
        match self {
            Self::Calendar(calendar) => calendar.after(now_s),
            Self::Every(every) => Some(now_s.saturating_add_unsigned(every.as_secs())),
        }
    }

    /// What a run is told it was scheduled for whose tick is due at this second, by its entry. A tick that was put off may have the
    /// second in its entry to which it was put off. A calendar knows the occurrence before it, a period does not.
    #[must_use]
    pub fn scheduled_s(&self, due_s: i64, is_first_run: bool) -> i64 {
        match self {
            Self::Calendar(calendar) if !is_first_run => calendar.latest(due_s).unwrap_or(due_s),
            Self::Calendar(_) | Self::Every(_) => due_s,
        }
    }

    /// Is this due second later than the next occurrence from now? Then it was written before a clock was set back, or by
    /// another cadence. With a calendar it is only believed to be if it lies further ahead than a clock is set by a little:
    /// the ticks up to it ran.
    #[must_use]
    pub fn is_ahead(&self, due_s: i64, now_s: i64) -> bool {
        match self {
            Self::Calendar(calendar) => calendar.after(now_s.saturating_add(AHEAD_S)).is_some_and(|next| due_s > next),
            Self::Every(every) => {
                let every_s = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
                // One more second, because node-resque's scheduler promotes a tick up to a second early.
                due_s > now_s.saturating_add(1).saturating_add(every_s)
            }
        }
    }
}

/// One schedule of a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobSchedule {
    /// The id, unique among all schedules of all instances: the name of the task with the name of the schedule, or with
    /// a digest of its settings.
    pub id: String,
    /// When its jobs are enqueued.
    pub calendar: Calendar,
    /// The queue of its jobs.
    pub queue: QueueName,
    /// The arguments of its jobs.
    pub args: Args,
    /// How late a missed occurrence may still be enqueued, in seconds; `None`: however late.
    pub missed_max_age_s: Option<u64>,
}

impl JobSchedule {
    /// The job of an occurrence (unix seconds).
    #[must_use]
    pub fn payload(&self, task: &TaskName, occurrence: i64) -> bytes::Bytes {
        encode_scheduled(task.as_str(), self.queue.as_str(), &self.args, &scheduled_at(occurrence))
    }

    /// Does the last occurrence lie so far ahead that a clock was set back since? Then the schedule goes on from now.
    #[must_use]
    pub fn is_ahead(seen_s: i64, now_s: i64) -> bool {
        seen_s > now_s.saturating_add(AHEAD_S)
    }

    /// The occurrences after `seen_s` up to `until_s`, and whether each is enqueued or skipped. A schedule that has never
    /// been seen begins at `until_s`.
    #[must_use]
    pub fn due(&self, seen_s: Option<i64>, until_s: i64) -> Vec<(i64, bool)> {
        let Some(seen_s) = seen_s else { return vec![(until_s, false)] };
        let runs = |occurrence: i64| {
            let late_s = u64::try_from(until_s - occurrence).unwrap_or(0);
            self.missed_max_age_s.is_none_or(|most| late_s <= most)
        };
        let mut found = Vec::new();
        let recent = seen_s.max(until_s - RECENT_S);
        if let Some(missed) = self.calendar.latest(recent).filter(|missed| *missed > seen_s) {
            found.push((missed, runs(missed)));
        }
        let mut last = recent;
        while let Some(next) = self.calendar.after(last).filter(|next| *next <= until_s) {
            found.push((next, runs(next)));
            last = next;
        }
        found
    }
}

/// An occurrence in the format of `scheduled_at`.
#[must_use]
pub fn scheduled_at(occurrence: i64) -> String {
    // A calendar finds no occurrence beyond the range of dates.
    date::of_second(occurrence).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cron: &str, missed_max_age_s: Option<u64>) -> JobSchedule {
        JobSchedule {
            id: "t/x".into(),
            calendar: Calendar::parse(cron, None).unwrap(),
            queue: QueueName::as_stored("q"),
            args: Args::periodic(),
            missed_max_age_s,
        }
    }

    #[test]
    fn a_tick_is_ahead_if_it_was_written_before_a_clock_was_set_back_by_more_than_a_little() {
        let calendar = Cadence::Calendar(Calendar::parse("*/10 * * * * *", None).unwrap());
        assert!(!calendar.is_ahead(1010, 1009));
        assert!(!calendar.is_ahead(1020, 1000), "the one before it ran");
        assert!(calendar.is_ahead(1020, 999));
        let every = Cadence::Every(Duration::from_secs(10));
        assert!(!every.is_ahead(1011, 1000) && every.is_ahead(1012, 1000));
    }

    #[test]
    fn a_tick_that_was_put_off_is_told_its_occurrence_if_a_calendar_knows_it() {
        let calendar = Cadence::Calendar(Calendar::parse("0 * * * *", None).unwrap());
        assert_eq!(calendar.scheduled_s(7217, false), 7200, "put off by a retry");
        assert_eq!(calendar.scheduled_s(7217, true), 7217, "wanted by somebody at that second");
        assert_eq!((calendar.scheduled_s(7200, false), calendar.scheduled_s(7200, true)), (7200, 7200));
        assert_eq!(Cadence::Every(Duration::from_secs(60)).scheduled_s(7217, false), 7217);
    }

    #[test]
    fn what_is_due_is_enqueued_each_and_what_was_missed_once() {
        let every = schedule("*/10 * * * * *", None);
        assert_eq!(every.due(None, 1005), [(1005, false)], "a new schedule begins now");
        assert_eq!(every.due(Some(1000), 1009), []);
        assert_eq!(every.due(Some(1000), 1020), [(1010, true), (1020, true)]);
        let long: Vec<_> = [940, 950, 960, 970, 980, 990, 1000].map(|second| (second, true)).to_vec();
        assert_eq!(every.due(Some(10), 1000), long, "the last that was missed, and the last minute");
        let young = schedule("*/10 * * * * *", Some(30));
        let young: Vec<_> = young.due(Some(10), 1000).into_iter().map(|(_, runs)| runs).collect();
        assert_eq!(young, [false, false, false, true, true, true, true]);
        let hourly = schedule("0 * * * *", Some(60));
        assert_eq!(hourly.due(Some(0), 3 * 3600 + 1800), [(3 * 3600, false)]);
        assert_eq!(schedule("0 * * * *", None).due(Some(0), 3 * 3600 + 1800), [(3 * 3600, true)]);
    }
}
