//! Sending an exchange until a reply comes.

use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::holding::Unknown;
use super::{LaneTask, Round};
use crate::backoff;
use crate::store::effect::Verdict;
use crate::store::queueing::{Exchanged, Settlement};

/// What a lane does, for messages.
const EXCHANGING: &str = "exchange jobs with the store";

/// How often a lane under full load looks for the reply before it sleeps.
const LOOKS: u32 = 128;

/// Waits for a reply. If `awake`, it looks for the reply for a moment before it sleeps: a sleeping thread takes as long to
/// wake as the store takes for several jobs.
async fn eagerly<T>(reply: impl Future<Output = T>, awake: bool) -> T {
    tokio::pin!(reply);
    if awake {
        for _ in 0..LOOKS {
            if let Poll::Ready(reply) = futures_util::poll!(reply.as_mut()) {
                return reply;
            }
            // The other lane and all tasks that are ready run first; then the sockets are looked at.
            tokio::task::yield_now().await;
        }
    }
    reply.await
}

/// May this settlement write a delayed job?
fn delays(settlement: &Settlement) -> bool {
    let Settlement { tick, verdict, .. } = settlement;
    tick.is_some() || matches!(verdict, Verdict::Delayed { .. } | Verdict::Attempted(_))
}

impl LaneTask {
    /// Sends one exchange until a reply comes. The store applies it once, however often it is sent. Gives up only if the
    /// instance was declared dead.
    pub(super) async fn exchange(&mut self, round: &Round) -> Option<Exchanged> {
        let mut attempt = 0;
        let mut unknown = Unknown::None;
        self.core.exchanges.begun(self.index, Instant::now());
        loop {
            self.pulse.turn();
            let told = self.path.is_long() || self.core.hunger.is_polled();
            if told && round.exchange.settlements.iter().any(delays) {
                self.core.announcements.delayed.announce(&self.path);
            }
            let sent = Instant::now();
            match eagerly(self.lane.exchange(&round.exchange), self.eager).await {
                Ok(reply) if reply.dead && !self.is_buried(&mut unknown) => {}
                Ok(reply) => {
                    self.path.note(sent.elapsed());
                    self.core.findings.answered();
                    self.core.findings.accepted(EXCHANGING);
                    self.exchange_over();
                    return Some(reply);
                }
                Err(error) => {
                    self.core.exchanges.failed(self.index, &error);
                    self.core.findings.failed(EXCHANGING, &error);
                }
            }
            if self.core.orders.is_dead() {
                self.exchange_over();
                self.forget(Some(round));
                return None;
            }
            let (base, cap) = (Duration::from_millis(50), Duration::from_secs(1));
            tokio::time::sleep(backoff::exponential(attempt, base, cap, 0.5)).await;
            self.hold_still(Some(round)).await;
            attempt += 1;
        }
    }

    fn exchange_over(&self) {
        if self.core.exchanges.over(self.index) {
            self.core.tell_stuck();
        }
    }
}
