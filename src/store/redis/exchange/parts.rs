//! Jobs that are too long for one reply: their working records are read in parts.
//!
//! The claims stand by then, so that nothing is lost if this takes long or ends midway. What was read is kept, and a
//! repeated exchange goes on from there.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;

use super::RedisLane;
use crate::job::WorkerName;
use crate::store::error::StoreError;
use crate::store::queueing::{Claim, Exchange};
use crate::store::redis::values;

/// Told of each part that has come.
pub(super) type Progress = Arc<dyn Fn() + Send + Sync>;

/// A claim whose job is still to be read.
pub(super) struct Unread {
    /// How many claims come before it.
    pub(super) position: usize,
    /// Index into [`Exchange::idle`].
    pub(super) index: usize,
    /// How long its record is.
    pub(super) length: usize,
}

/// What of the records of an exchange was read, by index into [`Exchange::idle`].
#[derive(Default)]
pub(super) struct Parts {
    sequence: u64,
    of: HashMap<usize, BytesMut>,
}

impl Parts {
    /// Forgets what was read for another exchange.
    fn are_of(&mut self, sequence: u64) {
        if self.sequence != sequence {
            *self = Self { sequence, of: HashMap::new() };
        }
    }
}

impl RedisLane {
    /// Adds the claims whose jobs were not in the reply. One whose record is gone meanwhile is lost, and is left out.
    pub(super) async fn read_parts(
        &mut self,
        exchange: &Exchange,
        claims: &mut Vec<Claim>,
        unread: Vec<Unread>,
    ) -> Result<(), StoreError> {
        self.parts.are_of(exchange.sequence);
        for Unread { index, length, .. } in &unread {
            if let Some(worker) = exchange.idle.get(*index) {
                self.read_record(exchange, *index, worker, *length).await?;
            }
        }
        let mut gone = 0;
        for Unread { position, index, .. } in unread {
            let record = self.parts.of.remove(&index).unwrap_or_default().freeze();
            match self.on_record(exchange, index, record) {
                Some(claim) => claims.insert((position - gone).min(claims.len()), claim),
                None => gone += 1,
            }
        }
        Ok(())
    }

    async fn read_record(
        &mut self,
        exchange: &Exchange,
        index: usize,
        worker: &WorkerName,
        length: usize,
    ) -> Result<(), StoreError> {
        let key = self.connection.keys().working(worker);
        loop {
            let from = self.parts.of.get(&index).map_or(0, BytesMut::len);
            if from >= length {
                return Ok(());
            }
            let to = from.saturating_add(self.room.bytes()).min(length) - 1;
            let part = match values::part(&self.connection, &key, from, to).await {
                Ok(part) => part,
                Err(error) => {
                    if matches!(error, StoreError::Unavailable(_)) {
                        self.room.lost(self.cuts.of(exchange.sequence));
                    }
                    return Err(error);
                }
            };
            if part.is_empty() {
                // The record is gone.
                return Ok(());
            }
            self.room.arrived(part.len());
            self.parts.of.entry(index).or_default().extend_from_slice(&part);
            if let Some(progress) = &self.progress {
                progress();
            }
        }
    }
}
