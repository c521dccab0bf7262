//! Sweeps job identities. They are stored beside the jobs' bytes, and stay there when another program takes the job.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::role::Scheduler;
use crate::store::workers::SweepIdentities;
use crate::store::{Store, StoreError};

/// The pause between two walks through all identities.
const REST: Duration = Duration::from_secs(45);

/// The most steps of one turn. Each step is bounded, and the next turn continues the walk.
const MAX_STEPS: usize = 50;

/// The position of the walk.
#[derive(Debug, Default)]
pub struct IdentitySweep {
    cursor: u64,
    /// When the last walk ended.
    ended: Option<Instant>,
}

impl IdentitySweep {
    /// Takes some steps, unless the last walk ended less than `REST` ago.
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
