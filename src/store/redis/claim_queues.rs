//! The queues that a lane claims from.
//!
//! The server refuses a whole script if this user may not touch one of its keys, and does not say which. So the keys are
//! then asked for one by one, and the queues that are refused are left out for a while: they alone stand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::connection::Connection;
use super::keys::Keys;
use super::refused_keys::refused_keys;
use crate::job::QueueName;
use crate::job::ecma::quote;
use crate::store::error::StoreError;
use crate::text::clean::named;

/// How long queues are left out before they are tried again.
const LEFT_OUT: Duration = Duration::from_secs(30);

/// What is constant of a list of queues. Holding the list keeps its address from being used again.
pub(super) struct ClaimQueues {
    list: Arc<[QueueName]>,
    /// Those that jobs are claimed from.
    pub(super) names: Vec<QueueName>,
    pub(super) keys: Vec<Bytes>,
    /// `"queue":"<name>","payload":`
    pub(super) pieces: Vec<Bytes>,
    /// When some were left out.
    left_out: Option<Instant>,
}

impl ClaimQueues {
    pub(super) fn of(keys: &Keys, list: &Arc<[QueueName]>) -> Self {
        Self::only(keys, list, list.to_vec())
    }

    fn only(keys: &Keys, list: &Arc<[QueueName]>, names: Vec<QueueName>) -> Self {
        let piece = |queue: &QueueName| Bytes::from(format!("\"queue\":{},\"payload\":", quote(queue.as_str())));
        Self {
            list: Arc::clone(list),
            keys: names.iter().map(|queue| keys.queue(queue)).collect(),
            pieces: names.iter().map(piece).collect(),
            names,
            left_out: None,
        }
    }

    /// Are these made of this list, and is it not yet time to try again those that were left out?
    pub(super) fn are_of(&self, list: &Arc<[QueueName]>) -> bool {
        Arc::ptr_eq(&self.list, list) && self.left_out.is_none_or(|at| at.elapsed() < LEFT_OUT)
    }

    /// Leaves out the queues whose keys the server refuses, and names them. Returns whether there are any.
    ///
    /// # Errors
    /// Fails when the server cannot be reached.
    pub(super) async fn leave_out_refused(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        let before = self.names.len();
        let refused = refused_keys(connection, self.keys.iter().cloned().collect()).await?;
        let mut names = Vec::with_capacity(before);
        for (queue, key) in self.names.iter().zip(&self.keys) {
            if let Some(error) = refused.get(key) {
                let text = format!(
                    "queue {queue} is passed over, because jobs cannot be claimed from it: failed to {error}",
                    queue = named(&queue)
                );
                connection.origin.findings.tell(&String::from_utf8_lossy(key), text);
            } else {
                names.push(queue.clone());
            }
        }
        *self = Self { left_out: Some(Instant::now()), ..Self::only(connection.keys(), &self.list, names) };
        Ok(self.names.len() < before)
    }
}
