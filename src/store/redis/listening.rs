//! Listens to what the server tells a waker unasked, over each connection that the waker has in turn.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use fred::interfaces::{EventInterface, Resp3Frame as Frame, TrackingInterface};
use fred::types::client::Invalidation;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

use super::beats::{Beats, Prover};
use super::connection::Connection;
use super::proof::Proof;
use crate::store::error::StoreError;

/// Who listens for a waker.
pub(super) struct Listener {
    /// Gone with the waker.
    pub(super) connection: Weak<Connection>,
    /// Counts what the waker is to look for.
    pub(super) changes: Arc<watch::Sender<u64>>,
    /// Counts the changes of the names of queues.
    pub(super) names: Arc<AtomicU64>,
    /// The server does not send messages.
    pub(super) refused: Arc<AtomicBool>,
    pub(super) heard: Arc<Heard>,
}

/// What is heard over the connection, for the waker and its listener.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) proof: Proof,
    /// The server has answered since somebody asked.
    answered: AtomicBool,
}

impl Heard {
    /// Has the server answered over this connection since this was asked last?
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, Ordering::SeqCst)
    }
}

/// A read of the key that a beat wrote, behind it; or of both, if nothing is known of them.
struct Reading {
    written: usize,
    both: bool,
    answer: BoxFuture<'static, Result<Frame, StoreError>>,
}

impl Listener {
    /// Listens for as long as the waker is there.
    pub(super) async fn listen(self, prover: Prover) {
        let Some(connection) = self.connection.upgrade() else { return };
        let (clients, mut renewals, queues) = (connection.clients(), connection.renewals(), connection.keys().queues());
        let (all, beats) = (connection.origin.forgotten.clone(), connection.origin.beats.clone());
        drop(connection);
        let (mut forgotten, mut written) = (all.subscribe(), beats.subscribe());
        loop {
            renewals.mark_unchanged();
            let client = clients();
            let (mut messages, mut reconnects) = (client.invalidation_rx(), client.reconnect_rx());
            let mut reading: Option<Reading> = None;
            // Until another connection takes the place of this one.
            loop {
                let is_closed = tokio::select! {
                    message = messages.recv() => {
                        self.hear(message.as_ref().ok(), &beats, &queues);
                        matches!(message, Err(RecvError::Closed))
                    }
                    back = reconnects.recv() => {
                        self.lost();
                        matches!(back, Err(RecvError::Closed))
                    }
                    Ok(()) = forgotten.changed() => {
                        self.wake_for_all();
                        false
                    }
                    Ok(()) = written.changed(), if reading.is_none() => {
                        let which = *written.borrow_and_update();
                        reading = self.read_behind(which, prover, &beats);
                        false
                    }
                    (Reading { written, both, .. }, is_answered) = answered(&mut reading) => {
                        // What the server told before it answered is here by now.
                        let is_closed = loop {
                            match messages.try_recv() {
                                Ok(message) => self.hear(Some(&message), &beats, &queues),
                                Err(TryRecvError::Lagged(_)) => self.hear(None, &beats, &queues),
                                Err(TryRecvError::Empty) => break false,
                                Err(TryRecvError::Closed) => break true,
                            }
                        };
                        self.heard.answered.fetch_or(is_answered, Ordering::SeqCst);
                        let is_told = is_answered && self.heard.proof.read_again(written);
                        if is_answered && both {
                            self.heard.proof.read();
                        } else if !is_answered {
                            self.heard.proof.forget();
                        }
                        if !is_told {
                            // All wakers of this process were forgotten together.
                            all.send_modify(|times| *times += 1);
                        }
                        is_closed
                    }
                    renewed = renewals.changed() => match renewed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                };
                if is_closed {
                    break;
                }
            }
            if renewals.wait_for(Option::is_some).await.is_err() {
                return;
            }
            // Changes since then were not sent to us.
            self.lost();
        }
    }

    /// Reads what was written again, if this waker is the one that does.
    fn read_behind(&self, written: usize, prover: Prover, beats: &Beats) -> Option<Reading> {
        if self.refused.load(Ordering::Relaxed) || !beats.takes(prover, false) {
            return None;
        }
        let (connection, keys, both) = (self.connection.upgrade()?, beats.keys()?, self.heard.proof.is_due());
        let keys = if both { keys.to_vec() } else { vec![keys.get(written)?.clone()] };
        let answer = Box::pin(async move { connection.command("EXISTS", keys).await });
        Some(Reading { written, both, answer })
    }

    /// A message, or some that were missed, which are as good as one that was not: something changed.
    fn hear(&self, message: Option<&Invalidation>, beats: &Beats, queues: &Bytes) {
        let keys = message.map_or(&[][..], |message| &message.keys);
        let mut others = 0;
        for key in keys {
            match beats.which(key.as_bytes()) {
                Some(which) => self.heard.proof.told(which),
                None => others += 1,
            }
        }
        if !keys.is_empty() && others == 0 {
            return;
        }
        // One that names no key tells of all.
        if keys.is_empty() || keys.iter().any(|key| key.as_bytes() == queues) {
            self.names.fetch_add(1, Ordering::SeqCst);
        }
        self.wake();
    }

    /// The server remembers nothing of this connection.
    fn lost(&self) {
        self.heard.proof.forget();
        self.wake_for_all();
    }

    /// Anything may have changed of which nothing was told.
    fn wake_for_all(&self) {
        self.names.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Waits for the end of a read, or without end. Was it answered?
async fn answered(reading: &mut Option<Reading>) -> (Reading, bool) {
    if let Some(under_way) = reading {
        let is_answered = (&mut under_way.answer).await.is_ok();
        if let Some(ended) = reading.take() {
            return (ended, is_answered);
        }
    }
    std::future::pending().await
}
