//! What a scheduler does with an occurrence of the future that ran: a clock was set, and only time shows which.
//!
//! Either the clock is behind for a moment, as at a start before the time was fetched: then what ran must not come again. Or it
//! was ahead for a while and is right now: then the task must go on. Nothing in the store tells the two apart. So a task waits
//! for a while, by the timers, which no clock moves. It waits no longer if the clock shows again what it showed before it
//! jumped ahead under the eyes of this instance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::task::schedule::CLOCK_PATIENCE;

/// How long a task waits for a clock that is behind what ran.
pub const PATIENCE: Duration = CLOCK_PATIENCE;
/// When the clock moves further than the timers by more, it jumped.
const JUMP_S: i64 = 60;
/// For how long it is remembered what the clock showed before a jump. A machine that was asleep jumps, too.
const REMEMBERED_S: i64 = 3600;
/// How exactly a clock that comes back must show what it would have shown without the jump.
const EXACT_S: i64 = 10;

/// What a loop does with a task whose last occurrence lies ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It waits. True if that was not known before.
    Waits(bool),
    /// The clock counts as right: it goes on with what is due after this second.
    GoesOn(i64),
}

/// What an instance has seen of the store's clock. Cheap to clone; all loops share it.
#[derive(Debug, Clone, Default)]
pub struct SetBack(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    started: Instant,
    skipped: Duration,
    /// The last look, by the timers and by the store's clock.
    last: Option<(i64, i64)>,
    /// The last one before the clock jumped ahead.
    before: Option<(i64, i64)>,
    waiting: HashMap<String, Wait>,
}

#[derive(Debug)]
struct Wait {
    since: i64,
    /// What the store's clock showed then, or before it jumped ahead.
    from_s: i64,
    goes_on: bool,
}

impl Default for State {
    fn default() -> Self {
        let started = Instant::now();
        Self { started, skipped: Duration::ZERO, last: None, before: None, waiting: HashMap::new() }
    }
}

impl State {
    fn timer_s(&self) -> i64 {
        i64::try_from((self.started.elapsed() + self.skipped).as_secs()).unwrap_or(i64::MAX)
    }
}

/// What the clock would show now if it went on from there as the timers do.
fn expected((timer_s, clock_s): (i64, i64), now: i64) -> i64 {
    clock_s.saturating_add(now - timer_s)
}

impl SetBack {
    /// Notes what the store's clock shows.
    pub fn look(&self, now_s: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer_s = state.timer_s();
        if let Some(last) = state.last
            && now_s.saturating_sub(expected(last, timer_s)) > JUMP_S
        {
            state.before = Some(last);
        }
        state.last = Some((timer_s, now_s));
    }

    /// What is done with a task whose last occurrence ran for a second that lies ahead of `now_s`.
    #[must_use]
    pub fn judge(&self, what: &str, ran_s: i64, now_s: i64) -> Judgement {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer_s = state.timer_s();
        let returned = state.before.filter(|before| {
            let is_exact = now_s.abs_diff(expected(*before, timer_s)) <= EXACT_S.unsigned_abs();
            is_exact && timer_s - before.0 <= REMEMBERED_S
        });
        let patience_s = i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX);
        let is_new = !state.waiting.contains_key(what);
        let wait =
            state.waiting.entry(what.to_owned()).or_insert(Wait { since: timer_s, from_s: now_s, goes_on: false });
        // What lies ahead by less passes before the patience ends.
        if !wait.goes_on && ran_s.saturating_sub(now_s) > patience_s {
            if let Some((_, before_s)) = returned {
                *wait = Wait { from_s: before_s, goes_on: true, ..*wait };
            }
            wait.goes_on |= timer_s.saturating_sub(wait.since) >= patience_s;
        }
        if wait.goes_on { Judgement::GoesOn(wait.from_s) } else { Judgement::Waits(is_new) }
    }

    /// Does this task go on although its last occurrence lies ahead?
    #[must_use]
    pub fn goes_on(&self, what: &str) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.get(what).is_some_and(|wait| wait.goes_on)
    }

    /// A task's last occurrence does not lie ahead any more.
    pub fn forget(&self, what: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.waiting.is_empty() {
            state.waiting.remove(what);
        }
    }

    /// Moves its timers forward.
    pub fn skip(&self, time: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).skipped += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;

    #[test]
    fn a_clock_that_is_behind_for_a_moment_is_waited_for() {
        let clock = SetBack::default();
        clock.look(100_000);
        clock.look(96_400);
        assert_eq!(clock.judge("a", 100_000, 96_400), Judgement::Waits(true));
        assert_eq!(clock.judge("b", 100_000, 96_400), Judgement::Waits(true), "each by itself");
        clock.skip(PATIENCE.mul_f64(0.9));
        assert_eq!(clock.judge("a", 100_000, 96_670), Judgement::Waits(false), "told once");
        clock.forget("a");
        clock.skip(PATIENCE.mul_f64(0.2));
        assert_eq!(clock.judge("a", 100_000, 96_730), Judgement::Waits(true), "it had been right in between");
        assert_eq!(clock.judge("b", 100_000, 96_730), Judgement::GoesOn(96_400));
    }

    #[test]
    fn a_clock_that_comes_back_from_ahead_is_right_at_once() {
        let clock = SetBack::default();
        clock.look(100_000);
        clock.skip(Duration::from_secs(5));
        clock.look(100_005 + 30 * DAY_S);
        clock.skip(Duration::from_secs(2));
        clock.look(100_007);
        let ran_s = 100_000 + 30 * DAY_S;
        assert_eq!(
            clock.judge("a", ran_s, 100_007),
            Judgement::GoesOn(100_000),
            "and nothing since the jump is left out"
        );
        assert_eq!(clock.judge("b", 100_200, 100_007), Judgement::Waits(true), "what passes soon may pass");
        let other = SetBack::default();
        other.look(100_000);
        other.look(100_000 + 30 * DAY_S);
        assert_eq!(other.judge("a", ran_s, 90_000), Judgement::Waits(true), "it is not where it was");
    }
}
