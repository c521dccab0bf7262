//! A walk over the failed list, from a position towards its beginning.

use bytes::Bytes;

use super::error::AdminError;
use crate::store::failed_part::{FailedSide, ReadFailed};
use crate::store::handle::Store;
use crate::store::role::Admin;

/// How many records a step reads at most.
const STEP: usize = 250;

/// A walk from a position to the beginning of the list, in steps that hold few records and few bytes.
pub(super) struct Walk<'s> {
    store: &'s Store<Admin>,
    /// Behind the next record.
    pub(super) end: i64,
    step: usize,
}

impl<'s> Walk<'s> {
    /// A walk over the records before this position.
    pub(super) fn before(store: &'s Store<Admin>, end: i64) -> Self {
        Self { store, end, step: 1 }
    }

    /// The next records with their positions, the newest first; `None` at the beginning of the list. The first step reads one, so
    /// that anyone who looks for a new one reads few.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<(i64, Bytes)>>, AdminError> {
        if self.end <= 0 {
            return Ok(None);
        }
        let part = self.store.run(ReadFailed { side: FailedSide::Before(self.end), most: self.step }).await?;
        self.step = (self.step * 2).min(STEP);
        let records: Vec<_> = (0..).zip(part.records).map(|(back, record)| (part.position - back, record)).collect();
        self.end = records.last().map_or(0, |(position, _)| *position);
        Ok((!records.is_empty()).then_some(records))
    }
}
