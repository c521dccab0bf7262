//! What the pool is to do: work, pause, drain, or end because the instance was declared dead.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The orders in force. A pool that drains or is dead never works again.
pub(super) struct Orders {
    paused: Cell<bool>,
    draining: Cell<bool>,
    dead: Cell<bool>,
    /// Notified when `dead` is set.
    died: Notify,
    /// The process is about to kill all its children: that is no job's failure.
    abandoned: Arc<AtomicBool>,
}

impl Orders {
    /// Orders to work.
    pub(super) fn new(abandoned: Arc<AtomicBool>) -> Self {
        let no = || Cell::new(false);
        Self { paused: no(), draining: no(), dead: no(), died: Notify::new(), abandoned }
    }

    /// Whether jobs may be claimed.
    pub(super) fn accept(&self) -> bool {
        !self.paused.get() && !self.is_over()
    }

    /// Pauses or resumes. True if that makes a difference.
    pub(super) fn pause(&self, paused: bool) -> bool {
        self.paused.replace(paused) != paused && !self.is_over()
    }

    /// From now on lanes end when nothing is left to settle.
    pub(super) fn drain(&self) {
        self.draining.set(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The store says that this instance is dead. False if that was known.
    pub(super) fn die(&self) -> bool {
        let is_news = !self.dead.replace(true);
        if is_news {
            self.died.notify_one();
        }
        is_news
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// Waits until the store says that this instance is dead.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// Whether everything here is to end.
    pub(super) fn is_over(&self) -> bool {
        self.draining.get() || self.dead.get()
    }

    /// Whether the process is about to kill all its children.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_drains_or_is_dead_claims_nothing_whatever_it_is_told() {
        let orders = Orders::new(Arc::default());
        assert!(orders.accept() && !orders.pause(false));
        assert!(orders.pause(true) && !orders.accept());
        assert!(orders.pause(false) && orders.accept());
        orders.drain();
        assert!(!orders.accept() && !orders.pause(true) && !orders.pause(false) && !orders.accept());
        assert!(orders.die() && !orders.die());
        assert!(orders.is_over() && orders.is_dead() && orders.is_draining());
    }
}
