//! The processors' slots: the only file that changes what a slot holds.
//!
//! ```text
//!            claim                 gates                 begin
//!   Idle ──> Claiming ──> (job) ──> Entering ──> Running ──> Settling ──> Idle
//!              └── nothing there ──> Idle              └─ claim lost ──────┘
//! ```
//!
//! Each slot belongs to one lane, so that its settlement never arrives after its next claim. The manager is notified when
//! a slot becomes idle that is to leave or to get another name.

mod aside;
mod slot;

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use self::aside::MOST_ASIDE;
pub(super) use self::slot::{Job, LANES, Limit, Slot, State, lane_of, urge};
use crate::event::kind::JobInfo;
use crate::handler::contract::{OwnedRun, Stop};
use crate::job::{ClaimToken, Identity, LockKey, Outcome, QueueName, TaskName, WorkerName};
use crate::store::instance::InstanceRecord;

/// A run whose claim is lost.
pub(super) struct LostRun {
    pub(super) task: Option<TaskName>,
    pub(super) queue: QueueName,
    /// If a listener wants to hear of jobs.
    pub(super) job: Option<Arc<JobInfo>>,
    pub(super) began: Instant,
}

/// What a run is after its handler was called.
pub(super) enum Started {
    /// It has ended.
    Ended(Outcome),
    /// It will report its end. The handler may manage it.
    Running(Option<Box<dyn OwnedRun>>),
}

/// What was taken out of a slot whose run or gates are over.
pub(super) enum Taken {
    /// The job, and the worker that had it.
    Job(Box<Job>, WorkerName),
    /// A job whose claim was lost before; its slot is idle.
    Lost(Box<Job>),
    /// There was no job.
    Nothing,
}

/// A processor that is to get another name.
pub(super) struct Renaming {
    pub(super) number: usize,
    pub(super) old: WorkerName,
    pub(super) new: WorkerName,
}

/// All slots, in order of their numbers. They are never borrowed across an await.
#[derive(Default)]
pub(super) struct Slots {
    slots: RefCell<Vec<Slot>>,
    /// The manager is to look at the slots and at the bounds.
    manager_wanted: Notify,
}

impl Slots {
    /// Adds a processor that is registered under this name. A reload may have given it another one since.
    pub(super) fn add(&self, number: usize, worker: WorkerName, record: &InstanceRecord) {
        let mut slots = self.slots.borrow_mut();
        let at = slots.partition_point(|other| other.number < number);
        let stale = record.worker(number) != worker;
        slots.insert(at, Slot { stale, ..Slot::new(number, worker) });
    }

    /// Takes at most so many idle slots of a lane for a claim, and those whose settlements go with it, except the slots that
    /// `stays` names. Returns their numbers and workers.
    pub(super) fn claim(
        &self,
        lane: usize,
        most: usize,
        stays: impl Fn(usize) -> bool,
    ) -> (Vec<usize>, Vec<WorkerName>) {
        let mut claiming = (Vec::new(), Vec::new());
        for slot in self.slots.borrow_mut().iter_mut() {
            if claiming.0.len() == most {
                break;
            }
            if slot.lane() != lane || slot.is_waited_for() || stays(slot.number) {
                continue;
            }
            if slot.is_idle() {
                slot.state = State::Claiming;
            }
            if matches!(slot.state, State::Claiming | State::Settling { .. }) {
                claiming.0.push(slot.number);
                claiming.1.push(slot.worker.clone());
            }
        }
        claiming
    }

    /// A reply has come for these slots: they are idle.
    pub(super) fn rest<'a>(&self, numbers: impl Iterator<Item = &'a usize>) {
        let mut slots = self.slots.borrow_mut();
        for &number in numbers {
            if let Some(slot) = get_mut(&mut slots, number) {
                slot.state = State::Idle;
                if slot.is_waited_for() {
                    self.ask_manager();
                }
            }
        }
    }

    /// The slot's job waits at its gates.
    pub(super) fn enter(&self, number: usize, job: Box<Job>) {
        self.set(number, State::Entering(job));
    }

    /// The slot's job has ended and is to be settled.
    pub(super) fn settle(&self, number: usize, identity: &Identity, claim: &ClaimToken) {
        self.set(number, State::Settling { claim: claim.clone(), may_be_poison: identity.may_be_poison() });
    }

    /// Begins a run. Gives the job back if the run has ended already.
    pub(super) fn begin(
        &self,
        number: usize,
        mut job: Box<Job>,
        start: impl FnOnce(&Slot, &mut Job) -> Started,
    ) -> Option<(Box<Job>, Outcome)> {
        let mut slots = self.slots.borrow_mut();
        let slot = get_mut(&mut slots, number)?;
        if *slot.stop.borrow() != Stop::No {
            slot.stop.send_replace(Stop::No);
        }
        match start(slot, &mut job) {
            Started::Ended(outcome) => Some((job, outcome)),
            Started::Running(run) => {
                slot.owned = run;
                slot.state = State::Running(job);
                None
            }
        }
    }

    /// Whether this claim is the one that the slot runs: what is reported of an earlier run must not end a later one.
    pub(super) fn runs(&self, number: usize, claim: &ClaimToken) -> bool {
        get(&self.slots.borrow(), number).is_some_and(|slot| slot.runs(claim))
    }

    /// A lock of this claim's run is another's: it is not renewed any more. False if no slot runs that claim with it.
    pub(super) fn forgo_lock(&self, claim: &ClaimToken, lock: &LockKey) -> bool {
        let mut slots = self.slots.borrow_mut();
        let mut jobs = slots.iter_mut().filter_map(|slot| match &mut slot.state {
            State::Running(job) if job.claim == *claim => Some(job),
            _ => None,
        });
        let Some(job) = jobs.next() else { return false };
        let held = job.held.len();
        job.held.retain(|held| held.key != *lock);
        job.held.len() < held
    }

    /// Takes the job out of a slot, which is idle then.
    pub(super) fn take(&self, number: usize) -> Taken {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = get_mut(&mut slots, number) else { return Taken::Nothing };
        slot.owned = None;
        match std::mem::replace(&mut slot.state, State::Idle) {
            State::Entering(job) | State::Running(job) => Taken::Job(job, slot.worker.clone()),
            State::Lost(job) => {
                if slot.is_waited_for() {
                    self.ask_manager();
                }
                Taken::Lost(job)
            }
            other => {
                slot.state = other;
                Taken::Nothing
            }
        }
    }

    /// Kills the run of this claim, which was lost. False if the worker has no such run.
    pub(super) fn lose(&self, number: usize, worker: &WorkerName, claim: &ClaimToken) -> Option<LostRun> {
        let mut slots = self.slots.borrow_mut();
        let running = |slot: &&mut Slot| matches!(&slot.state, State::Running(job) if job.claim == *claim);
        let slot = get_mut(&mut slots, number).filter(|slot| slot.worker == *worker).filter(running)?;
        slot.lose();
        let State::Lost(job) = &slot.state else { return None };
        let task = job.task().map(|task| task.name.clone());
        Some(LostRun { task, queue: job.queue.clone(), job: job.info.clone(), began: job.began })
    }

    /// All claims are lost. A lane that waits for a reply learns so from the reply.
    pub(super) fn lose_all(&self) {
        self.slots.borrow_mut().iter_mut().for_each(Slot::lose);
    }

    /// Nothing will be written for this lane any more: its slots without a run are idle.
    pub(super) fn forget(&self, lane: usize) {
        let mut slots = self.slots.borrow_mut();
        for slot in slots.iter_mut().filter(|slot| slot.lane() == lane) {
            if !matches!(slot.state, State::Running(_) | State::Lost(_)) {
                slot.state = State::Idle;
            }
        }
    }

    /// Tells every run to stop.
    pub(super) fn stop_all(&self, how: Stop) {
        for slot in self.slots.borrow().iter() {
            if matches!(slot.state, State::Running(_) | State::Lost(_)) {
                slot.stop(how);
            }
        }
    }

    /// Kills those of these runs that have not ended; later runs in the same slots go on.
    pub(super) fn kill(&self, runs: &[(usize, ClaimToken)]) {
        for slot in self.slots.borrow().iter() {
            if let State::Running(job) = &slot.state
                && runs.iter().any(|(number, claim)| *number == slot.number && *claim == job.claim)
            {
                slot.stop(Stop::Kill);
            }
        }
    }

    /// Somebody cancels the run of this claim: it is asked to end. Its slot if no one did so before.
    pub(super) fn cancel(&self, claim: &ClaimToken, by: &str) -> Option<usize> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.iter_mut().find(|slot| slot.runs(claim))?;
        let State::Running(job) = &mut slot.state else { return None };
        if job.cancelled_by.is_some() {
            return None;
        }
        job.cancelled_by = Some(Arc::from(by));
        slot.stop(Stop::Terminate);
        Some(slot.number)
    }

    /// Whether any slot has this claim. It has it until the store has taken the end of the run.
    pub(super) fn holds(&self, claim: &ClaimToken) -> bool {
        self.any(|slot| match slot.state() {
            State::Entering(job) | State::Running(job) | State::Lost(job) => job.claim == *claim,
            State::Settling { claim: settling, .. } => settling == claim,
            State::Idle | State::Claiming => false,
        })
    }

    /// A limit of this run has passed: it is asked to end, and `watch` says until when it may take; if it was asked
    /// before, it is killed.
    pub(super) fn limit_passed(&self, number: usize, claim: &ClaimToken, watch: impl FnOnce() -> Limit) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = get_mut(&mut slots, number) else { return };
        let (State::Running(job) | State::Lost(job)) = &mut slot.state else { return };
        let Some(limit) = job.limit.filter(|_| job.claim == *claim) else { return };
        if limit.over {
            return slot.stop(Stop::Kill);
        }
        job.limit = Some(Limit { over: true, ..watch() });
        slot.stop(Stop::Terminate);
    }

    /// Marks so many slots as to leave that can best be spared: idle ones before busy ones, the highest numbers first. A
    /// claim in flight counts as busy, because it may bring a job.
    pub(super) fn retire(&self, count: usize) {
        let mut slots = self.slots.borrow_mut();
        for _ in 0..count {
            let staying = slots.iter_mut().filter(|slot| !slot.retiring);
            if let Some(slot) = staying.max_by_key(|slot| (slot.is_idle(), slot.number)) {
                slot.retiring = true;
            }
        }
    }

    /// Takes out the slots that are to leave and are idle; returns their workers.
    pub(super) fn take_retired(&self) -> Vec<WorkerName> {
        let mut slots = self.slots.borrow_mut();
        slots.extract_if(.., |slot| slot.retiring && slot.is_idle()).map(|slot| slot.worker).collect()
    }

    /// A reload may have given the processors other names.
    pub(super) fn compare_names(&self, record: &InstanceRecord) {
        for slot in self.slots.borrow_mut().iter_mut() {
            slot.stale = slot.nameless || slot.worker != record.worker(slot.number);
        }
    }

    /// Takes their names from idle processors that are to have other ones.
    pub(super) fn unname(&self, record: &InstanceRecord) -> Vec<Renaming> {
        let mut slots = self.slots.borrow_mut();
        let idle = slots.iter_mut().filter(|slot| slot.stale && !slot.retiring && slot.is_idle());
        let unname = |slot: &mut Slot| {
            slot.nameless = true;
            Renaming { number: slot.number, old: slot.worker.clone(), new: record.worker(slot.number) }
        };
        idle.map(unname).collect()
    }

    /// Gives a processor the name under which it is registered now. If another reload came in between, it is to have yet
    /// another.
    pub(super) fn name(&self, number: usize, worker: &WorkerName, record: &InstanceRecord) {
        if let Some(slot) = get_mut(&mut self.slots.borrow_mut(), number) {
            slot.worker = worker.clone();
            slot.stale = *worker != record.worker(number);
            slot.nameless = slot.stale;
        }
    }

    /// Shows each slot in order.
    pub(super) fn each(&self, see: impl FnMut(&Slot)) {
        self.slots.borrow().iter().for_each(see);
    }

    /// Whether any slot is like this.
    pub(super) fn any(&self, is: impl FnMut(&Slot) -> bool) -> bool {
        self.slots.borrow().iter().any(is)
    }

    /// The runs at present.
    pub(super) fn running(&self) -> Vec<(usize, ClaimToken)> {
        let run = |slot: &Slot| match &slot.state {
            State::Running(job) => Some((slot.number, job.claim.clone())),
            _ => None,
        };
        self.slots.borrow().iter().filter_map(run).collect()
    }

    /// The lowest numbers that are free.
    pub(super) fn free_numbers(&self, count: usize) -> Vec<usize> {
        let slots = self.slots.borrow();
        (1..).filter(|number| slots.iter().all(|slot| slot.number != *number)).take(count).collect()
    }

    /// (processors, busy), without those that are to leave.
    pub(super) fn census(&self) -> (usize, usize) {
        let slots = self.slots.borrow();
        let staying = slots.iter().filter(|slot| !slot.retiring);
        staying.fold((0, 0), |(all, busy), slot| (all + 1, busy + usize::from(slot.is_busy())))
    }

    /// How many hold a job or wait for one.
    pub(super) fn held(&self) -> usize {
        let holds = |slot: &&Slot| !matches!(slot.state, State::Idle | State::Settling { .. });
        self.slots.borrow().iter().filter(holds).count()
    }

    /// How many slots of each lane wait for a job.
    pub(super) fn idle(&self) -> [usize; LANES] {
        let mut idle = [0; LANES];
        self.each(|slot| idle[slot.lane()] += usize::from(slot.is_idle() && !slot.retiring));
        idle
    }

    /// Whether no slot of this lane holds a job or waits for a reply.
    pub(super) fn is_quiet(&self, lane: usize) -> bool {
        self.slots.borrow().iter().filter(|slot| slot.lane() == lane).all(Slot::is_idle)
    }

    /// The manager is to look at the slots and at the bounds.
    pub(super) fn ask_manager(&self) {
        self.manager_wanted.notify_one();
    }

    /// Waits until the manager is to look.
    pub(super) async fn manager_asked(&self) {
        self.manager_wanted.notified().await;
    }

    fn set(&self, number: usize, state: State) {
        if let Some(slot) = get_mut(&mut self.slots.borrow_mut(), number) {
            slot.state = state;
        }
    }
}

fn get(slots: &[Slot], number: usize) -> Option<&Slot> {
    let at = slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
    slots.get(at)
}

fn get_mut(slots: &mut [Slot], number: usize) -> Option<&mut Slot> {
    let at = slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
    slots.get_mut(at)
}

#[cfg(test)]
mod tests;
