//! What many ask for at the same time: the store is asked once at a time, and not again while the answer is fresh.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::problem::{Kind, Problem};
use crate::admin::explain::Explanation;
use crate::admin::gauges::{GaugeReader, Gauges};
use crate::admin::history::{self, HistoryView, TaskHistoryView, Window};
use crate::admin::pauses::{self, Pauses};
use crate::admin::summary::{self, Summary};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How old the figures may be.
const FRESH: Duration = Duration::from_secs(1);
/// The same of what takes many looks.
const LONG_FRESH: Duration = Duration::from_secs(3);
/// How long the store is waited for. Who collects metrics waits for 10 s as a rule, and the rest of the page is to arrive.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same of what takes many looks.
const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// When it was asked, and what it answered.
type Answer<T> = (Instant, Result<Arc<T>, Problem>);

/// The last answer.
#[derive(Debug)]
struct Look<T>(Mutex<Option<Answer<T>>>);

impl<T> Default for Look<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Look<T> {
    /// The answer, which is at most so old. A failure is remembered, too: a store that does not answer is not asked by everybody.
    async fn get(
        &self,
        fresh: Duration,
        patience: Duration,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Arc<T>, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < fresh
        {
            return answer.clone();
        }
        let late = |_| {
            let detail = format!("the store did not answer within {} s", patience.as_secs());
            Problem::new(Kind::Timeout, detail).retry_after_s(5)
        };
        let answer = timeout(patience, Box::pin(read)).await.map_err(late).flatten().map(Arc::new);
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    /// The next one asks anew.
    async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// What was asked for last.
#[derive(Debug, Default)]
pub(super) struct Looks {
    reader: Mutex<GaugeReader>,
    gauges: Look<Gauges>,
    summary: Look<Summary>,
    attention: Look<Explanation>,
    past: [Look<Past>; 3],
    pauses: Look<Pauses>,
}

/// What ran within a time, in time and task by task.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) in_time: HistoryView,
    pub(super) by_task: TaskHistoryView,
}

impl Looks {
    /// The figures of the fleet.
    pub(super) async fn gauges(&self, store: &Store<Admin>, registry: &Registry) -> Result<Arc<Gauges>, Problem> {
        let read = async {
            let mut reader = self.reader.lock().await;
            Ok(Box::pin(reader.read(store, registry)).await?)
        };
        self.gauges.get(FRESH, PATIENCE, read).await
    }

    /// How the fleet stands.
    pub(super) async fn summary(&self, store: &Store<Admin>, registry: &Registry) -> Result<Arc<Summary>, Problem> {
        let read = async {
            let gauges = Box::pin(self.gauges(store, registry)).await?;
            Ok(Box::pin(summary::summary(store, registry, &gauges)).await?)
        };
        self.summary.get(FRESH, PATIENCE * 2, read).await
    }

    /// What ran within this time. The longer it is, the less a moment changes it.
    pub(super) async fn past(
        &self,
        store: &Store<Admin>,
        registry: &Registry,
        window: Window,
    ) -> Result<Arc<Past>, Problem> {
        let (place, fresh) = match window {
            Window::Hour => (0, LONG_FRESH),
            Window::Day => (1, LONG_FRESH * 10),
            Window::Month => (2, LONG_FRESH * 20),
        };
        let read = async {
            let in_time = Box::pin(history::in_time(store, registry, None, window)).await?;
            let by_task = Box::pin(history::by_task(store, registry, None, window)).await?;
            Ok(Past { in_time, by_task })
        };
        self.past[place].get(fresh, LONG_PATIENCE, read).await
    }

    /// Who paused what.
    pub(super) async fn pauses(&self, store: &Store<Admin>) -> Result<Arc<Pauses>, Problem> {
        self.pauses.get(LONG_FRESH, PATIENCE, async { Ok(Box::pin(pauses::pauses(store)).await?) }).await
    }

    /// The audit has grown: who made a change is to see it on the next page.
    pub(super) async fn forget_pauses(&self) {
        self.pauses.forget().await;
    }

    /// What needs attention, unless it was read a moment ago.
    pub(super) async fn attention(
        &self,
        read: impl Future<Output = Result<Explanation, Problem>>,
    ) -> Result<Arc<Explanation>, Problem> {
        self.attention.get(LONG_FRESH, LONG_PATIENCE, read).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_together_are_one_question_and_so_is_a_failure() {
        let (look, asked) = (Look::<u32>::default(), AtomicU32::new(0));
        let ask = || {
            let read = async {
                sleep(Duration::from_millis(100)).await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            };
            look.get(FRESH, PATIENCE, read)
        };
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        assert_eq!([one, two, three].map(|answer| *answer.unwrap()), [0, 0, 0]);
        advance(FRESH).await;
        assert_eq!(*ask().await.unwrap(), 1);
        advance(FRESH).await;
        let stuck = || look.get(FRESH, PATIENCE, std::future::pending());
        let begun = Instant::now();
        let (one, two) = tokio::join!(stuck(), stuck());
        assert!(one.is_err() && two.is_err());
        assert_eq!(begun.elapsed(), PATIENCE, "who waited asks no more");
        advance(FRESH).await;
        assert_eq!(*ask().await.unwrap(), 2);
    }
}
