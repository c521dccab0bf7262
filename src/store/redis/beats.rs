//! The heartbeats of this process, as far as its wakers use them: each writes a key that shows whether the server still tells of
//! changes (`proof`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::keys::Keys;
use crate::store::mutex::lock;

/// A worker that was not pinged for so long is pinged no more: each idle one is more often.
const SILENT: Duration = Duration::from_secs(15);

/// A heartbeat that the store has taken: the key that it wrote, and when it was sent.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    pub(super) key: Bytes,
    /// Do others write it as well?
    pub(super) is_shared: bool,
    pub(super) sent: Instant,
}

/// The last heartbeat of this process, for all its wakers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Beats {
    last: watch::Sender<Option<Beat>>,
    /// The worker whose ping is the key; `None`: it is the counters of the leases, which all instances write.
    worker: Arc<Mutex<Option<String>>>,
}

impl Default for Beats {
    fn default() -> Self {
        Self { last: watch::Sender::new(None), worker: Arc::default() }
    }
}

impl Beats {
    /// A beat that was sent then has written the pings of these workers, or of none.
    pub(super) fn note<'a>(&self, keys: &Keys, mut pinged: impl Iterator<Item = &'a str> + Clone, sent: Instant) {
        let mut worker = lock(&self.worker);
        let is_written = worker.as_deref().is_some_and(|worker| pinged.clone().any(|one| one == worker));
        if !is_written {
            let is_silent = self.last.borrow().as_ref().is_none_or(|last| sent.duration_since(last.sent) > SILENT);
            if worker.is_some() && !is_silent {
                return;
            }
            *worker = pinged.next().map(str::to_owned);
        }
        let (key, is_shared) = match worker.as_deref() {
            Some(worker) => (keys.ping(worker), false),
            None => (keys.leases(), true),
        };
        self.last.send_replace(Some(Beat { key, is_shared, sent }));
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Beat> {
        self.last.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Beat>> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_key_stays_the_same_while_its_worker_is_pinged_now_and_then() {
        let (beats, keys) = (Beats::default(), Keys::new("resque"));
        let told = beats.subscribe();
        let note = |pinged: &[&str]| {
            beats.note(&keys, pinged.iter().copied(), Instant::now());
            told.borrow().clone().unwrap()
        };
        assert_eq!(note(&[]).key, keys.leases());
        assert_eq!(note(&["a", "b"]).key, keys.ping("a"));
        let last = note(&["b", "a"]);
        assert_eq!(last.key, keys.ping("a"));
        advance(Duration::from_secs(1)).await;
        assert_eq!(note(&["b"]).sent, last.sent, "it did not write the key");
        assert_eq!(note(&[]).sent, last.sent);
        advance(SILENT).await;
        assert_eq!(note(&["b"]).key, keys.ping("b"));
        advance(SILENT * 2).await;
        assert_eq!(note(&[]).key, keys.leases());
    }
}
