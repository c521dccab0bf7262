//! Where a move goes on looking for what waits.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Where the last look found something to set aside: the queues before it were empty. The next look begins there, because
/// a look through all queues for each batch would take their number squared.
#[derive(Debug, Default)]
pub(super) struct Looked(Mutex<Option<Place>>);

/// Where a look begins. `None`: at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At the page of the set of queues that this cursor tells.
    Queues(Bytes),
    /// Behind all queues.
    Delayed,
}

impl Looked {
    pub(super) fn place(&self) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, place: Option<Place>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}
