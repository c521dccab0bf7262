//! A lane holds still while the instance joins a store again that lost everything.

use tokio::time::Instant;

use super::{LaneTask, Round, Settled};
use crate::job::failure::iso_date;
use crate::pool::emptied::Account;
use crate::store::queueing::Settlement;
use crate::store::rejoin::HeldJob;

/// An exchange found no lane: how often the instance had joined again by then, and when it was.
pub(super) type Unknown = Option<(u64, Instant)>;

impl LaneTask {
    /// Holds still for as long as the heartbeat asks. `unanswered` is the exchange that is to be repeated afterwards.
    pub(super) async fn hold_still(&self, unanswered: Option<&Round>) {
        let (emptied, orders) = (&self.core.emptied, &self.core.orders);
        while emptied.holds_lanes() && !orders.is_dead() {
            let account = self.account(unanswered);
            self.pulse.wait(emptied.hold(self.index, account)).await;
        }
    }

    fn account(&self, unanswered: Option<&Round>) -> Account {
        let now = iso_date(self.core.clock.now_ms());
        let held = |settled: &Settled, settlement: &Settlement| HeldJob {
            worker: settlement.worker.clone(),
            claim: settlement.claim.clone(),
            queue: settlement.queue.clone(),
            identity: settled.identity.clone(),
            run_at: now.clone(),
            payload: settlement.payload.clone(),
        };
        let waiting = self.settlements.iter().chain(self.undone.each());
        let mut settling: Vec<_> = waiting.map(|(settled, settlement)| held(settled, settlement)).collect();
        if let Some(round) = unanswered {
            let sent = round.settled.iter().zip(&round.exchange.settlements);
            settling.extend(sent.map(|(settled, settlement)| held(settled, settlement)));
        }
        Account { answered: self.sequence - u64::from(unanswered.is_some()), settling }
    }

    /// Whether an exchange that found no lane shows that the instance is dead. At first it does not, because the store may
    /// have been emptied: the next extension tells, and the exchange is repeated. If the registration stands without the
    /// lane, it is unknown what was applied.
    pub(super) fn is_buried(&self, since: &mut Unknown) -> bool {
        let times = self.core.emptied.times();
        match *since {
            Some((then, at)) if then == times => self.core.lease.extended().instant() > at,
            _ => {
                *since = Some((times, Instant::now()));
                self.core.lease.want_extension();
                false
            }
        }
    }
}
