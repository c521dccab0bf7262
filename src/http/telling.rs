//! What servers tell of the progress of runs that they perform: each may tell it as often as it likes, and the store hears the last
//! one once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::job::{ClaimToken, Progress, WorkerName};

/// How often the store hears of one run.
pub(super) const APART: Duration = Duration::from_secs(1);
/// How many runs are known at a time. Others are looked up anew.
const MOST: usize = 10_000;

/// The runs of which somebody tells how far they are.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<HashMap<ClaimToken, Told>>);

/// A run of which something was told.
#[derive(Debug)]
struct Told {
    worker: WorkerName,
    id: Arc<str>,
    /// When the store heard last.
    heard: Instant,
    /// What it has not heard.
    waiting: Option<Progress>,
}

/// What is to be done with a progress.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The store is to hear of it now; the worker has the run.
    Tell(WorkerName),
    /// Somebody is to come back at that time and tell the last one.
    Later(Instant),
    /// Somebody comes back anyway.
    Waits,
    /// The run is not known.
    Unknown,
    /// The claim is that of another job.
    Other,
}

impl Telling {
    /// A run tells how far it is.
    pub(super) fn tells(&self, id: &str, claim: &ClaimToken, progress: &Progress) -> Next {
        let mut all = self.lock();
        let Some(told) = all.get_mut(claim) else { return Next::Unknown };
        if *told.id != *id {
            return Next::Other;
        }
        let now = Instant::now();
        if now.duration_since(told.heard) >= APART && told.waiting.is_none() {
            told.heard = now;
            return Next::Tell(told.worker.clone());
        }
        let waits = told.waiting.replace(progress.clone()).is_some();
        if waits { Next::Waits } else { Next::Later(told.heard + APART) }
    }

    /// What waits of a run; the store hears of it now.
    pub(super) fn take(&self, claim: &ClaimToken) -> Option<(WorkerName, Progress)> {
        let mut all = self.lock();
        let told = all.get_mut(claim)?;
        told.heard = Instant::now();
        Some((told.worker.clone(), told.waiting.take()?))
    }

    /// The store has heard of this run, which this worker has.
    pub(super) fn know(&self, id: &str, claim: &ClaimToken, worker: WorkerName) {
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(claim) {
            // Those of which nothing waits are found again if they go on.
            all.retain(|_, told| told.waiting.is_some());
        }
        if all.len() < MOST {
            let told = Told { worker, id: id.into(), heard: Instant::now(), waiting: None };
            all.insert(claim.clone(), told);
        }
    }

    /// The run is over.
    pub(super) fn forget(&self, claim: &ClaimToken) {
        self.lock().remove(claim);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimToken, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_store_hears_the_last_word_of_a_run_once_a_second() {
        let (telling, claim) = (Telling::default(), ClaimToken::new("00ff", 0, 1, 0));
        let tells = |percent| telling.tells("7", &claim, &Progress::new(Some(percent), ""));
        assert_eq!(tells(1.0), Next::Unknown);
        telling.know("7", &claim, WorkerName::parse("h:1+1:q"));
        let Next::Later(at) = tells(2.0) else { panic!("it was heard a moment ago") };
        assert_eq!(at, Instant::now() + APART);
        assert_eq!((tells(3.0), tells(4.0)), (Next::Waits, Next::Waits));
        tokio::time::advance(APART).await;
        assert_eq!(tells(5.0), Next::Waits, "somebody comes for it");
        let (_, last) = telling.take(&claim).expect("it waits");
        assert_eq!(last.percent, Some(5.0));
        assert!(telling.take(&claim).is_none());
        assert!(matches!(tells(6.0), Next::Later(_)));
        telling.take(&claim);
        tokio::time::advance(APART).await;
        assert!(matches!(tells(7.0), Next::Tell(_)));
        assert_eq!(telling.tells("8", &claim, &Progress::new(None, "x")), Next::Other);
        telling.forget(&claim);
        assert_eq!(tells(8.0), Next::Unknown);
    }

    #[test]
    fn so_many_runs_are_known_and_no_more() {
        let telling = Telling::default();
        for n in 0..MOST + 5 {
            telling.know("7", &ClaimToken::new("00ff", 0, n as u64, 0), WorkerName::parse("h:1+1:q"));
        }
        assert!(telling.lock().len() <= MOST);
    }
}
