//! The heartbeats of this instance, as far as its wakers use them: they show whether the server still tells of changes.
//!
//! A server forgets what was read without a message that the library passes on: emptying any of its databases takes the whole
//! table. So a heartbeat writes, with the pings, one of two keys that nobody else writes, in turns. One waker has read both
//! (`proof`). Behind each such beat it reads again the one that was written, and if the server had not told of it by then, all
//! wakers of the process look. Two keys in turns, because what is forgotten between a beat and the read behind it shows with the
//! other one at the next beat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::keys::Keys;
use crate::store::mutex::lock;

/// How often beats write one that ping nobody.
const REST: Duration = Duration::from_secs(4);

/// What the heartbeats and the wakers of a process share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Beats {
    own: Arc<Mutex<Option<Own>>>,
    /// Which key the last beat has written.
    written: watch::Sender<usize>,
    prover: Arc<Mutex<Option<Prover>>>,
}

/// The keys of this instance.
struct Own {
    keys: [Bytes; 2],
    /// Which one the next beat writes.
    next: usize,
    sent: Option<Instant>,
}

/// A waker that may read the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prover {
    id: u64,
    watches_queues: bool,
}

impl Prover {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self { id: LAST.fetch_add(1, Ordering::Relaxed), watches_queues: false }
    }
}

impl Default for Beats {
    fn default() -> Self {
        Self { own: Arc::default(), written: watch::Sender::new(0), prover: Arc::default() }
    }
}

impl Beats {
    /// From now on this is the instance.
    pub(super) fn begin(&self, keys: &Keys, instance: &str) {
        let (mut own, keys) = (lock(&self.own), keys.beats(instance));
        if own.as_ref().is_none_or(|own| own.keys != keys) {
            *own = Some(Own { keys, next: 0, sent: None });
        }
    }

    /// The key that a beat of this instance is to write which is sent now, if it is to write one, and which one it is. With
    /// pings that costs no command.
    pub(super) fn next(&self, keys: &Keys, instance: &str, pings: bool) -> Option<(Bytes, usize)> {
        if self.written.receiver_count() == 0 {
            return None;
        }
        self.begin(keys, instance);
        let (mut own, now) = (lock(&self.own), Instant::now());
        let is_due = |own: &&mut Own| pings || own.sent.is_none_or(|sent| now.duration_since(sent) >= REST);
        let own = own.as_mut().filter(is_due)?;
        own.sent = Some(now);
        let which = own.next;
        own.next = 1 - which;
        Some((own.keys[which].clone(), which))
    }

    /// A beat has written that key.
    pub(super) fn note(&self, which: usize) {
        self.written.send_replace(which);
    }

    /// Tells which key each beat has written that writes one.
    pub(super) fn subscribe(&self) -> watch::Receiver<usize> {
        self.written.subscribe()
    }

    pub(super) fn keys(&self) -> Option<[Bytes; 2]> {
        lock(&self.own).as_ref().map(|own| own.keys.clone())
    }

    /// Which of the keys is this one?
    pub(super) fn which(&self, key: &[u8]) -> Option<usize> {
        lock(&self.own).as_ref()?.keys.iter().position(|own| *own == key)
    }

    /// Is this waker to read the keys? One that watches queues comes first: it is checked most often.
    pub(super) fn takes(&self, prover: Prover, watches_queues: bool) -> bool {
        let mut holder = lock(&self.prover);
        let is_first = match *holder {
            None => true,
            Some(held) => held.id == prover.id || watches_queues && !held.watches_queues,
        };
        if is_first {
            let watched = holder.is_some_and(|held| held.id == prover.id && held.watches_queues);
            *holder = Some(Prover { watches_queues: watches_queues || watched, ..prover });
        }
        is_first
    }

    /// This waker is no more.
    pub(super) fn release(&self, prover: Prover) {
        let mut holder = lock(&self.prover);
        if holder.is_some_and(|held| held.id == prover.id) {
            *holder = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beats_write_two_keys_in_turns_and_seldom_without_pings() {
        let (beats, keys) = (Beats::default(), Keys::new("resque"));
        let own = keys.beats("a");
        assert_eq!(beats.next(&keys, "a", true), None, "nobody listens");
        let listener = beats.subscribe();
        for which in [0, 1, 0] {
            assert_eq!(beats.next(&keys, "a", true), Some((own[which].clone(), which)));
            assert_eq!(beats.next(&keys, "a", false), None);
            assert_eq!(beats.which(&own[which]), Some(which));
        }
        advance(REST).await;
        assert_eq!(beats.next(&keys, "a", false), Some((own[1].clone(), 1)));
        assert_eq!(beats.which(b"other"), None);
        assert_eq!(beats.next(&keys, "b", false), Some((keys.beats("b")[0].clone(), 0)), "it is another instance");
        drop(listener);
    }

    #[test]
    fn one_waker_reads_the_keys_and_first_of_all_one_that_watches_queues() {
        let (beats, [scheduler, pool, late]) = (Beats::default(), [(); 3].map(|()| Prover::new()));
        assert!(beats.takes(scheduler, false));
        assert!(beats.takes(pool, true) && !beats.takes(scheduler, false));
        assert!(!beats.takes(late, true) && beats.takes(pool, false));
        assert!(!beats.takes(late, true), "the other one watches queues now and then");
        beats.release(late);
        assert!(beats.takes(pool, false));
        beats.release(pool);
        assert!(beats.takes(late, false));
    }
}
