//! Settlements that the store could not record, because the key where the job was to go is of another type or a right is
//! missing. Their claims stand. They are kept and tried again, because a record that no slot holds would be run again.

use std::time::Duration;

use tokio::time::Instant;

use super::eased::{self, Eased};
use super::{LaneTask, Round, Settled};
use crate::backoff;
use crate::job::{Failure, QueueName, RunOutcome};
use crate::store::StoreError;
use crate::store::effect::Verdict;
use crate::store::queueing::{Exchanged, Extra, Settlement};

/// How long to wait between attempts: at first, and at most.
const DELAYS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The settlements that could not be recorded.
#[derive(Default)]
pub(super) struct Undone {
    settlements: Vec<(Settled, Settlement)>,
    attempt: u32,
    due: Option<Instant>,
}

impl Undone {
    pub(super) fn holds(&self, slot: usize) -> bool {
        self.settlements.iter().any(|(settled, _)| settled.slot == slot)
    }

    /// All of them.
    pub(super) fn each(&self) -> impl Iterator<Item = &(Settled, Settlement)> {
        self.settlements.iter()
    }

    /// What is to be tried again now.
    pub(super) fn take_due(&mut self) -> Vec<(Settled, Settlement)> {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            std::mem::take(&mut self.settlements)
        } else {
            Vec::new()
        }
    }

    /// Ends when something is to be tried again.
    pub(super) async fn wait(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Where a job was to go.
pub(super) enum Goes<'a> {
    Later,
    Back(&'a QueueName),
}

impl<'a> Goes<'a> {
    /// Where this settlement sends its job, if it sends it anywhere but to the failed list.
    fn of(settlement: &'a Settlement) -> Option<Self> {
        match &settlement.verdict {
            Verdict::Attempted(_) | Verdict::Delayed { .. } => Some(Self::Later),
            Verdict::Requeued { .. } => Some(Self::Back(&settlement.queue)),
            Verdict::Done | Verdict::DoneAtLast { .. } | Verdict::Failed { .. } | Verdict::Vetoed { .. } => None,
        }
    }

    /// Is this a key there?
    fn is_at(&self, place: &str) -> bool {
        match self {
            Self::Later => place.contains(":delayed:") || place.ends_with(":delayed_queue_schedule"),
            Self::Back(queue) => place.ends_with(&format!(":queue:{queue}")) || place.ends_with(":queues"),
        }
    }
}

/// The failure of a job that cannot be put off or back, because a key there is of another type.
pub(super) fn fault(findings: &[StoreError], goes: &Goes<'_>) -> Option<Failure> {
    let is_there = |finding: &&StoreError| match finding {
        StoreError::Corrupt { place, .. } | StoreError::Barred { place, .. } => goes.is_at(place),
        _ => false,
    };
    let why = findings.iter().find(is_there)?;
    Some(Failure::new("Error", format!("the job could not be put off or back: failed to {why}")))
}

impl LaneTask {
    /// Keeps what a reply says was not recorded, and tells what the store found.
    pub(super) fn keep_undone(&mut self, round: &mut Round, reply: &Exchanged) {
        for finding in &reply.findings {
            self.core.findings.tell(finding);
        }
        if reply.undone.is_empty() {
            if !round.settled.is_empty() {
                self.undone.attempt = 0;
            }
            return;
        }
        for &index in &reply.undone {
            let Some((settled, settlement)) = round.settled.get_mut(index).zip(round.exchange.settlements.get(index))
            else {
                continue;
            };
            let mut settlement = settlement.clone();
            let (untold, counted) = (settled.untold.take(), settled.counted.take());
            let (slot, identity) = (settled.slot, settled.identity.clone());
            let mut kept = Settled { slot, identity, untold, counted, told: true };
            let refused = eased::of_settlement(&reply.refused, index);
            let fault = match refused {
                Some((error, extras)) => eased::ease(&mut settlement, error, extras),
                None => Eased::Not,
            };
            let fault = match fault {
                Eased::Fails(failure) => Some(failure),
                Eased::Not => Goes::of(&settlement).and_then(|goes| self::fault(&reply.findings, &goes)),
                Eased::Without(what) => {
                    match refused {
                        // Each run of the task meets it.
                        Some((error, [Extra::Run])) => self.core.findings.tell(error),
                        _ => self.core.warn(format!("the end of job {} is recorded without {what}", kept.identity.id)),
                    }
                    kept.told = settled.told;
                    self.core.slots.settle(kept.slot, &kept.identity);
                    self.undone.settlements.push((kept, settlement));
                    continue;
                }
            };
            if let Some(mut failure) = fault {
                // It goes to the failed list, where people find it.
                self.core.warn(format!("job {} goes to the failed list: {}", kept.identity.id, failure.error));
                if let Some(untold) = &mut kept.untold {
                    untold.fail(&mut failure);
                }
                let (worker, queue) = (settlement.worker.name(), settlement.queue.as_str());
                let record = failure.record(worker, queue, &settlement.payload, self.core.clock.now_ms());
                if let Some(run) = &mut settlement.run {
                    run.run.outcome = RunOutcome::Failed;
                    run.run.error = Some(failure.to_string());
                }
                settlement.verdict = Verdict::Failed { record };
            } else if !settled.told {
                let why = refused.map(|(error, _)| error).or(reply.findings.first());
                let why = why.map_or_else(String::new, |why| format!(": failed to {why}"));
                self.core.warn(format!(
                    "job {} has ended, but its end could not be recorded{why}; its record is kept and the end is \
                     recorded as soon as the store takes it",
                    kept.identity.id
                ));
            }
            self.core.slots.settle(kept.slot, &kept.identity);
            self.undone.settlements.push((kept, settlement));
        }
        let (base, cap) = DELAYS;
        self.undone.due = Some(Instant::now() + backoff::exponential(self.undone.attempt, base, cap, 0.5));
        self.undone.attempt = self.undone.attempt.saturating_add(1);
    }
}
