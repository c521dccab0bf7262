//! The server's time without asking: what it told last, and what has passed since.
//!
//! Good enough for the seconds in pings, which other programs compare with the clocks of their own machines, and to choose
//! the occurrences of a calendar that a script gets. Everything that is due, lapses or is locked goes by the time that the
//! server tells in that very step.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, SystemClock};

/// How long an answer is gone by.
const FRESH: Duration = Duration::from_secs(60);
/// When this machine's clock and its timers have moved so far apart since then, the machine slept or a clock was set.
const STEP_MS: i64 = 1000;

/// What the server told last.
#[derive(Debug, Default)]
pub(super) struct ToldTime(Mutex<Option<Told>>);

#[derive(Debug, Clone, Copy)]
struct Told {
    now_ms: i64,
    at: Instant,
    /// This machine's clock then.
    here_ms: i64,
}

impl ToldTime {
    /// The server has just told its time.
    pub(super) fn note(&self, now_ms: i64) {
        self.note_at(SystemClock.now_ms(), now_ms);
    }

    /// The server's time at present; `None` if it must be asked.
    pub(super) fn estimate(&self) -> Option<i64> {
        self.estimate_at(SystemClock.now_ms())
    }

    fn note_at(&self, here_ms: i64, now_ms: i64) {
        let told = Told { now_ms, at: Instant::now(), here_ms };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    fn estimate_at(&self, here_ms: i64) -> Option<i64> {
        let told = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = told.at.elapsed();
        let passed_ms = i64::try_from(passed.as_millis()).ok()?;
        let stepped_ms = here_ms.saturating_sub(told.here_ms).saturating_sub(passed_ms);
        let holds = passed <= FRESH && stepped_ms.saturating_abs() <= STEP_MS;
        holds.then(|| told.now_ms.saturating_add(passed_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_while_unless_a_clock_was_set_or_the_machine_slept() {
        let told = ToldTime::default();
        assert_eq!(told.estimate_at(5_000), None);
        told.note_at(5_000, 700_000);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(told.estimate_at(35_000), Some(730_000));
        // The machine slept, or its clock was set: forward, back.
        assert_eq!(told.estimate_at(37_000), None);
        assert_eq!(told.estimate_at(33_000), None);
        assert_eq!(told.estimate_at(i64::MIN), None);
        tokio::time::advance(FRESH).await;
        assert_eq!(told.estimate_at(95_000), None);
    }
}
