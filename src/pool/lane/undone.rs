//! Settlements that the store could not record, because the key where the job was to go is of another type or a right is
//! missing. Their claims stand. They are kept and tried again, because a record that no slot holds would be run again.
//!
//! A record stands under the name of its processor, which therefore can run nothing else. If that lasts, another processor
//! takes its place. How many do is bounded: each is a worker on record.

use std::time::Duration;

use tokio::time::Instant;

use super::eased::{self, Eased};
use super::{LaneTask, Round, Settled};
use crate::backoff;
use crate::job::{Failure, QueueName};
use crate::pool::counted::Afterwards;
use crate::pool::slots::MOST_ASIDE;
use crate::store::StoreError;
use crate::store::effect::Verdict;
use crate::store::queueing::{Exchanged, Extra, Settlement};

/// How long to wait between attempts: at first, and at most.
const DELAYS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// After how many attempts in vain the next job that meets the same is set aside at once.
const LASTS: u32 = 2;
/// What a lane does with them, for messages.
const RECORDING: &str = "record the ends of jobs";

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
            // A last failure goes to the failed list.
            Verdict::Attempted(retry) if retry.attempts == 0 => None,
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
            // The other lane may still have some. One that had none has nothing to tell.
            if self.undone.settlements.is_empty() && self.undone.attempt > 0 {
                self.undone.attempt = 0;
                self.core.findings.accepted(RECORDING);
            }
            return;
        }
        for &index in &reply.undone {
            let Some((settled, settlement)) = round.settled.get_mut(index).zip(round.exchange.settlements.get(index))
            else {
                continue;
            };
            let mut settlement = settlement.clone();
            let afterwards = std::mem::take(&mut settled.afterwards);
            let (slot, identity) = (settled.slot, settled.identity.clone());
            let mut kept = Settled { slot, identity, afterwards, told: settled.told };
            self.core.slots.settle(slot, &kept.identity, &settlement.claim);
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
                    self.undone.settlements.push((kept, settlement));
                    continue;
                }
            };
            if let Some(mut failure) = fault {
                // It goes to the failed list, where people find it.
                self.core.warn(format!("job {} goes to the failed list: {}", kept.identity.id, failure.error));
                let Afterwards { untold, counted } = &mut kept.afterwards;
                if let Some(untold) = untold {
                    untold.fail(&mut failure);
                }
                if let Some(counted) = counted {
                    counted.fail();
                }
                let (worker, queue) = (settlement.worker.name(), settlement.queue.as_str());
                let record = failure.record(worker, queue, &settlement.payload, self.core.clock.now_ms());
                if let Some(run) = &mut settlement.run {
                    run.fail(&failure);
                }
                settlement.verdict = Verdict::Failed { record };
            } else {
                let why = refused.map(|(error, _)| error).or(reply.findings.first());
                let why = why.map_or_else(String::new, |why| format!(": failed to {why}"));
                let was_told = std::mem::replace(&mut kept.told, true);
                if !was_told {
                    self.core.warn(format!(
                        "job {} has ended, but its end could not be recorded{why}; its record is kept and the end is \
                         recorded as soon as the store takes it",
                        kept.identity.id
                    ));
                }
                if was_told || self.undone.attempt >= LASTS {
                    self.set_aside(slot, &why);
                }
            }
            self.undone.settlements.push((kept, settlement));
        }
        // One that joins those that wait does not put them off.
        if self.undone.due.is_none() {
            let (base, cap) = DELAYS;
            self.undone.due = Some(Instant::now() + backoff::exponential(self.undone.attempt, base, cap, 0.5));
            self.undone.attempt = self.undone.attempt.saturating_add(1);
        }
    }

    /// The processor of a job whose end cannot be recorded leaves when it is recorded. Another one takes its place until
    /// then, so that other jobs go on.
    fn set_aside(&self, slot: usize, why: &str) {
        if !self.core.slots.set_aside(slot) {
            self.core.findings.held_up(
                RECORDING,
                &format!(
                    "{MOST_ASIDE} jobs have ended and wait for that{why}; no other processors take the places of any more, so \
                     that other jobs stand still until that is mended"
                ),
            );
        }
    }
}
