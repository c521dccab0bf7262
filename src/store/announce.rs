//! Announcements: over a long path, one loop of an instance tells another that a change is on its way to the store.
//!
//! The store tells of a change half a round trip after the change has reached it, and a look after that takes another
//! round trip. A loop that is told when the change is sent can send its own call right behind it. An announcement promises
//! nothing: the change may come late or not at all, so that the store's own message is waited for as before. If the store
//! sends no messages at all, the same is told over a short path, too.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::path::Path;
use crate::job::QueueName;

/// A call that follows a change over another connection is sent this part of a round trip behind it, because the path
/// does not always take the same time.
const BEHIND: u32 = 8;
/// The least that it is sent behind one that the store will not tell of: nothing follows if it overtakes that.
const WELL_BEHIND: Duration = Duration::from_millis(20);

/// What the loops of one instance announce to each other.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Announcements {
    /// Jobs are on their way to their queues.
    pub queued: Announcer,
    /// Jobs are on their way to the delayed jobs.
    pub delayed: Announcer,
    /// The store told of a change of the queues. This is told over any path.
    pub stir: Stir,
}

/// Tells one listener that there was a change. Several changes may be told as one.
#[derive(Debug, Clone, Default)]
pub struct Stir {
    change: Arc<Notify>,
    told_of: Arc<Mutex<Option<ToldOf>>>,
}

/// Of which queues every job that comes is told.
#[derive(Debug)]
enum ToldOf {
    All,
    These(Arc<[QueueName]>),
}

impl Stir {
    /// There was a change.
    pub fn tell(&self) {
        self.change.notify_one();
    }

    /// Waits until there was a change since the last time.
    pub async fn told(&self) {
        self.change.notified().await;
    }

    /// Until the guard is dropped every job that comes to a queue is told, whichever queue that is, unless it is paused.
    #[must_use]
    pub fn completely(&self) -> CompleteStir<'_> {
        self.tells(ToldOf::All)
    }

    /// The same for jobs that come to these queues, and for every queue that is new.
    #[must_use]
    pub fn completely_of(&self, queues: Arc<[QueueName]>) -> CompleteStir<'_> {
        self.tells(ToldOf::These(queues))
    }

    fn tells(&self, of: ToldOf) -> CompleteStir<'_> {
        *self.told_of.lock().unwrap_or_else(PoisonError::into_inner) = Some(of);
        CompleteStir(self)
    }

    /// Whether every such job is told, if these are all queues that are known.
    #[must_use]
    pub fn is_complete(&self, known: &[QueueName]) -> bool {
        match &*self.told_of.lock().unwrap_or_else(PoisonError::into_inner) {
            None => false,
            Some(ToldOf::All) => true,
            Some(ToldOf::These(queues)) => {
                let told: HashSet<&QueueName> = queues.iter().collect();
                known.iter().all(|queue| told.contains(queue))
            }
        }
    }
}

/// While it lives, every job is told: see [`Stir::completely`].
#[derive(Debug)]
pub struct CompleteStir<'a>(&'a Stir);

impl Drop for CompleteStir<'_> {
    fn drop(&mut self) {
        *self.0.told_of.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Announces one kind of change.
#[derive(Debug, Clone, Default)]
pub struct Announcer {
    told: Arc<watch::Sender<Option<Instant>>>,
    /// The store does not tell of changes.
    polled: Arc<AtomicBool>,
}

impl Announcer {
    /// A change is being sent over this path. Nothing is told if the path is short and the store tells of it.
    pub fn announce(&self, path: &Path) {
        let behind = if self.polled.load(Ordering::Relaxed) {
            (path.round_trip() * 2).max(WELL_BEHIND)
        } else if path.is_long() {
            path.round_trip() / BEHIND
        } else {
            return;
        };
        self.told.send_replace(Some(Instant::now() + behind));
    }

    /// Whether the store tells of such changes.
    pub fn set_polled(&self, polled: bool) {
        self.polled.store(polled, Ordering::Relaxed);
    }

    /// Hears of the changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> Announced {
        Announced { told: self.told.subscribe(), at: None }
    }
}

/// Hears of announced changes.
#[derive(Debug)]
pub struct Announced {
    told: watch::Receiver<Option<Instant>>,
    /// When to act on the announcement that was heard.
    at: Option<Instant>,
}

impl Announced {
    /// Waits until a change was announced and a call that is sent now reaches the store after it. Several changes may be
    /// told as one. If the wait is given up, the announcement is kept for the next one.
    pub async fn due(&mut self) {
        let at = match self.at {
            Some(at) => at,
            None => match self.told.changed().await {
                Ok(()) => self.told.borrow_and_update().unwrap_or_else(Instant::now),
                // Nobody is left who could announce anything.
                Err(_) => std::future::pending().await,
            },
        };
        self.at = Some(at);
        sleep_until(at).await;
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn path(millis: u64) -> Path {
        let mut path = Path::default();
        path.note(Duration::from_millis(millis));
        path
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_over_a_long_path_is_told_and_kept_until_it_is_due() {
        let announcer = Announcer::default();
        let mut announced = announcer.subscribe();
        announcer.announce(&path(1));
        assert!(announced.due().now_or_never().is_none(), "the path is short");
        announcer.announce(&path(400));
        assert!(announced.due().now_or_never().is_none(), "it would be overtaken");
        let began = Instant::now();
        announced.due().await;
        assert_eq!(began.elapsed().as_millis(), 50);
        assert!(announced.due().now_or_never().is_none(), "it was told");
    }

    #[tokio::test]
    async fn changes_are_told_as_one_and_are_complete_for_as_long_as_the_guard_lives() {
        let stir = Stir::default();
        let other = stir.clone();
        other.tell();
        other.tell();
        assert!(stir.told().now_or_never().is_some());
        assert!(stir.told().now_or_never().is_none(), "both were told");
        let queues = ["a", "b"].map(QueueName::as_stored);
        assert!(!stir.is_complete(&queues));
        let guard = other.completely();
        assert!(stir.is_complete(&queues));
        drop(guard);
        assert!(!stir.is_complete(&queues) && !stir.is_complete(&[]));
        let guard = other.completely_of(Arc::from(&queues[..1]));
        assert!(!stir.is_complete(&queues) && stir.is_complete(&queues[..1]) && stir.is_complete(&[]));
        drop(guard);
        assert!(!stir.is_complete(&queues[..1]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_does_not_tell_is_told_over_a_short_path_too() {
        let announcer = Announcer::default();
        let mut announced = announcer.subscribe();
        announcer.set_polled(true);
        announcer.announce(&path(1));
        let began = Instant::now();
        announced.due().await;
        assert_eq!(began.elapsed(), WELL_BEHIND);
    }
}
