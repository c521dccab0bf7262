//! What waits because a clock was set back, as the scheduler judges it (`scheduler/set_back`).

use crate::task::calendar::Calendar;
use crate::task::schedule::{CLOCK_PATIENCE, JobSchedule, scheduled_at};

/// A task whose last occurrence lies ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockWait {
    ran_s: i64,
    now_s: i64,
    /// When it goes on at the latest.
    pub(super) until_s: i64,
}

impl ClockWait {
    /// Does something wait whose last occurrence was this?
    pub(super) fn of(last_s: Option<i64>, now_s: i64) -> Option<Self> {
        let ran_s = last_s.filter(|last_s| JobSchedule::is_ahead(*last_s, now_s))?;
        let patience_s = i64::try_from(CLOCK_PATIENCE.as_secs()).unwrap_or(i64::MAX);
        Some(Self { ran_s, now_s, until_s: ran_s.min(now_s.saturating_add(patience_s)) })
    }

    /// Does it come to pass before the clock is believed? Then nothing up to it runs again.
    pub(super) fn passes(self) -> bool {
        self.until_s == self.ran_s
    }

    /// When it runs next: at the end of the wait, if anything is due until then that does not run twice.
    pub(super) fn next_s(self, calendar: &Calendar) -> Option<i64> {
        let next_s = calendar.after(if self.passes() { self.ran_s } else { self.now_s })?;
        Some(next_s.max(self.until_s))
    }

    /// Why it waits.
    pub(super) fn text(self) -> String {
        format!(
            "it ran for {}, but it is only {}, because a clock was set back: it waits, so that nothing runs twice, until {} at the \
             latest",
            scheduled_at(self.ran_s),
            scheduled_at(self.now_s),
            scheduled_at(self.until_s)
        )
    }
}
