//! How many parts of an instance share the store's connection (`sharer`).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a part shares before it asks for its own again.
const AGAIN: Duration = Duration::from_secs(30);

/// How many parts share at present.
#[derive(Debug)]
pub(super) struct Sharing {
    parts: AtomicUsize,
    again_ms: AtomicU64,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { parts: AtomicUsize::new(0), again_ms: AtomicU64::new(u64::try_from(AGAIN.as_millis()).unwrap_or(0)) }
    }
}

impl Sharing {
    /// One more shares. Returns how many do.
    pub(super) fn begin(&self) -> usize {
        self.parts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One shares no more.
    pub(super) fn end(&self) {
        self.parts.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many share.
    pub(super) fn parts(&self) -> usize {
        self.parts.load(Ordering::Relaxed)
    }

    /// How long a part shares before it asks again.
    pub(super) fn again(&self) -> Duration {
        Duration::from_millis(self.again_ms.load(Ordering::Relaxed))
    }

    /// Parts ask again after so long.
    #[cfg(test)]
    pub(super) fn ask_again_after(&self, again: Duration) {
        self.again_ms.store(u64::try_from(again.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
