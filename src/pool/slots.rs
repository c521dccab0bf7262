//! The processors' slots, and what stands in each.
//!
//! ```text
//!            claim                 gates                 begin
//!   Idle ──> Claiming ──> (job) ──> Entering ──> Running ──> Settling ──> Idle
//!              └── nothing there ──> Idle              └─ claim lost ──────┘
//! ```
//!
//! Each slot is bound to one lane, so that its settlement never arrives after its next claim.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::kind::JobInfo;
use crate::handler::contract::{Handler, Kept, Stop};
use crate::job::{ClaimToken, Identity, QueueName, WorkerName};
use crate::plugin::chain::HeldLock;
use crate::task::TaskDefinition;

/// How many lanes there are: two calls in flight keep the store busy while we turn a reply into
/// work; more gained nothing when measured.
pub(super) const LANES: usize = 2;

/// A claimed job.
pub(super) struct Job {
    pub(super) claim: ClaimToken,
    pub(super) queue: QueueName,
    pub(super) payload: Bytes,
    /// The arguments as one JSON array, as the producer wrote them.
    pub(super) args: Bytes,
    pub(super) identity: Identity,
    /// The occurrence of the schedule that enqueued it, if one did.
    pub(super) scheduled_at: Option<Arc<str>>,
    /// `None` for classes nobody here knows.
    pub(super) known: Option<(Arc<TaskDefinition>, Arc<dyn Handler>)>,
    /// Locks it holds once it has entered.
    pub(super) held: Vec<HeldLock>,
    /// Shared with events; only built when somebody listens.
    pub(super) info: Option<Arc<JobInfo>>,
    pub(super) began: Instant,
    /// When it takes too long, where no task of its own looks after that.
    pub(super) limit: Option<Limit>,
}

/// When a run takes too long.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// When it is asked to end, or killed if it has been asked.
    pub(super) due: Instant,
    /// Has it been asked?
    pub(super) over: bool,
}

impl Job {
    pub(super) fn task(&self) -> Option<&TaskDefinition> {
        self.known.as_ref().map(|(task, _)| &**task)
    }
}

/// What stands in a slot.
pub(super) enum State {
    /// Nothing.
    Idle,
    /// A claim for it is in flight.
    Claiming,
    /// A job at its gates.
    Entering(Box<Job>),
    /// A job that runs.
    Running(Box<Job>),
    /// A job whose claim was lost, still being stopped: nothing will be written for it.
    Lost(Box<Job>),
    /// A job that ended and is not yet settled.
    Settling,
}

/// One processor.
pub(super) struct Slot {
    /// Its number, from 1; free numbers are used again.
    pub(super) number: usize,
    pub(super) worker: WorkerName,
    pub(super) state: State,
    /// On its way out: claims nothing more.
    pub(super) retiring: bool,
    /// Its name is of before a reload: claims nothing more until it has its new one.
    pub(super) stale: bool,
    /// Between two names: registered under neither, or not for sure.
    pub(super) nameless: bool,
    /// Tells its run to stop; reset before each run.
    pub(super) stop: Arc<watch::Sender<Stop>>,
    /// Its run, where its handler keeps it.
    pub(super) kept: Option<Box<dyn Kept>>,
}

impl Slot {
    pub(super) fn new(number: usize, worker: WorkerName) -> Self {
        let stop = Arc::new(watch::Sender::new(Stop::No));
        Self { number, worker, state: State::Idle, retiring: false, stale: false, nameless: false, stop, kept: None }
    }

    /// The lane it is bound to.
    pub(super) fn lane(&self) -> usize {
        lane_of(self.number)
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle | State::Claiming)
    }

    /// Is this the claim of its run?
    pub(super) fn runs(&self, claim: &ClaimToken) -> bool {
        matches!(&self.state, State::Running(job) | State::Lost(job) if job.claim == *claim)
    }

    /// Asks its run to stop; never less urgently than before.
    pub(super) fn stop(&self, how: Stop) {
        if urge(&self.stop, how)
            && let Some(kept) = &self.kept
        {
            kept.urge(how);
        }
    }
}

/// Raises a stop order; it never becomes less urgent. True if it has become more urgent.
pub(super) fn urge(stop: &watch::Sender<Stop>, how: Stop) -> bool {
    stop.send_if_modified(|now| {
        let urgent = how > *now;
        if urgent {
            *now = how;
        }
        urgent
    })
}

/// The lane of the processor with this number.
pub(super) fn lane_of(number: usize) -> usize {
    (number + LANES - 1) % LANES
}

/// All slots, in order of their numbers.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Slot> {
        let at = self.slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
        self.slots.get_mut(at)
    }

    pub(super) fn add(&mut self, slot: Slot) {
        let at = self.slots.partition_point(|other| other.number < slot.number);
        self.slots.insert(at, slot);
    }

    /// Takes out retiring slots that are idle.
    pub(super) fn take_retired(&mut self) -> Vec<Slot> {
        self.slots.extract_if(.., |slot| slot.retiring && matches!(slot.state, State::Idle)).collect()
    }

    /// The lowest numbers that are free.
    pub(super) fn free_numbers(&self, count: usize) -> Vec<usize> {
        (1..).filter(|number| self.slots.iter().all(|slot| slot.number != *number)).take(count).collect()
    }

    /// Marks the slot that can best be spared: an idle one before a busy one, the highest number
    /// first. A claim in flight counts as busy, for it may bring a job.
    pub(super) fn retire_one(&mut self) {
        let spare = self.slots.iter_mut().filter(|slot| !slot.retiring);
        if let Some(slot) = spare.max_by_key(|slot| (matches!(slot.state, State::Idle), slot.number)) {
            slot.retiring = true;
        }
    }

    /// (processors, busy), without those on their way out.
    pub(super) fn census(&self) -> (usize, usize) {
        let staying = self.slots.iter().filter(|slot| !slot.retiring);
        staying.fold((0, 0), |(all, busy), slot| (all + 1, busy + usize::from(slot.is_busy())))
    }

    /// How many slots of a lane wait for a job.
    pub(super) fn idle(&self, lane: usize) -> usize {
        let of_lane = self.slots.iter().filter(|slot| slot.lane() == lane && !slot.retiring);
        of_lane.filter(|slot| matches!(slot.state, State::Idle)).count()
    }

    /// Does any slot of this lane hold a job or wait for a reply?
    pub(super) fn is_quiet(&self, lane: usize) -> bool {
        self.slots.iter().filter(|slot| slot.lane() == lane).all(|slot| matches!(slot.state, State::Idle))
    }

    /// Asks every run to stop.
    pub(super) fn stop_all(&self, how: Stop) {
        for slot in &self.slots {
            if matches!(slot.state, State::Running(_) | State::Lost(_)) {
                slot.stop(how);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(states: &[bool]) -> Slots {
        let mut slots = Slots::default();
        for (at, &busy) in states.iter().enumerate() {
            let mut slot = Slot::new(at + 1, WorkerName::new(&format!("h:1+{}", at + 1), "*"));
            slot.state = if busy { State::Settling } else { State::Idle };
            slots.add(slot);
        }
        slots
    }

    #[test]
    fn an_idle_processor_leaves_before_the_last_started_one_if_that_is_busy() {
        let mut pool = slots(&[true, false, true]);
        pool.retire_one();
        assert_eq!(pool.take_retired().iter().map(|slot| slot.number).collect::<Vec<_>>(), [2]);
        assert_eq!(pool.free_numbers(2), [2, 4]);
        pool.retire_one();
        assert!(pool.take_retired().is_empty(), "a busy one leaves when its job is settled");
        assert_eq!(pool.census(), (1, 1));
    }

    #[test]
    fn slots_alternate_between_the_lanes() {
        assert_eq!((1..=4).map(lane_of).collect::<Vec<_>>(), [0, 1, 0, 1]);
        let pool = slots(&[false, true, false, false]);
        assert_eq!((pool.idle(0), pool.idle(1)), (2, 1));
        assert!(pool.is_quiet(0) && !pool.is_quiet(1));
    }

    #[test]
    fn a_stop_order_never_becomes_less_urgent() {
        let stop = watch::Sender::new(Stop::No);
        urge(&stop, Stop::Kill);
        urge(&stop, Stop::Terminate);
        assert_eq!(*stop.borrow(), Stop::Kill);
    }
}
