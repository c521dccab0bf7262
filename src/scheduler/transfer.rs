//! One step of promotion: moves the jobs that are due first, each to its place.
//!
//! A job whose queue does not take it is put off, longer with each try. After three tries the jobs of that queue go to
//! the failed list, until the queue takes one again. An entry of the schedule whose jobs cannot be read is skipped;
//! after three tries it is recorded on the failed list and removed from the schedule. So a broken queue or entry delays
//! only itself.
//!
//! Longer than 400 lines because every way in which a step can end is read beside what it leaves for the next.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::SchedulerContext;
use super::begun::queue_without_lock;
use super::failures::FailureTracker;
use crate::event::kind::JobInfo;
use crate::event::{Event, EventKind};
use crate::job::{Args, Failure, LockKey, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::StoreError;
use crate::store::scheduling::{
    Broken, DropEntry, Due, LongDue, Promote, PromoteTo, Promoted, Promotion, ReadDue, RubyLeader, entry_of,
};
use crate::text::clean::named;

/// The most jobs moved in one step. With this number a step was measured to take less than 5 ms of Redis' time.
const BATCH: usize = 250;
/// Jobs that became due less than so long ago are no backlog: nothing else waits behind them.
const IN_TIME_MS: i64 = 2_000;
/// A step that is this much too early is sent again instead of a look.
const SOON: Duration = Duration::from_millis(200);
/// How often a queue or an entry is tried before its jobs go to the failed list.
const MAX_TRIES: u32 = 3;
/// How many entries are left for later at most.
const MOST_LATER: usize = 100;
/// If more entries in a row cannot be moved at all, the store is at fault and not the entries.
const MAX_STUCK_ENTRIES: usize = 8;

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// Nothing is due that could be moved now.
    Nothing {
        /// When to try again, in milliseconds of the store's time; `None` if nothing is delayed.
        next_ms: Option<i64>,
    },
    /// Jobs were moved, or a failure was noted. More may be due.
    Moved,
    /// Jobs that had just become due were moved, all that were read. What else is due the next look shows.
    InTime,
    /// Jobs were due, but were gone before they could be moved: another instance promotes.
    Futile,
    /// Another instance leads.
    NotLeader,
    /// A leader of resque-scheduler may be moving the jobs.
    RubyLeads,
    /// Jobs that were read ahead came before their time, by the store's.
    Early {
        /// When they are due, in milliseconds of the store's time.
        due_ms: i64,
    },
}

/// The failures of queues and entries, and the state between steps.
#[derive(Debug, Default)]
pub struct Transfer {
    queues: FailureTracker<QueueName>,
    entries: FailureTracker<Bytes>,
    /// How many jobs are moved one at a time, because one of them made a batch fail.
    singly: usize,
    /// How many entries in a row could not be moved.
    stuck_entries: usize,
    /// The second that was reported last.
    told_second: Option<i64>,
    /// The store's time at the last step.
    now_ms: i64,
    /// What came before its time, to be sent again.
    early: Option<Promotion>,
    /// Entries whose first job must be read whole, with the leader of resque-scheduler that moves nothing: that may take long, so
    /// that all others come first.
    later: Vec<(Bytes, Option<RubyLeader>)>,
}

impl Transfer {
    /// Is an entry skipped? Then the first entry of the schedule does not tell when the next job can be moved.
    #[must_use]
    pub fn skips_entries(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The first entry that is not skipped, without its jobs.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn first(&self, context: &SchedulerContext) -> Result<Due, StoreError> {
        context.store.run(ReadDue { limit: 0, passed: self.passed(), ahead_ms: 0, begun: true }).await
    }

    /// When the next job or try is due, in milliseconds of the store's time.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn next_ms(&self, context: &SchedulerContext) -> Result<Option<i64>, StoreError> {
        let first = self.first(context).await?.due_s.map(|second| second.saturating_mul(1000));
        Ok(first.into_iter().chain(self.entries.next_ms()).min())
    }

    /// Is this moment of the store's time so close that the last step came too early for it?
    #[must_use]
    pub fn is_soon(&self, next_ms: i64) -> bool {
        self.until(next_ms) < SOON
    }

    /// How long after the last step this moment of the store's time is.
    #[must_use]
    pub fn until(&self, next_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(next_ms.saturating_sub(self.now_ms)).unwrap_or(0))
    }

    fn passed(&self) -> Vec<Bytes> {
        self.entries.waiting(self.now_ms).cloned().collect()
    }

    /// Moves the first batch of due jobs. `leader` is the name under which the caller leads; with `None` the jobs are
    /// moved no matter who leads.
    ///
    /// # Errors
    /// Fails when the store cannot be reached, or accepts nothing at all.
    pub async fn step(&mut self, context: &SchedulerContext, leader: Option<&str>) -> Result<StepOutcome, StoreError> {
        let due = self.read(context, 0).await?;
        self.step_with(context, leader, None, due).await
    }

    /// Reads the first batch of jobs that are due, or will be within so many milliseconds.
    pub(super) async fn read(&self, context: &SchedulerContext, ahead_ms: u64) -> Result<Due, StoreError> {
        let limit = if self.singly > 0 { 1 } else { BATCH };
        let passed = self.passed().into_iter().chain(self.later.iter().map(|(entry, _)| entry.clone())).collect();
        context.store.run(ReadDue { limit, passed, ahead_ms, begun: true }).await
    }

    /// Moves a batch that was read, be it ahead of its time. `ruby` is a leader of resque-scheduler that moves nothing.
    pub(super) async fn step_with(
        &mut self,
        context: &SchedulerContext,
        leader: Option<&str>,
        ruby: Option<RubyLeader>,
        due: Due,
    ) -> Result<StepOutcome, StoreError> {
        self.now_ms = due.now_ms;
        if let (Some(broken), Some(entry)) = (&due.broken, due.entry()) {
            self.entry_unreadable(context, &entry, broken).await?;
            return Ok(StepOutcome::Moved);
        }
        let Some(second) = due.second.filter(|_| due.is_due() || due.is_ahead()) else {
            self.singly = 0;
            if let Some((_, ruby)) = self.later.pop() {
                return self.step_with_the_first(context, leader, ruby).await;
            }
            let next_ms = due.due_s.map(|second| second.saturating_mul(1000));
            return Ok(StepOutcome::Nothing { next_ms: next_ms.into_iter().chain(self.entries.next_ms()).min() });
        };
        if self.told_second != Some(second) && context.bus.wants(EventKind::WorkingTimestamp) {
            context.bus.emit(Event::WorkingTimestamp { second });
        }
        self.told_second = Some(second);
        let has_jobs = !due.jobs.is_empty();
        // What was read ahead is moved when it is due.
        self.now_ms = self.now_ms.max(second.saturating_mul(1000));
        let jobs = self.route_all(context, due);
        if jobs.is_empty() && has_jobs {
            if self.later.len() >= MOST_LATER {
                return self.step_with_the_first(context, leader, ruby).await;
            }
            self.later.push((entry_of(second), ruby));
            return Ok(StepOutcome::Moved);
        }
        self.singly = self.singly.saturating_sub(jobs.len());
        self.send(context, Promotion { leader: leader.map(str::to_owned), ruby, second, jobs }).await
    }

    /// Sends what came before its time once more.
    pub(super) async fn send_again(&mut self, context: &SchedulerContext) -> Result<StepOutcome, StoreError> {
        match self.early.take() {
            Some(promotion) => self.send(context, promotion).await,
            None => Ok(StepOutcome::Moved),
        }
    }

    async fn send(&mut self, context: &SchedulerContext, promotion: Promotion) -> Result<StepOutcome, StoreError> {
        let second = promotion.second;
        match context.store.run(promotion.clone()).await {
            Ok(Promoted::NotLeader) => Ok(StepOutcome::NotLeader),
            Ok(Promoted::RubyLeads) => Ok(StepOutcome::RubyLeads),
            Ok(Promoted::Early { now_ms }) => {
                self.now_ms = now_ms;
                self.early = Some(promotion);
                Ok(StepOutcome::Early { due_ms: second.saturating_mul(1000) })
            }
            Ok(Promoted::Moved(moved)) => {
                self.moved(context, &promotion, moved);
                let jobs = promotion.jobs.len();
                Ok(if moved == 0 && jobs > 0 {
                    StepOutcome::Futile
                } else if self.later.is_empty()
                    && moved == jobs
                    && self.now_ms.saturating_sub(second.saturating_mul(1000)) < IN_TIME_MS
                {
                    StepOutcome::InTime
                } else {
                    StepOutcome::Moved
                })
            }
            Ok(Promoted::Refused { moved, by }) => {
                self.moved(context, &promotion, moved);
                if let Some(PromoteTo::Queue { queue, .. }) = promotion.jobs.get(moved).map(|job| &job.to) {
                    self.queue_refused(context, queue, &format!("failed to use {by}"));
                }
                Ok(StepOutcome::Moved)
            }
            // The batch failed because of one of its jobs. Moving them one at a time shows which one.
            Err(StoreError::Unsupported(_) | StoreError::Barred { .. } | StoreError::Misuse(_))
                if promotion.jobs.len() > 1 =>
            {
                self.singly = promotion.jobs.len();
                Ok(StepOutcome::Moved)
            }
            Err(error @ (StoreError::Unsupported(_) | StoreError::Barred { .. } | StoreError::Misuse(_))) => {
                match promotion.jobs.first().map(|job| &job.to) {
                    Some(PromoteTo::Queue { queue, .. }) => {
                        self.queue_refused(context, queue, &format!("failed to {error}"));
                    }
                    _ => self.entry_stuck(context, &entry_of(second), error)?,
                }
                Ok(StepOutcome::Moved)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the first job that is due whole, however long that takes, and moves it.
    async fn step_with_the_first(
        &mut self,
        context: &SchedulerContext,
        leader: Option<&str>,
        ruby: Option<RubyLeader>,
    ) -> Result<StepOutcome, StoreError> {
        let due =
            context.store.run(ReadDue { limit: 1, passed: self.passed(), ahead_ms: 0, begun: false }).boxed().await?;
        // It was read ahead and is not due yet, or another instance moved it.
        let Some(second) = due.second.filter(|_| due.is_due() && !due.jobs.is_empty()) else {
            return Ok(StepOutcome::Moved);
        };
        let jobs = self.route_all(context, due);
        self.send(context, Promotion { leader: leader.map(str::to_owned), ruby, second, jobs }).await
    }

    /// The targets of due jobs, up to the first that must be read whole.
    fn route_all(&self, context: &SchedulerContext, due: Due) -> Vec<Promote> {
        let Due { jobs, mut long, .. } = due;
        let route = |(index, payload)| match long.remove(&index) {
            None => Some(self.route(context, payload)),
            Some(long) => self.route_begun(context, payload, long),
        };
        jobs.into_iter().enumerate().map_while(route).collect()
    }

    /// The target of a long job, if its beginning and its end tell it. Whether what lies between is a job is seen when it is
    /// claimed, as with any job in a queue.
    fn route_begun(&self, context: &SchedulerContext, payload: Bytes, long: LongDue) -> Option<Promote> {
        let queue = queue_without_lock(&context.registry(), &payload, &long.end)?;
        let to = match self.queues.waits(&queue, self.now_ms) {
            None => PromoteTo::Queue { queue, lock: None },
            Some((tries, wait_ms, _)) if tries < MAX_TRIES => {
                PromoteTo::Later { wait_ms: u64::try_from(wait_ms).unwrap_or(1).max(1) }
            }
            // Its failure record holds all of it.
            Some(_) => return None,
        };
        Some(Promote { payload, long: Some(long), to })
    }

    /// The target of a due job. No plugin is asked here; an invalid job goes to the failed list, byte for byte.
    fn route(&self, context: &SchedulerContext, payload: Bytes) -> Promote {
        let to = match PayloadView::parse(&payload) {
            Ok(view) => match view.queue.as_deref().map(QueueName::new) {
                Some(Ok(queue)) => self.to_queue(context, &view, queue, &payload),
                Some(Err(_)) | None => {
                    let why = "the delayed job names no queue; say which with \"windlass failed retry ID --queue Q\"";
                    fail_and_tell(context, "", &payload, why.to_owned())
                }
            },
            Err(bad) => fail_and_tell(context, "", &payload, bad.to_string()),
        };
        Promote { payload, long: None, to }
    }

    fn to_queue(
        &self,
        context: &SchedulerContext,
        view: &PayloadView<'_>,
        queue: QueueName,
        payload: &Bytes,
    ) -> PromoteTo {
        match self.queues.waits(&queue, self.now_ms) {
            None => {
                let lock = queue_lock(context, view, &queue);
                PromoteTo::Queue { queue, lock }
            }
            Some((tries, wait_ms, _)) if tries < MAX_TRIES => {
                PromoteTo::Later { wait_ms: u64::try_from(wait_ms).unwrap_or(1).max(1) }
            }
            Some((tries, _, why)) => {
                let why = format!("its queue takes no jobs, tried {tries} times: {why}");
                // The queue was reported. A line for each of its jobs would hide that report.
                fail(context, queue.as_str(), payload, why)
            }
        }
    }

    /// The first `moved` jobs of a batch were moved, so their queues work again.
    fn moved(&mut self, context: &SchedulerContext, promotion: &Promotion, moved: usize) {
        let bus = &context.bus;
        if moved > 0 {
            self.stuck_entries = 0;
            self.entries.worked(&entry_of(promotion.second));
        }
        let wants = bus.wants(EventKind::TransferredJob);
        for job in promotion.jobs.iter().take(moved) {
            let PromoteTo::Queue { queue, .. } = &job.to else { continue };
            if self.queues.worked(queue) {
                bus.emit(Event::Notice { text: format!("queue {queue} takes due jobs again", queue = named(&queue)) });
            }
            if wants {
                bus.emit(Event::TransferredJob { second: promotion.second, payload: JobInfo::args_of(&job.payload) });
            }
        }
    }

    /// Notes that a queue did not take a job.
    fn queue_refused(&mut self, context: &SchedulerContext, queue: &QueueName, why: &str) {
        if self.queues.failed(queue, self.now_ms, why) {
            let error = format!(
                "due jobs cannot go to queue {queue}: {why}; they are put off, and after {MAX_TRIES} tries go to \
                 the failed list. When that is mended, run `windlass failed retry --all`",
                queue = named(&queue)
            );
            context.bus.emit(Event::InternalError { error });
        }
    }

    /// Notes that the jobs of an entry cannot be read, and drops the entry after the last try.
    async fn entry_unreadable(
        &mut self,
        context: &SchedulerContext,
        entry: &Bytes,
        broken: &Broken,
    ) -> Result<(), StoreError> {
        let SchedulerContext { store, bus, clock, name, .. } = context;
        let called = String::from_utf8_lossy(entry);
        if self.entries.failed(entry, self.now_ms, &broken.to_string()) {
            let error = format!(
                "delayed jobs due at {called} cannot be read: {broken}; they are skipped, and after {MAX_TRIES} tries \
                 the time is removed from the schedule",
            );
            bus.emit(Event::InternalError { error });
        }
        if self.entries.tries(entry) >= MAX_TRIES {
            let why = format!("delayed jobs due at {called} could not be read: {broken}; the key was left as it is");
            let record = Failure::new("Error", why).record(name, "", entry, clock.now_ms());
            if store.run(DropEntry { entry: entry.clone(), record }).await? {
                self.entries.worked(entry);
                context.lost.notify_one();
            }
        }
        Ok(())
    }

    /// Notes that a job of an entry cannot be moved, not even to the failed list. The entry is skipped for a while.
    fn entry_stuck(&mut self, context: &SchedulerContext, entry: &Bytes, error: StoreError) -> Result<(), StoreError> {
        self.stuck_entries += 1;
        if self.stuck_entries > MAX_STUCK_ENTRIES {
            return Err(error);
        }
        if self.entries.failed(entry, self.now_ms, &error.to_string()) {
            let called = String::from_utf8_lossy(entry);
            let error = format!("delayed jobs due at {called} cannot be moved: failed to {error}; trying again later");
            context.bus.emit(Event::InternalError { error });
        }
        Ok(())
    }
}

/// Sends a job to the failed list, and reports it.
fn fail_and_tell(context: &SchedulerContext, queue: &str, payload: &Bytes, why: String) -> PromoteTo {
    context.bus.emit(Event::Warning { text: format!("a due job goes to the failed list: {why}") });
    fail(context, queue, payload, why)
}

fn fail(context: &SchedulerContext, queue: &str, payload: &Bytes, why: String) -> PromoteTo {
    let SchedulerContext { name, clock, .. } = context;
    PromoteTo::Failed { record: Failure::new("Error", why).record(name, queue, payload, clock.now_ms()) }
}

fn queue_lock(context: &SchedulerContext, view: &PayloadView<'_>, queue: &QueueName) -> Option<(LockKey, u64)> {
    let registry = context.registry();
    Chain::of(registry.get(&view.class)?).queue_lock(queue, &Args::of(view).ok()?)
}
