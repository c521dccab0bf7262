//! Charts: what is drawn, in numbers. Templates make SVG of it, without any style of its own.

use super::words::{Time, count};
use crate::admin::history::{CountsView, HistoryView};

/// How high a chart of bars is.
const HEIGHT: u64 = 100;
/// How much of the width of a time a bar takes, in tenths.
const FILLED: u64 = 8;

/// A chart of bars side by side.
#[derive(Debug, Default)]
pub(super) struct Bars {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) bars: Vec<Bar>,
    /// What it shows, for who does not see it.
    pub(super) label: String,
    /// How much the highest bar is.
    pub(super) most: u64,
}

/// A bar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    /// What it says to who points at it.
    pub(super) told: String,
}

/// Runs that failed, repeated or not.
pub(super) fn failures(counts: &CountsView) -> u64 {
    counts.failed.saturating_add(counts.retried)
}

impl Bars {
    /// What ended in each time: runs that were done, and on top of them those that failed.
    pub(super) fn of(history: &HistoryView, now_ms: i64) -> Self {
        let step_ms = history.step_s.max(1).saturating_mul(1000);
        let places = u64::try_from((now_ms.saturating_sub(history.from_ms)) / step_ms).unwrap_or(0).min(1000) + 1;
        let most = history.times.iter().map(|time| time.counts.done + failures(&time.counts)).max().unwrap_or(0);
        let mut bars = Vec::new();
        for time in &history.times {
            let Ok(at) = u64::try_from((time.at_ms - history.from_ms) / step_ms) else { continue };
            let (done, failed) = (time.counts.done, failures(&time.counts));
            // What is there is seen, however little it is.
            let high = |part: u64| if part == 0 { 0 } else { (part * HEIGHT / most.max(1)).max(2) };
            let (x, up, over) = (at * 10 + (10 - FILLED) / 2, high(done), high(failed));
            let when = Time::of_ms(time.at_ms, now_ms).told;
            let told = format!("{when}: {} done, {} failed", count(done), count(failed));
            let top = HEIGHT.saturating_sub(up);
            let bar = |class, y, height| Bar { class, x, y, width: FILLED, height, told: told.clone() };
            bars.extend((up > 0).then(|| bar("well", top, up)));
            bars.extend((over > 0).then(|| bar("ill", top.saturating_sub(over), over.min(top.max(2)))));
        }
        let (all, ill) = (history.total.done, failures(&history.total));
        let label = format!("{} runs were done and {} failed", count(all), count(ill));
        Self { width: places * 10, height: HEIGHT, bars, label, most }
    }
}

/// How much of the most this is, in percent; what is there is seen.
pub(super) fn share(part: u64, most: u64) -> u64 {
    if part == 0 { 0 } else { (part.saturating_mul(100) / most.max(1)).clamp(1, 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_seen_and_within_its_bar() {
        assert_eq!(
            [share(0, 0), share(1, 1_000_000), share(5, 10), share(7, 0), share(u64::MAX, 2)],
            [0, 1, 50, 100, 100]
        );
    }
}
