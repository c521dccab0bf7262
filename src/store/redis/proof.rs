//! The proof that the server still tells a waker of changes.
//!
//! A server forgets what was read without saying so in a way that the library passes on: emptying any of its databases takes
//! the whole table. So one waker of the process also reads a key that every heartbeat of its own instance writes, the ping of
//! one of its workers. What that costs grows neither with the fleet nor with the wakers.
//!
//! ```text
//!   unread ──(a look, or what was told before, reads it)──> read ──(the server tells of a beat)──> unread, read again at once
//!                                                            └──(a beat wrote it and nothing is told)──> forgotten: all
//!                                                                wakers of this process look
//! ```
//!
//! A look reads it first, so that what is forgotten during the look is found as well. What is forgotten in the moment between
//! the message and the answer to the next read is found when all is read anew, which a waker does now and then in any case.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::beats::Beat;
use super::connection::Connection;
use crate::store::mutex::lock;

/// How long after the answer to a beat the server has told of it.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How soon a key that others write as well is read again at most.
const REST: Duration = Duration::from_secs(1);
/// What a waker knows of the key.
#[derive(Default)]
pub(super) struct Proof(Mutex<State>);

#[derive(Default)]
struct State {
    key: Option<Bytes>,
    is_shared: bool,
    /// Since when the server is to tell of it, if it is.
    read: Option<Instant>,
    is_being_read: bool,
    /// It is about to be read again.
    is_awaited: bool,
    /// When it was read last.
    last: Option<Instant>,
    /// Grows with all after which a read that is under way shows nothing.
    changes: u64,
    /// Something was told since somebody asked.
    heard: bool,
}

impl State {
    fn forget(&mut self) {
        self.read = None;
        self.changes += 1;
    }
}

impl Proof {
    /// From now on it is the key of this beat. Returns whether it was another one.
    pub(super) fn follow(&self, beat: &Beat) -> bool {
        let mut state = lock(&self.0);
        let is_other = state.key.as_ref() != Some(&beat.key);
        if is_other {
            (state.key, state.is_shared) = (Some(beat.key.clone()), beat.is_shared);
            state.forget();
        }
        is_other
    }

    /// The key, if it is to be read now: the server would not tell of it.
    pub(super) fn begin(proof: &Arc<Self>) -> Option<(Bytes, Reading)> {
        let mut state = lock(&proof.0);
        let key = state.key.clone().filter(|_| state.read.is_none() && !state.is_being_read)?;
        state.is_being_read = true;
        Some((key, Reading { proof: Arc::clone(proof), changes: state.changes }))
    }

    /// A change of this key was told. Returns whether it is the one of the proof, which is to be read again.
    pub(super) fn told(&self, key: &[u8]) -> bool {
        let mut state = lock(&self.0);
        let is_it = state.key.as_deref() == Some(key);
        if is_it {
            state.forget();
            state.heard = true;
        }
        is_it
    }

    /// It is not known what the server remembers.
    pub(super) fn forget(&self) {
        lock(&self.0).forget();
    }

    /// Has the server forgotten it? This beat wrote it after it was read, and nothing was told.
    pub(super) fn is_broken(&self, beat: &Beat) -> bool {
        let state = lock(&self.0);
        state.key.as_ref() == Some(&beat.key) && state.read.is_some_and(|read| read < beat.sent)
    }

    /// Nothing would be told, and nobody is about to change that.
    pub(super) fn is_idle(&self) -> bool {
        let state = lock(&self.0);
        state.read.is_none() && !state.is_being_read && !state.is_awaited
    }

    /// Somebody is to read it again. False if somebody does.
    pub(super) fn is_to_be_read(&self) -> bool {
        !std::mem::replace(&mut lock(&self.0).is_awaited, true)
    }

    /// Was something told since this was asked last?
    pub(super) fn take_heard(&self) -> bool {
        std::mem::take(&mut lock(&self.0).heard)
    }

    fn rested(&self) -> Option<Instant> {
        let state = lock(&self.0);
        state.last.filter(|_| state.is_shared).map(|last| last + REST)
    }
}

/// A read of the key. Dropped before its answer came, nothing is known.
pub(super) struct Reading {
    proof: Arc<Proof>,
    changes: u64,
}

impl Reading {
    /// It was read. A change that was told meanwhile may have been after it.
    pub(super) fn settle(self) {
        let mut state = lock(&self.proof.0);
        let now = Instant::now();
        state.last = Some(now);
        if state.changes == self.changes {
            state.read = Some(now);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        lock(&self.proof.0).is_being_read = false;
    }
}

/// Reads the key again after a change of it was told.
pub(super) async fn read_again(connection: Arc<Connection>, proof: Arc<Proof>) {
    if let Some(rested) = proof.rested() {
        sleep_until(rested).await;
    }
    while let Some((key, reading)) = Proof::begin(&proof) {
        if connection.command("EXISTS", vec![key]).await.is_err() {
            break;
        }
        reading.settle();
    }
    lock(&proof.0).is_awaited = false;
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn proof() -> Arc<Proof> {
        let proof = Arc::new(Proof::default());
        assert!(Proof::begin(&proof).is_none(), "there is no key yet");
        assert!(proof.follow(&beat()) && !proof.follow(&beat()));
        proof
    }

    fn beat() -> Beat {
        Beat { key: Bytes::from_static(b"key"), is_shared: false, sent: Instant::now() }
    }

    fn read(proof: &Arc<Proof>) {
        Proof::begin(proof).expect("it is to be read").1.settle();
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_failed_or_was_overtaken_proves_nothing() {
        let proof = proof();
        let (_, failed) = Proof::begin(&proof).unwrap();
        assert!(Proof::begin(&proof).is_none(), "it is under way");
        drop(failed);
        assert!(proof.is_idle() && !proof.is_broken(&beat()));
        let (_, overtaken) = Proof::begin(&proof).unwrap();
        assert!(proof.told(b"key") && !proof.told(b"other"));
        overtaken.settle();
        assert!(proof.is_idle() && !proof.is_broken(&beat()), "the change may have been after the read");
        assert!(proof.is_to_be_read() && !proof.is_idle() && !proof.is_to_be_read());
        read(&proof);
        assert!(!proof.is_idle() && Proof::begin(&proof).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_after_the_read_is_told_or_the_server_has_forgotten() {
        let proof = proof();
        let before = beat();
        advance(Duration::from_millis(1)).await;
        read(&proof);
        assert!(!proof.is_broken(&before), "it may have been written before it was read");
        advance(Duration::from_millis(1)).await;
        let after = beat();
        assert!(proof.is_broken(&after));
        assert!(!proof.is_broken(&Beat { key: Bytes::from_static(b"other"), ..after.clone() }));
        assert!(proof.told(b"key") && proof.take_heard() && !proof.take_heard());
        assert!(!proof.is_broken(&after));
        read(&proof);
        assert!(!proof.is_broken(&after), "the server told of that one");
        proof.forget();
        assert!(proof.is_idle() && !proof.is_broken(&beat()));
        read(&proof);
        assert!(proof.follow(&Beat { key: Bytes::from_static(b"other"), ..beat() }) && proof.is_idle());
    }
}
