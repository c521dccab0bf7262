//! How long a connection may take for what it does.
//!
//! ```text
//!   accepted --> head --(complete)--> busy --(answered)--> writing --(written)--> idle --(a byte)--> head
//!    |  |          |                   |                    |                      |
//!    |  +- HEAD ---+                   +- ANSWER: until the answer is written; ----+- IDLE
//!    |                                    a stream gets it anew with each part
//!    +--(the slots are needed: see `slots`)----------> closed
//! ```
//!
//! Who sends nothing, or a head byte by byte, holds a slot no longer than that. Who takes nothing of what is written ends after
//! `DEAF`, in any phase: the buffer of the system holds little, so that it has room again as soon as the other end takes some.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Within this time a head is complete, from the first byte or from the connection on.
const HEAD: Duration = Duration::from_secs(10);
/// How long a request may take until its answer has begun, and then until it is written, which its client's reading
/// decides. The request itself ends before.
const ANSWER: Duration = Duration::from_secs(40);
/// How long a connection stays open between two requests: longer than usual proxies keep one.
const IDLE: Duration = Duration::from_secs(75);

/// How long bytes may wait of which the other end takes none.
const DEAF: Duration = Duration::from_secs(10);
/// The same when slots are needed.
const DEAF_IN_NEED: Duration = Duration::from_secs(2);
/// A body that comes more slowly than this is slow when slots are needed: in bytes a second, from this time on.
const SLOW: (u64, Duration) = (1024, Duration::from_secs(5));
/// How long a connection lasts that is only to ask one thing.
const BRIEF: Duration = Duration::from_secs(5);

/// What a connection does, and until when it may.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Present>);

#[derive(Debug, Clone, Copy)]
struct Present {
    phase: Phase,
    since: Instant,
    accepted: Instant,
    /// When it ends in any case.
    end: Option<Instant>,
    /// Since when bytes wait that the other end does not take.
    deaf: Option<Instant>,
    /// When its request came.
    asked: Instant,
    /// How much has come since.
    received: u64,
    /// Is more of a body waited for?
    hungry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It waits for a head.
    Head,
    /// It has a request.
    Busy,
    /// The answer is whole, and not yet written. Has the next head begun?
    Writing(bool),
    /// It waits for the next request.
    Idle,
    /// It is to end.
    Closed,
}

impl Patience {
    /// Of a new connection.
    pub(super) fn begin() -> Self {
        Self::until(None)
    }

    /// Of one that is only to ask one thing.
    pub(super) fn brief() -> Self {
        Self::until(Some(Instant::now() + BRIEF))
    }

    fn until(end: Option<Instant>) -> Self {
        let now = Instant::now();
        Self(Mutex::new(Present {
            phase: Phase::Head,
            since: now,
            accepted: now,
            end,
            deaf: None,
            asked: now,
            received: 0,
            hungry: false,
        }))
    }

    /// So many bytes have come.
    pub(super) fn read(&self, bytes: usize) {
        let mut present = self.lock();
        present.received = present.received.saturating_add(bytes as u64);
        present.hungry = false;
        present.when(Phase::Idle, Phase::Head);
        present.when(Phase::Writing(false), Phase::Writing(true));
    }

    /// More is wanted, and nothing is there. Is it a part of a body?
    pub(super) fn hungers(&self, for_body: bool) {
        self.lock().hungry = for_body;
    }

    /// Bytes are to be written, and there is no room for them.
    pub(super) fn has_no_room(&self) {
        self.lock().deaf.get_or_insert_with(Instant::now);
    }

    /// Bytes were written.
    pub(super) fn has_room(&self) {
        self.lock().deaf = None;
    }

    /// A request is complete up to its body.
    pub(super) fn busy(&self) {
        let mut present = self.lock();
        if present.phase != Phase::Closed {
            let now = Instant::now();
            *present = Present { phase: Phase::Busy, since: now, asked: now, received: 0, ..*present };
        }
    }

    /// Its request goes on: the answer has begun, or a part of a stream has passed.
    pub(super) fn goes_on(&self) {
        self.when(Phase::Busy, Phase::Busy);
    }

    /// Its answer is whole; parts of it may still have to be written.
    pub(super) fn answered(&self) {
        self.when(Phase::Busy, Phase::Writing(false));
    }

    /// All that was to be written is written.
    pub(super) fn written(&self) {
        self.when(Phase::Writing(false), Phase::Idle);
        self.when(Phase::Writing(true), Phase::Head);
    }

    fn when(&self, phase: Phase, next: Phase) {
        self.lock().when(phase, next);
    }

    /// Until when it may do what it does.
    pub(super) fn deadline(&self) -> Instant {
        let present = *self.lock();
        let Present { phase, since, .. } = present;
        let of_phase = match phase {
            Phase::Head => since + HEAD,
            Phase::Busy | Phase::Writing(_) => since + ANSWER,
            Phase::Idle => since + IDLE,
            Phase::Closed => since,
        };
        let others = [present.deaf.map(|since| since + DEAF), present.end];
        others.into_iter().flatten().fold(of_phase, Instant::min)
    }

    /// Since when it has been open.
    pub(super) fn accepted(&self) -> Instant {
        self.lock().accepted
    }

    /// Since when its client has taken nothing of what is written, or sends its body so slowly that it need not be waited for
    /// when slots are needed.
    pub(super) fn drags_since(&self) -> Option<Instant> {
        let (present, now) = (*self.lock(), Instant::now());
        let deaf = present.deaf.filter(|since| now.saturating_duration_since(*since) >= DEAF_IN_NEED);
        let took = now.saturating_duration_since(present.asked);
        let is_slow = present.phase == Phase::Busy
            && present.hungry
            && took >= SLOW.1
            && present.received < SLOW.0.saturating_mul(took.as_secs());
        deaf.or(is_slow.then_some(present.asked))
    }

    /// Since when it has waited for a request; `None`: it has one.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let present = *self.lock();
        matches!(present.phase, Phase::Head | Phase::Idle).then_some(present.since)
    }

    /// Ends it, whatever it does.
    pub(super) fn end(&self) {
        self.lock().phase = Phase::Closed;
    }

    /// Ends it, if it still waits.
    pub(super) fn close(&self) -> bool {
        let mut present = self.lock();
        let waits = matches!(present.phase, Phase::Head | Phase::Idle);
        if waits {
            present.phase = Phase::Closed;
        }
        waits
    }

    /// Is it to end at once?
    pub(super) fn is_closed(&self) -> bool {
        self.lock().phase == Phase::Closed
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn when(&mut self, phase: Phase, next: Phase) {
        if self.phase == phase {
            (self.phase, self.since) = (next, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// In how many seconds it ends.
    fn left(patience: &Patience) -> u64 {
        patience.deadline().saturating_duration_since(Instant::now()).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time_and_bytes_do_not_prolong_a_head() {
        let patience = Patience::begin();
        assert_eq!(left(&patience), 10);
        advance(Duration::from_secs(9)).await;
        patience.read(1);
        assert_eq!(left(&patience), 1, "one byte more");
        patience.busy();
        assert_eq!((left(&patience), patience.waits_since()), (40, None));
        advance(Duration::from_secs(30)).await;
        patience.read(1);
        assert_eq!(left(&patience), 10, "bytes of the body");
        patience.goes_on();
        patience.written();
        assert_eq!(left(&patience), 40, "a part was written, and the answer is not whole");
        advance(Duration::from_secs(30)).await;
        patience.answered();
        assert_eq!((left(&patience), patience.waits_since()), (40, None), "who reads slowly does not wait");
        patience.written();
        assert_eq!(left(&patience), 75);
        advance(Duration::from_secs(70)).await;
        patience.goes_on();
        assert_eq!(left(&patience), 5, "nothing goes on");
        patience.read(1);
        assert_eq!(left(&patience), 10);
        patience.busy();
        patience.answered();
        patience.read(1);
        assert_eq!((left(&patience), patience.close()), (40, false));
        patience.written();
        assert_eq!(left(&patience), 10, "the next head began meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_waits_can_be_closed_and_then_takes_no_request() {
        let patience = Patience::begin();
        patience.busy();
        assert!(!patience.close() && !patience.is_closed());
        patience.answered();
        assert!(!patience.close() && !patience.is_closed(), "its client still reads");
        patience.written();
        assert!(patience.close() && patience.is_closed());
        patience.busy();
        assert!(patience.is_closed() && left(&patience) == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_ends_soon_and_who_takes_some_does_not() {
        let patience = Patience::begin();
        patience.busy();
        patience.answered();
        for _ in 0..20 {
            patience.has_no_room();
            advance(Duration::from_secs(9)).await;
            patience.has_no_room();
            assert!(left(&patience) <= 1);
            patience.has_room();
            patience.busy();
        }
        assert_eq!((left(&patience), patience.drags_since()), (40, None));
        patience.has_no_room();
        let begun = Instant::now();
        advance(Duration::from_secs(1)).await;
        assert_eq!(patience.drags_since(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!((patience.drags_since(), left(&patience)), (Some(begun), 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_drags_if_little_of_it_comes_and_the_server_waits_for_it() {
        let patience = Patience::begin();
        advance(Duration::from_secs(9)).await;
        patience.busy();
        let begun = Instant::now();
        patience.hungers(true);
        advance(Duration::from_secs(4)).await;
        assert_eq!(patience.drags_since(), None, "it has only begun");
        advance(Duration::from_secs(6)).await;
        patience.read(100);
        assert_eq!(patience.drags_since(), None, "the server has not taken what came");
        patience.hungers(true);
        assert_eq!(patience.drags_since(), Some(begun));
        patience.read(10_240);
        patience.hungers(true);
        assert_eq!(patience.drags_since(), None);
        patience.busy();
        patience.hungers(false);
        advance(Duration::from_secs(30)).await;
        assert_eq!(patience.drags_since(), None, "its body is whole");
    }

    #[tokio::test(start_paused = true)]
    async fn a_brief_one_ends_whatever_it_does() {
        let patience = Patience::brief();
        assert_eq!(left(&patience), 5);
        advance(Duration::from_secs(3)).await;
        patience.busy();
        patience.goes_on();
        assert_eq!(left(&patience), 2);
    }
}
