//! A wish to end what takes long, after the step that it is in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The wish. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Brake(Arc<AtomicBool>);

impl Brake {
    /// It shall end.
    pub fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for a signal that sets it.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Shall it end?
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
