//! The groups of failed jobs, counted for all who look.
//!
//! ```text
//!   somebody looks --> counted from the newest on, a part at a time --> only what is new at the end of the list is added
//!                        ^                                                |
//!                        +----(what was last is not where it was)---------+
//!   nobody has looked for ten minutes --> all of it is dropped
//! ```
//!
//! One counts for all, and reads each part where plugins run: on the thread of the server nothing takes longer for a longer list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::admin::error::AdminError;
use crate::admin::failed_groups::{FailedGroups, GroupScan};
use crate::admin::failed_search::FailedFilter;
use crate::store::handle::Store;
use crate::store::role::Admin;

/// How many failed jobs are counted, the newest.
const MOST: u64 = 500_000;
/// How long the store rests between two parts.
const REST: Duration = Duration::from_millis(20);
/// How often the end of the list is looked at while somebody looks.
const OFTEN: Duration = Duration::from_secs(1);
/// For how long after a look somebody is taken to look.
const LOOKING: Duration = Duration::from_secs(5);
/// For how long after the last look the counts are kept.
const KEPT: Duration = Duration::from_secs(600);
/// How long the first look waits for a list that is short.
const AT_ONCE: Duration = Duration::from_millis(300);

/// The counts. They are made when somebody looks.
#[derive(Debug, Default)]
pub(super) struct FailedIndex(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What is told.
    shown: Option<Counts>,
    /// What is counted anew.
    anew: Option<Counts>,
    /// Why the counting ended.
    failed: Option<AdminError>,
    asked: Option<Instant>,
    works: bool,
}

/// What a scan has counted so far.
#[derive(Debug, Clone)]
struct Counts {
    /// All groups that are told apart.
    groups: Arc<FailedGroups>,
    is_done: bool,
}

impl FailedIndex {
    /// The groups as far as they are counted. Parts are read on the threads behind `beside`.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub(super) async fn look(
        self: &Arc<Self>,
        store: &Store<Admin>,
        beside: &Handle,
        limit: usize,
    ) -> Result<FailedGroups, AdminError> {
        let now = Instant::now();
        loop {
            {
                let mut state = self.lock();
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                state.asked = Some(now);
                if !std::mem::replace(&mut state.works, true) {
                    tokio::spawn(Arc::clone(self).work(store.clone(), beside.clone()));
                }
                let counts = state.shown.as_ref().or(state.anew.as_ref());
                if let Some(counts) = counts.filter(|counts| counts.is_done || now.elapsed() >= AT_ONCE) {
                    return Ok(counts.groups.first(limit));
                }
            }
            sleep(REST).await;
        }
    }

    async fn work(self: Arc<Self>, store: Store<Admin>, beside: Handle) {
        let failed = loop {
            match self.count(&store, &beside).await {
                // The list changed below its end.
                Ok(()) => {}
                Err(ended) => break ended,
            }
        };
        *self.lock() = State { failed, ..State::default() };
    }

    /// Counts, and follows the list until it changes below its end.
    ///
    /// # Errors
    /// Why no more is counted; nothing if nobody looks any more.
    async fn count(&self, store: &Store<Admin>, threads: &Handle) -> Result<(), Option<AdminError>> {
        let of = store.clone();
        let begin = move || async move { GroupScan::begin(&of, FailedFilter::default(), MOST).await };
        let mut scan = beside(threads, begin).await?;
        loop {
            if self.asked_ago().is_none_or(|ago| ago >= KEPT) {
                return Err(None);
            }
            let of = store.clone();
            let part = move || async move {
                let goes_on = scan.go_on(&of).await?;
                let groups = Arc::new(scan.groups(usize::MAX));
                Ok((scan, Counts { groups, is_done: !goes_on }))
            };
            let (read, counts) = beside(threads, part).await?;
            scan = read;
            if counts.is_done {
                let mut state = self.lock();
                (state.shown, state.anew) = (Some(counts), None);
                break;
            }
            self.lock().anew = Some(counts);
            sleep(REST).await;
        }
        loop {
            sleep(OFTEN).await;
            match self.asked_ago() {
                Some(ago) if ago < LOOKING => {}
                Some(ago) if ago < KEPT => continue,
                _ => return Err(None),
            }
            let of = store.clone();
            let part = move || async move {
                let is_same = scan.follow(&of).await?;
                let groups = Arc::new(scan.groups(usize::MAX));
                Ok((scan, Counts { groups, is_done: true }, is_same))
            };
            let (read, counts, is_same) = beside(threads, part).await?;
            scan = read;
            if !is_same {
                return Ok(());
            }
            self.lock().shown = Some(counts);
        }
    }

    fn asked_ago(&self) -> Option<Duration> {
        self.lock().asked.map(|asked| asked.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a part of the work on these threads.
///
/// # Errors
/// Those of the part; nothing if it panicked, which was told.
async fn beside<T, F>(threads: &Handle, part: impl FnOnce() -> F + Send + 'static) -> Result<T, Option<AdminError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, AdminError>>,
{
    let handle = threads.clone();
    // Looks are large, and the stack of such a thread is not.
    let done = threads.spawn_blocking(move || handle.block_on(Box::pin(part()))).await;
    done.map_err(|_| None)?.map_err(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Names;
    use std::thread;

    use async_trait::async_trait;
    use bytes::Bytes;
    use tokio::runtime::Builder;

    use super::*;
    use crate::store::StoreError;
    use crate::store::failed_part::{FailedPart, FailedSide, ReadFailed};
    use crate::store::inspection::FailedCount;
    use crate::store::layer::{AnyArrow, AnyReply, Layer, Next};

    /// A list; remembers on which threads it was read.
    #[derive(Default)]
    struct List(Names<Vec<String>>);

    const ALL: i64 = 1000;

    #[async_trait]
    impl Layer for List {
        async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
            let name = thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
            if arrow.get::<FailedCount>().is_some() {
                return Ok(AnyReply::to::<FailedCount>(ALL.unsigned_abs()));
            }
            let Some(ReadFailed { side, most }) = arrow.get() else { return next.pass(arrow).await };
            let record = |_| Bytes::from_static(br#"{"error":"out of room"}"#);
            let (position, count) = match side {
                FailedSide::From(from) => (*from, ALL - from),
                FailedSide::Before(end) => (end - 1, *end),
            };
            let count = usize::try_from(count).unwrap_or(0).min(*most);
            Ok(AnyReply::to::<ReadFailed>(FailedPart { position, records: (0..count).map(record).collect() }))
        }
    }

    #[test]
    fn one_counts_for_all_who_look_and_not_on_the_thread_of_the_server() {
        let list = Arc::new(List::default());
        let store: Store<Admin> = Store::without_engine("test").layered(Arc::clone(&list) as _).narrow();
        let threads = Builder::new_multi_thread().worker_threads(1).thread_name("beside").enable_all().build().unwrap();
        let index = Arc::new(FailedIndex::default());
        let server = Builder::new_current_thread().enable_all().build().unwrap();
        let looks = server.block_on(async {
            let look = || index.look(&store, threads.handle(), 10);
            let (one, two, three) = tokio::join!(look(), look(), look());
            [one, two, three].map(|found| found.unwrap())
        });
        for found in looks {
            assert_eq!((found.count, found.groups.len(), found.groups[0].class.as_deref()), (1000, 1, None));
        }
        let names = list.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(names.iter().all(|name| name == "beside"), "{names:?}");
        // 1, 2, 4, ... 128, 200, and what is left: for all three once.
        assert!(names.len() < 20, "{}", names.len());
        threads.shutdown_background();
    }
}
