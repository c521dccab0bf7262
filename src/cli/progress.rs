//! Tells on stderr how far a long command has come: once a second, and nothing of a short one.

use std::time::Duration;

use tokio::time::Instant;

use super::output::warn;

/// How far it is.
#[derive(Debug)]
pub(super) struct Progress {
    what: &'static str,
    told: Instant,
}

const OFTEN: Duration = Duration::from_secs(1);

impl Progress {
    /// Begins now. `what` follows the number.
    #[must_use]
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, told: Instant::now() }
    }

    /// So many are done.
    pub(super) fn at(&mut self, number: u64) {
        if self.told.elapsed() >= OFTEN {
            self.told = Instant::now();
            warn(&format!("{number} {} so far", self.what));
        }
    }
}
