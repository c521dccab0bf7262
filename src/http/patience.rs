//! How long a connection may take for what it does.
//!
//! ```text
//!   accepted --> head --(complete)--> busy --(answered)--> writing --(written)--> idle --(a byte)--> head
//!    |  |          |                   |                    |                      |
//!    |  +- HEAD ---+                   +- ANSWER: until the answer is written; ----+- IDLE
//!    |                                    a stream gets it anew with each part
//!    +--(the slots are needed: the longest wait)-----> closed
//! ```
//!
//! Who sends nothing, or a head byte by byte, or does not read, holds a slot no longer than that.

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

/// What a connection does, and until when it may.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Present>);

#[derive(Debug, Clone, Copy)]
struct Present {
    phase: Phase,
    since: Instant,
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
        Self(Mutex::new(Present { phase: Phase::Head, since: Instant::now() }))
    }

    /// Bytes have come.
    pub(super) fn read(&self) {
        self.when(Phase::Idle, Phase::Head);
        self.when(Phase::Writing(false), Phase::Writing(true));
    }

    /// A request is complete up to its body.
    pub(super) fn busy(&self) {
        let mut present = self.lock();
        if present.phase != Phase::Closed {
            *present = Present { phase: Phase::Busy, since: Instant::now() };
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
        let mut present = self.lock();
        if present.phase == phase {
            *present = Present { phase: next, since: Instant::now() };
        }
    }

    /// Until when it may do what it does.
    pub(super) fn deadline(&self) -> Instant {
        let Present { phase, since } = *self.lock();
        match phase {
            Phase::Head => since + HEAD,
            Phase::Busy | Phase::Writing(_) => since + ANSWER,
            Phase::Idle => since + IDLE,
            Phase::Closed => since,
        }
    }

    /// Since when it has waited for a request; `None`: it has one.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let present = *self.lock();
        matches!(present.phase, Phase::Head | Phase::Idle).then_some(present.since)
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
        patience.read();
        assert_eq!(left(&patience), 1, "one byte more");
        patience.busy();
        assert_eq!((left(&patience), patience.waits_since()), (40, None));
        advance(Duration::from_secs(30)).await;
        patience.read();
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
        patience.read();
        assert_eq!(left(&patience), 10);
        patience.busy();
        patience.answered();
        patience.read();
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
}
