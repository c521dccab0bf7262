//! How far the daemon has come, for those who ask and for those who wait.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::store::handle::Store;
use crate::store::role::Whole;

/// How far the daemon has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Stage {
    /// It does not work yet.
    Starting,
    /// It works.
    Working,
    /// It lets its jobs end.
    Draining,
}

/// Where the daemon tells how far it has come. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Told>);

#[derive(Debug)]
struct Told {
    stage: AtomicU8,
    /// Another daemon has taken over.
    is_replaced: AtomicBool,
    moved: Notify,
    store: OnceLock<Store<Whole>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self(Arc::new(Told {
            stage: AtomicU8::new(Stage::Starting as u8),
            is_replaced: AtomicBool::new(false),
            moved: Notify::new(),
            store: OnceLock::new(),
        }))
    }
}

impl Standing {
    /// The daemon has come so far.
    pub fn reach(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Ordering::Relaxed);
        self.0.moved.notify_waiters();
    }

    /// Another daemon has taken over: its server is to be asked from now on.
    pub fn replaced(&self) {
        self.0.is_replaced.store(true, Ordering::Relaxed);
        self.reach(Stage::Draining);
    }

    /// Has another daemon taken over?
    pub(super) fn is_replaced(&self) -> bool {
        self.0.is_replaced.load(Ordering::Relaxed)
    }

    /// Waits until another daemon has taken over.
    pub(super) async fn until_replaced(&self) {
        self.until(|| self.is_replaced()).await;
    }

    /// Waits until the start is over.
    pub(super) async fn begun(&self) {
        self.until(|| self.stage() != Stage::Starting).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            // It hears of what happens from now on.
            let moved = self.0.moved.notified();
            if holds() {
                return;
            }
            moved.await;
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::Relaxed) {
            0 => Stage::Starting,
            1 => Stage::Working,
            _ => Stage::Draining,
        }
    }

    /// The store is open. The first one counts.
    pub fn opened(&self, store: &Store<Whole>) {
        // A start that is tried again has opened it before.
        let _ = self.0.store.set(store.clone());
    }

    /// The store, once it is open.
    #[must_use]
    pub fn store(&self) -> Option<&Store<Whole>> {
        self.0.store.get()
    }
}
