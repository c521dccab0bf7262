//! Whether the lanes get through to the store: a lane whose exchange is refused or cut off again and again, or never answered,
//! stands still although the lease is extended.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::slots::LANES;
use crate::job::run_counts::millis;
use crate::store::StoreError;
use crate::store::instance::Stuck;
use crate::text::cut::cut;

/// How long a reason may be that others read.
const LONGEST_WHY: usize = 500;

/// The exchange of each lane, while one is under way.
#[derive(Default)]
pub(super) struct Exchanges {
    lanes: [Exchanging; LANES],
    /// What others are told.
    told: RefCell<Option<Stuck>>,
}

#[derive(Default)]
struct Exchanging {
    /// Since when this lane waits for an exchange to be taken.
    since: Cell<Option<Instant>>,
    /// Why it was not taken last.
    why: RefCell<Option<String>>,
    /// A part of a long reply has come since the last look.
    moved: Arc<AtomicBool>,
}

/// What has changed.
pub(super) struct News {
    pub(super) was_stuck: bool,
    pub(super) now: Option<Stuck>,
}

impl Exchanges {
    /// A lane begins an exchange.
    pub(super) fn begun(&self, lane: usize, now: Instant) {
        self.lanes[lane].since.set(Some(now));
    }

    /// Is set when a part of the reply has come: a long one may take minutes, and is not stuck.
    pub(super) fn progress(&self, lane: usize) -> Arc<AtomicBool> {
        Arc::clone(&self.lanes[lane].moved)
    }

    /// The exchange was not taken, and is sent again.
    pub(super) fn failed(&self, lane: usize, error: &StoreError) {
        self.lanes[lane].why.replace(Some(cut(error, LONGEST_WHY)));
    }

    /// The exchange is over. True if others were told that a lane is stuck.
    pub(super) fn over(&self, lane: usize) -> bool {
        let Exchanging { since, why, .. } = &self.lanes[lane];
        since.set(None);
        if why.borrow().is_some() {
            why.replace(None);
        }
        self.told.borrow().is_some()
    }

    /// The store was away, and answers again: nothing that stood still meanwhile is the fault of an exchange.
    pub(super) fn count_anew(&self) {
        for lane in &self.lanes {
            lane.since.set(lane.since.get().map(|_| Instant::now()));
        }
    }

    /// Is an exchange not taken for longer than `patience`? What is to be told, if that has changed.
    pub(super) fn judge(&self, patience: Duration, now_ms: i64) -> Option<News> {
        let mut told = self.told.borrow_mut();
        let now = self.longest(patience).map(|(time, why)| {
            let began_ms = now_ms.saturating_sub_unsigned(millis(time));
            Stuck { since_ms: told.as_ref().map_or(began_ms, |before| before.since_ms), why }
        });
        if now == *told {
            return None;
        }
        let was_stuck = std::mem::replace(&mut *told, now.clone()).is_some();
        Some(News { was_stuck, now })
    }

    /// The exchange that is not taken for longest, if that is longer than `patience`: for how long, and why.
    fn longest(&self, patience: Duration) -> Option<(Duration, String)> {
        let waits = |lane: &Exchanging| {
            if lane.moved.swap(false, Ordering::Relaxed) {
                lane.since.set(lane.since.get().map(|_| Instant::now()));
            }
            let time = lane.since.get()?.elapsed();
            let why = || lane.why.borrow().clone().unwrap_or_else(|| "the store has not answered it".to_owned());
            (time > patience).then(|| (time, why()))
        };
        self.lanes.iter().filter_map(waits).max_by_key(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_is_not_taken_is_stuck_after_a_while_and_an_idle_lane_never() {
        let (exchanges, patience) = (Exchanges::default(), Duration::from_secs(30));
        let stuck = || exchanges.longest(patience).map(|(time, why)| (time.as_secs(), why));
        exchanges.begun(0, Instant::now());
        exchanges.over(0);
        tokio::time::advance(patience * 5).await;
        assert_eq!(stuck(), None, "nothing was to be exchanged");
        exchanges.begun(1, Instant::now());
        tokio::time::advance(patience).await;
        exchanges.begun(0, Instant::now());
        exchanges.failed(0, &StoreError::Unavailable("it was cut".to_owned()));
        assert_eq!(stuck(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(stuck(), Some((31, "the store has not answered it".to_owned())));
        exchanges.over(1);
        assert_eq!(stuck(), None);
        tokio::time::advance(patience).await;
        assert!(stuck().is_some_and(|(time, why)| time == 31 && why.contains("it was cut")));
        exchanges.count_anew();
        assert_eq!(stuck(), None, "the store was away");
        tokio::time::advance(patience * 2).await;
        assert!(stuck().is_some_and(|(time, why)| time == 60 && why.contains("it was cut")));
        exchanges.progress(0).store(true, Ordering::Relaxed);
        assert_eq!(stuck(), None, "its reply is on the way");
        assert!(!exchanges.over(0), "nobody was told");
        exchanges.begun(0, Instant::now());
        tokio::time::advance(patience * 2).await;
        assert!(stuck().is_some_and(|(_, why)| why.contains("not answered")), "the reason was another exchange's");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_once_and_when_it_is_over_and_the_time_at_which_it_began_stays() {
        let (exchanges, patience) = (Exchanges::default(), Duration::from_secs(30));
        let judge = |now_ms| exchanges.judge(patience, now_ms).map(|news| (news.was_stuck, news.now));
        let stuck = |why: &str| Some(Stuck { since_ms: 9_000, why: why.to_owned() });
        exchanges.begun(0, Instant::now());
        assert_eq!(judge(9_000), None);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(judge(40_000), Some((false, stuck("the store has not answered it"))));
        assert_eq!(judge(40_777), None);
        let refused = StoreError::Unsupported("no right".to_owned());
        exchanges.failed(0, &refused);
        assert_eq!(judge(41_000), Some((true, stuck(&refused.to_string()))), "another reason");
        assert!(exchanges.over(0));
        assert_eq!(judge(42_000), Some((true, None)));
        assert!(!exchanges.over(0));
    }
}
