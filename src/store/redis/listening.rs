//! Listens to what the server tells a waker unasked, over each connection that the waker has in turn.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use fred::interfaces::{EventInterface, TrackingInterface};
use fred::types::client::Invalidation;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::beats::Beat;
use super::connection::Connection;
use super::proof::{GRACE, Proof, read_again};

/// Who listens.
pub(super) struct Listener {
    /// Gone with the waker.
    pub(super) connection: Weak<Connection>,
    /// Counts what the waker is to look for.
    pub(super) changes: Arc<watch::Sender<u64>>,
    /// Counts the changes of the names of queues.
    pub(super) names: Arc<AtomicU64>,
    pub(super) proof: Arc<Proof>,
    /// Is it this waker that proves for all of the process that the server tells?
    pub(super) proves: Arc<AtomicBool>,
}

impl Listener {
    /// Listens for as long as the waker is there.
    pub(super) async fn listen(self) {
        let Some(connection) = self.connection.upgrade() else { return };
        let (clients, mut renewals, queues) = (connection.clients(), connection.renewals(), connection.keys().queues());
        let (mut forgotten, mut beats) = (connection.origin.forgotten.subscribe(), connection.origin.beats.subscribe());
        let forget = connection.origin.forgotten.clone();
        drop(connection);
        // The first beat may have come before the waker.
        beats.mark_changed();
        // A beat of which the server has told by then.
        let mut judged: Option<(Instant, Beat)> = None;
        loop {
            renewals.mark_unchanged();
            let client = clients();
            let (mut invalidations, mut reconnects) = (client.invalidation_rx(), client.reconnect_rx());
            // Until another connection takes the place of this one.
            loop {
                let closed = tokio::select! {
                    message = invalidations.recv() => {
                        let is_closed = matches!(message, Err(RecvError::Closed));
                        self.hear(message.ok().as_ref(), &queues);
                        is_closed
                    }
                    back = reconnects.recv() => {
                        self.lost();
                        self.is_proving().then(|| forget.send_modify(|times| *times += 1));
                        matches!(back, Err(RecvError::Closed))
                    }
                    Ok(()) = forgotten.changed() => {
                        self.lost();
                        false
                    }
                    Ok(()) = beats.changed() => {
                        let Some(beat) = beats.borrow_and_update().clone().filter(|_| self.is_proving()) else { continue };
                        // Between two keys, or where the key could not be read, nothing shows what was forgotten.
                        if self.proof.follow(&beat) || self.proof.is_idle() {
                            forget.send_modify(|times| *times += 1);
                        } else if self.proof.is_broken(&beat) {
                            judged.get_or_insert((Instant::now() + GRACE, beat));
                        }
                        false
                    }
                    () = until(judged.as_ref()) => {
                        if judged.take().is_some_and(|(_, beat)| self.proof.is_broken(&beat)) {
                            // All wakers of this process were forgotten together.
                            forget.send_modify(|times| *times += 1);
                        }
                        false
                    }
                    renewed = renewals.changed() => match renewed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                };
                if closed {
                    break;
                }
            }
            if renewals.wait_for(Option::is_some).await.is_err() {
                return;
            }
            // Changes since then were not sent to us.
            self.lost();
            self.is_proving().then(|| forget.send_modify(|times| *times += 1));
        }
    }

    /// A message, or some that were missed, which are as good as one that was not: something changed.
    fn hear(&self, message: Option<&Invalidation>, queues: &[u8]) {
        let keys = message.map_or(&[][..], |message| &message.keys);
        if keys.iter().any(|key| self.proof.told(key.as_bytes())) {
            if self.proof.is_to_be_read()
                && let Some(connection) = self.connection.upgrade()
            {
                tokio::spawn(read_again(connection, Arc::clone(&self.proof)));
            }
            if keys.len() == 1 {
                return;
            }
        }
        // One that names no key tells of all.
        if keys.is_empty() {
            return self.lost();
        }
        if keys.iter().any(|key| key.as_bytes() == queues) {
            self.names.fetch_add(1, Ordering::SeqCst);
        }
        self.wake();
    }

    fn is_proving(&self) -> bool {
        self.proves.load(Ordering::SeqCst)
    }

    /// Something may have changed of which nothing was told.
    fn lost(&self) {
        self.names.fetch_add(1, Ordering::SeqCst);
        self.proof.forget();
        self.wake();
    }

    fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Waits until a beat is judged, or without end.
async fn until(judged: Option<&(Instant, Beat)>) {
    match judged {
        Some((at, _)) => sleep_until(*at).await,
        None => std::future::pending().await,
    }
}
