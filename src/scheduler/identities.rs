//! Who jobs are is kept beside their bytes. Where other programs take jobs, what was kept of those is swept.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::role::Scheduler;
use crate::store::workers::SweepIdentities;
use crate::store::{Store, StoreError};

/// Between two walks through all of them.
const REST: Duration = Duration::from_secs(30);

/// How many steps one turn takes at most. Each is bounded, and the walk goes on in the next turn.
const MAX_STEPS: usize = 50;

/// Where the walk is.
#[derive(Debug, Default)]
pub struct IdentitySweep {
    cursor: u64,
    /// When the last walk ended.
    ended: Option<Instant>,
}

impl IdentitySweep {
    /// Takes some steps, unless the last walk ended a moment ago.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn turn(&mut self, store: &Store<Scheduler>) -> Result<(), StoreError> {
        if self.cursor == 0 && self.ended.is_some_and(|ended| ended.elapsed() < REST) {
            return Ok(());
        }
        for _ in 0..MAX_STEPS {
            self.cursor = store.run(SweepIdentities { cursor: self.cursor }).await?;
            if self.cursor == 0 {
                self.ended = Some(Instant::now());
                break;
            }
        }
        Ok(())
    }
}
