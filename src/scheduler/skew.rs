//! Whether this machine's clock shows the store's time, and whether the store's goes on as clocks do.

use std::time::Duration;

use tokio::time::Instant;

use super::SchedulerContext;
use crate::event::Event;

/// A larger difference between the clocks is reported.
const SKEW_MS: i64 = 1000;
/// A larger step back of the store's clock is reported if jobs are delayed. A smaller one delays them no longer than a retry does.
const STEP_MS: i64 = 60_000;

/// What was seen of the clocks.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// The difference between the clocks that was told last.
    told_ms: Option<i64>,
    /// When the store's clock was read last, and what it showed.
    last: Option<(Instant, i64)>,
}

impl Skew {
    /// Tells once that the clocks differ, and again when they differ by another time. Tells of each step back of the store's
    /// clock while jobs are delayed: those that were put off before stand that much too late, and nobody can know which.
    pub(super) fn notice(&mut self, context: &SchedulerContext, asked: Instant, store_ms: i64, delays: bool) {
        let skew_ms = context.clock.now_ms().saturating_sub(store_ms);
        if self.is_news(skew_ms) {
            let text = format!(
                "this machine's clock and the store's are {skew_ms} ms apart; jobs and ticks are due by the store's"
            );
            context.bus.emit(Event::Warning { text });
        }
        if let Some(back) = self.set_back_by(asked, store_ms).filter(|_| delays) {
            let back = humantime::format_duration(back);
            let text = format!(
                "the store's clock was set back by {back}: jobs that were delayed while it was ahead (JobLock, Retry, exit \
                 status 75, enqueue --in) may now wait for up to {back} too long; see when they are due: windlass delayed; \
                 let those of a task run now: windlass delayed run --task TASK"
            );
            context.bus.emit(Event::Warning { text });
        }
    }

    /// By how much the store's clock was set back since it was read last, in whole seconds, if that is much.
    fn set_back_by(&mut self, asked: Instant, store_ms: i64) -> Option<Duration> {
        let (before, before_ms) = self.last.replace((asked, store_ms))?;
        let turned_ms = i64::try_from(asked.saturating_duration_since(before).as_millis()).unwrap_or(i64::MAX);
        let back_ms = before_ms.saturating_add(turned_ms).saturating_sub(store_ms);
        let back_s = u64::try_from(back_ms / 1000).ok()?;
        (back_ms > STEP_MS).then(|| Duration::from_secs(back_s))
    }

    fn is_news(&mut self, skew_ms: i64) -> bool {
        if skew_ms.abs() <= SKEW_MS {
            self.told_ms = None;
            return false;
        }
        let news = self.told_ms.is_none_or(|told_ms| skew_ms.saturating_sub(told_ms).abs() > SKEW_MS);
        if news {
            self.told_ms = Some(skew_ms);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_once_until_it_is_another() {
        let mut skew = Skew::default();
        let told = [0, 1000, -5000, -5900, -4100, -6100, 0, -5000].map(|skew_ms| skew.is_news(skew_ms));
        assert_eq!(told, [false, false, true, false, false, true, false, true]);
    }

    #[test]
    fn a_step_back_is_seen_once_and_one_ahead_or_a_long_pause_is_none() {
        let (mut skew, start) = (Skew::default(), Instant::now());
        let steps =
            [(0, 0), (5, 5), (605, 605), (610, 7810), (615, 615), (620, 620), (625, 565), (630, 0), (635, i64::MIN)];
        let seen = steps.map(|(at, second)| {
            let asked = start + Duration::from_secs(at);
            skew.set_back_by(asked, second.saturating_mul(1000)).map(|back| back.as_secs())
        });
        assert_eq!(seen[..8], [None, None, None, None, Some(7200), None, None, Some(570)]);
        assert!(seen[8].is_some());
    }
}
