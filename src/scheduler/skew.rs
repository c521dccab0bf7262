//! Whether this machine's clock shows the store's time.

use super::SchedulerContext;
use crate::event::Event;

/// A larger difference between the clocks is reported.
const SKEW_MS: i64 = 1000;

/// The difference between the clocks that was told last.
#[derive(Debug, Default)]
pub(super) struct Skew {
    told_ms: Option<i64>,
}

impl Skew {
    /// Tells once that the clocks differ, and again when they differ by another time.
    pub(super) fn notice(&mut self, context: &SchedulerContext, store_ms: i64) {
        let skew_ms = context.clock.now_ms().saturating_sub(store_ms);
        if self.is_news(skew_ms) {
            let text = format!(
                "this machine's clock and the store's are {skew_ms} ms apart; jobs and ticks are due by the store's"
            );
            context.bus.emit(Event::Warning { text });
        }
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
}
