//! An exchange of which the file refuses a part: by a trigger or a CHECK that somebody added.
//!
//! The parts are then done one by one, each under a savepoint, and a refused one is left out alone. `RAISE(ROLLBACK)` in a
//! trigger ends the whole transaction with all its savepoints. The part that met it is noted here, and the exchange is begun
//! again without that part, until all the others are done in one transaction.

use std::sync::{Mutex, PoisonError};

use super::step::Step;
use super::value::AnyValue;
use crate::job::QueueName;
use crate::store::error::StoreError;

/// A part of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// By its index.
    Settlement(usize),
    /// The run that a settlement keeps.
    Run(usize),
    Counters,
    /// By its index.
    Enter(usize),
    /// The run of an enter whose job is dropped.
    DroppedRun(usize),
    /// All claims from a queue.
    Queue(QueueName),
    /// The claim of one job: its queue and its position there.
    Job(QueueName, AnyValue),
}

/// The parts that ended a transaction, and why.
#[derive(Debug, Default)]
pub(super) struct Apart(Mutex<Vec<(Piece, StoreError)>>);

impl Apart {
    /// Does a part. A refusal undoes this part alone and is the inner result.
    ///
    /// # Errors
    /// Any other failure, which undoes the exchange; also a refusal that ended its transaction.
    pub(super) fn attempt<T>(
        &self,
        step: &Step<'_>,
        piece: Piece,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let known = self.ended().iter().find(|(ended, _)| *ended == piece).map(|(_, error)| error.clone());
        if let Some(error) = known {
            return Ok(Err(error));
        }
        let done = step.part(work);
        if let Err(error @ StoreError::Barred { .. }) = &done
            && step.is_lost()
        {
            self.ended().push((piece, error.clone()));
        }
        done
    }

    /// How many parts ended a transaction.
    pub(super) fn count(&self) -> usize {
        self.ended().len()
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Vec<(Piece, StoreError)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
