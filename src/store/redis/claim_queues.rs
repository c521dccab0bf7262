//! The queues that a lane claims from.
//!
//! The server refuses a whole script if this user may not touch one of its keys, and does not say which. So the keys are
//! then asked for one by one, and the queues that are refused are left out for a while: they alone stand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::apart::is_for_a_key;
use super::connection::Connection;
use super::inspect::page;
use super::keys::Keys;
use crate::job::QueueName;
use crate::job::ecma::quote;
use crate::store::error::StoreError;

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
        let (origin, user) = (&connection.origin, connection.origin.user());
        // A read of nothing: a script may read and write a key, or is refused.
        let asked = join_all(self.keys.iter().map(|key| page(connection, key.clone(), 1, 0))).await;
        let mut names = Vec::with_capacity(before);
        for ((queue, key), answer) in self.names.iter().zip(&self.keys).zip(asked) {
            match answer {
                Err(error) if error.is_transient() => return Err(error),
                Err(error) if is_for_a_key(&error) => {
                    let key = String::from_utf8_lossy(key);
                    let text = format!(
                        "queue {queue} is passed over, because the user {user} may not touch its key: type ACL SETUSER \
                         {user} ~{key}"
                    );
                    origin.findings.tell(&key, text);
                }
                Ok(_) | Err(_) => names.push(queue.clone()),
            }
        }
        *self = Self { left_out: Some(Instant::now()), ..Self::only(connection.keys(), &self.list, names) };
        Ok(self.names.len() < before)
    }
}
