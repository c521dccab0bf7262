//! Whether the rights of this user are known to be complete.

use std::sync::atomic::{AtomicBool, Ordering};

use super::refusal::refuses_command;

/// What the connections of one store know of their rights.
#[derive(Debug, Default)]
pub(super) struct Rights {
    /// A command was refused since they were last asked for.
    doubted: AtomicBool,
    /// An instance works over these connections.
    all_needed: AtomicBool,
}

impl Rights {
    /// Takes note of an error that the server answered.
    pub(super) fn note(&self, error: &str) {
        // Without CLIENT TRACKING there is another way, so that its refusal, which comes with every look, says nothing of those
        // that are needed.
        let is_optional = error.to_ascii_lowercase().contains("'client");
        if refuses_command(error) && !is_optional {
            self.doubted.store(true, Ordering::Relaxed);
        }
    }

    /// A key was refused that everything needs.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// All of them were asked for, and none is missing.
    pub(super) fn are_known(&self) {
        self.doubted.store(false, Ordering::Relaxed);
    }

    pub(super) fn are_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// An instance joins, which needs all of them. A client needs those of its own steps.
    pub(super) fn need_all(&self) {
        self.all_needed.store(true, Ordering::Relaxed);
    }

    pub(super) fn are_all_needed(&self) -> bool {
        self.all_needed.load(Ordering::Relaxed)
    }
}
