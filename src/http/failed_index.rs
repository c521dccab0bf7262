//! The groups of failed jobs, counted for all who look.
//!
//! ```text
//!   somebody looks --> counted from the newest on, a part at a time --> only what is new at the end of the list is added
//!                        ^                                                |
//!                        +----(what was last is not where it was)---------+
//!   nobody has looked for ten minutes --> all of it is dropped
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
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
    shown: Option<GroupScan>,
    /// What is counted anew.
    anew: Option<GroupScan>,
    /// Why the counting ended.
    failed: Option<AdminError>,
    asked: Option<Instant>,
    works: bool,
}

impl FailedIndex {
    /// The groups as far as they are counted.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub(super) async fn look(self: &Arc<Self>, store: &Store<Admin>, limit: usize) -> Result<FailedGroups, AdminError> {
        let now = Instant::now();
        loop {
            {
                let mut state = self.0.lock().await;
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                state.asked = Some(now);
                if !std::mem::replace(&mut state.works, true) {
                    tokio::spawn(Arc::clone(self).work(store.clone()));
                }
                let scan = state.shown.as_ref().or(state.anew.as_ref());
                if let Some(scan) = scan.filter(|scan| scan.is_done() || now.elapsed() >= AT_ONCE) {
                    return Ok(scan.groups(limit));
                }
            }
            sleep(REST).await;
        }
    }

    async fn work(self: Arc<Self>, store: Store<Admin>) {
        let failed = loop {
            match self.count(&store).await {
                // The list changed below its end.
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        *self.0.lock().await = State { failed, ..State::default() };
    }

    /// Counts, and follows the list. False: nobody looks any more.
    async fn count(&self, store: &Store<Admin>) -> Result<bool, AdminError> {
        let anew = GroupScan::begin(store, FailedFilter::default(), MOST).await?;
        self.0.lock().await.anew = Some(anew);
        loop {
            let mut state = self.0.lock().await;
            if state.asked.is_none_or(|asked| asked.elapsed() >= KEPT) {
                return Ok(false);
            }
            let goes_on = match &mut state.anew {
                Some(scan) => scan.go_on(store).await?,
                None => false,
            };
            if !goes_on {
                state.shown = state.anew.take();
                break;
            }
            drop(state);
            sleep(REST).await;
        }
        loop {
            sleep(OFTEN).await;
            let mut state = self.0.lock().await;
            match state.asked.map(|asked| asked.elapsed()) {
                Some(ago) if ago < LOOKING => {}
                Some(ago) if ago < KEPT => continue,
                _ => return Ok(false),
            }
            if let Some(scan) = &mut state.shown
                && !scan.follow(store).await?
            {
                return Ok(true);
            }
        }
    }
}
