//! How soon the locks of running jobs run out if nothing renews them.

use std::cell::Cell;

use tokio::sync::Notify;

use super::slots::Job;

/// The fastest of them.
#[derive(Default)]
pub(super) struct HeldLocks {
    shortest_s: Cell<Option<u64>>,
    /// One was taken that runs out sooner than all others.
    sooner: Notify,
}

impl HeldLocks {
    /// A job has taken its locks.
    pub(super) fn taken(&self, job: &Job) {
        let Some(shortest) = job.held.iter().map(|held| held.ttl_s).min() else { return };
        if self.shortest_s.get().is_none_or(|known| shortest < known) {
            self.shortest_s.set(Some(shortest));
            self.sooner.notify_one();
        }
    }

    /// These are all locks that are held now, by how long each lasts.
    pub(super) fn counted(&self, ttls_s: impl Iterator<Item = u64>) {
        self.shortest_s.set(ttls_s.min());
    }

    /// In how many seconds the first of them runs out after a renewal.
    pub(super) fn shortest_s(&self) -> Option<u64> {
        self.shortest_s.get()
    }

    /// Waits until one is taken that runs out sooner than all others.
    pub(super) async fn taken_sooner(&self) {
        self.sooner.notified().await;
    }
}
