//! The arrows as methods, for short tests: `store.lead(which, "one", 60_000)`.
//!
//! Arguments are borrowed here and cloned into the arrow. A new arrow needs no line: a test can always write
//! `store.run(Arrow { .. })`.

use bytes::Bytes;
use windlass::job::{Identity, LockKey, QueueName, TaskName, WorkerName};
use windlass::store::arrow::Arrow;
use windlass::store::delayed::{DelayedCursor, DelayedSeconds, DeleteDelayed, ScheduledAt};
use windlass::store::effect::Admission;
use windlass::store::failed_part::{FailedSide, ReadFailed};
use windlass::store::inspection::{
    ClearFailed, DeleteEach, DeleteJobs, DeleteLock, DeleteQueue, FailedCount, FailedJob, JobsToDelete, LockPlace,
    Locks, Pause, QueueEnd, Queues, ReadPaused, ReadStats, RemoveFailed, Resume, RetryFailed,
};
use windlass::store::instance::{
    Bury, Extend, InstanceRecord, InstanceState, Instances, Join, Leave, Oversee, Register, Unregister,
};
use windlass::store::jobs_part::{DelayedAt, Queued};
use windlass::store::moving::{Batch, BatchId, LetGo, SetAside, TakeIn, TakeInTarget, Target};
use windlass::store::periodic::{Periodic, Reconcile, Stop, Withdraw};
use windlass::store::queueing::{Enqueue, EnqueueBatch, QueueNames, Schedule, ScheduleBatch};
use windlass::store::role::Whole;
use windlass::store::runs::{ReadRuns, RunList};
use windlass::store::scheduling::{Fire, LastFired, Lead, Leader, Leadership, Promotion, ReadDue, Resign};
use windlass::store::workers::{ForceClean, PingOf, Recovery, RegisteredWorkers, SweepIdentities, WorkerLock, Working};
use windlass::store::working::WorkingRecord;
use windlass::store::{Store, StoreError};

macro_rules! verbs {
    ($($verb:ident($($argument:ident: $type:ty),*) -> $arrow:ident $value:expr;)+) => {
        #[allow(dead_code, reason = "no test program uses all")]
        pub(crate) trait Verbs {
            $(
                fn $verb(
                    &self $(, $argument: $type)*
                ) -> impl Future<Output = Result<<$arrow as Arrow>::Reply, StoreError>> + Send;
            )+

            /// All jobs at these positions of a queue, however many parts they are read in.
            fn queued(
                &self, queue: &QueueName, start: i64, stop: i64
            ) -> impl Future<Output = Result<Vec<Bytes>, StoreError>> + Send;

            /// The same for a delayed second.
            fn delayed_at(
                &self, second: i64, start: i64, stop: i64
            ) -> impl Future<Output = Result<Vec<Bytes>, StoreError>> + Send;

            /// The failure records at these positions, which count from the end if they are negative.
            fn failed(&self, start: i64, stop: i64) -> impl Future<Output = Result<Vec<Bytes>, StoreError>> + Send;
        }

        impl Verbs for Store<Whole> {
            $(
                fn $verb(
                    &self $(, $argument: $type)*
                ) -> impl Future<Output = Result<<$arrow as Arrow>::Reply, StoreError>> + Send {
                    let arrow: $arrow = $value;
                    self.run(arrow)
                }
            )+

            async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
                let (mut jobs, mut next) = (Vec::new(), Some(start));
                while let Some(start) = next {
                    let part = self.run(Queued { queue: queue.clone(), start, stop }).await?;
                    jobs.extend(part.jobs);
                    next = part.rest;
                }
                Ok(jobs)
            }

            async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
                let (mut jobs, mut next) = (Vec::new(), Some(start));
                while let Some(start) = next {
                    let part = self.run(DelayedAt { second, start, stop }).await?;
                    jobs.extend(part.jobs);
                    next = part.rest;
                }
                Ok(jobs)
            }

            async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
                let count = i64::try_from(self.run(FailedCount).await?).unwrap_or(i64::MAX);
                let from_end = |at: i64| if at < 0 { at.saturating_add(count) } else { at };
                let (mut next, stop) = (from_end(start).max(0), from_end(stop));
                let mut records = Vec::new();
                while next <= stop {
                    let most = usize::try_from((stop - next).saturating_add(1)).unwrap_or(usize::MAX);
                    let part = self.run(ReadFailed { side: FailedSide::From(next), most }).await?.records;
                    if part.is_empty() {
                        break;
                    }
                    next += i64::try_from(part.len()).unwrap_or(i64::MAX);
                    records.extend(part);
                }
                Ok(records)
            }
        }
    };
}

verbs! {
    enqueue(jobs: &[Enqueue]) -> EnqueueBatch EnqueueBatch { jobs: jobs.to_vec() };
    schedule(jobs: &[Schedule]) -> ScheduleBatch ScheduleBatch { jobs: jobs.to_vec(), mark: None, known: None };
    queue_names() -> QueueNames QueueNames { limit: usize::MAX };
    join(record: &InstanceRecord) -> Join Join { record: record.clone() };
    register(instance: &str, workers: &[WorkerName]) -> Register
        Register { instance: instance.to_owned(), workers: workers.to_vec() };
    unregister(instance: &str, workers: &[WorkerName]) -> Unregister
        Unregister { instance: instance.to_owned(), workers: workers.to_vec() };
    extend(extend: &Extend) -> Extend extend.clone();
    leave(record: &InstanceRecord) -> Leave Leave { record: record.clone(), ran: Vec::new() };
    due(limit: usize, passed: &[Bytes]) -> ReadDue ReadDue { limit, passed: passed.to_vec(), ahead_ms: 0, begun: false };
    promote(promotion: &Promotion) -> Promotion promotion.clone();
    lead(which: Leadership, owner: &str, ttl_ms: u64) -> Lead Lead { which, owner: owner.to_owned(), ttl_ms };
    resign(which: Leadership, owner: &str) -> Resign Resign { which, owner: owner.to_owned() };
    leader(which: Leadership) -> Leader Leader { which };
    oversee(owner: &str, ttl_ms: u64) -> Oversee Oversee { owner: owner.to_owned(), ttl_ms, alone: None, also: None };
    instances() -> Instances Instances;
    bury(dead: &InstanceState) -> Bury Bury { dead: dead.clone() };
    working(workers: &[WorkerName]) -> Working Working { workers: workers.to_vec() };
    recover(recovery: &Recovery) -> Recovery recovery.clone();
    registered() -> RegisteredWorkers RegisteredWorkers;
    force_clean(worker: &WorkerName, working: Option<&WorkingRecord>, record: Option<&Bytes>, free: &[WorkerLock])
        -> ForceClean
        ForceClean {
            worker: worker.clone(), working: working.cloned(), record: record.cloned(), free: free.to_vec(), run: None
        };
    ping_of(name: &str) -> PingOf PingOf { name: name.to_owned() };
    periodic(job_locks: &[LockKey]) -> Periodic Periodic { job_locks: job_locks.to_vec(), tasks: Vec::new() };
    reconcile(reconcile: &Reconcile) -> Reconcile reconcile.clone();
    withdraw(task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Withdraw
        Withdraw { task: task.clone(), queue: queue.clone(), forms: forms.to_vec(), locks: Vec::new() };
    stop(task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Stop
        Stop { task: task.clone(), queue: queue.clone(), forms: forms.to_vec(), locks: Vec::new() };
    last_fired(ids: &[String]) -> LastFired LastFired { ids: ids.to_vec() };
    fire(fire: &Fire) -> Fire fire.clone();
    queues() -> Queues Queues { limit: usize::MAX, first: Vec::new() };
    delete_jobs(queue: &QueueName, payload: &Bytes, count: i64) -> DeleteJobs
        DeleteJobs { queue: queue.clone(), payload: payload.clone(), count, locks: Vec::new() };
    delete_each(queue: &QueueName, to_delete: &[JobsToDelete], from: QueueEnd) -> DeleteEach
        DeleteEach { queue: queue.clone(), to_delete: to_delete.to_vec(), from };
    delete_queue(queue: &QueueName) -> DeleteQueue DeleteQueue { queue: queue.clone(), most: u64::MAX };
    pause(queue: Option<&QueueName>) -> Pause Pause { queue: queue.cloned() };
    resume(queue: Option<&QueueName>) -> Resume Resume { queue: queue.cloned() };
    paused() -> ReadPaused ReadPaused;
    failed_count() -> FailedCount FailedCount;
    remove_failed(record: &Bytes) -> RemoveFailed RemoveFailed { records: vec![record.into()] };
    clear_failed() -> ClearFailed ClearFailed;
    retry_failed(
        record: &Bytes, queue: &QueueName, payload: &Bytes, admissions: &[Admission], identity: Option<&Identity>
    ) -> RetryFailed
        RetryFailed {
            jobs: vec![FailedJob {
                failed: record.into(),
                queue: queue.clone(),
                payload: payload.clone(),
                admissions: admissions.to_vec(),
                identity: identity.cloned(),
                mended: None,
            }],
        };
    sweep_identities(cursor: u64) -> SweepIdentities SweepIdentities { cursor };
    read_runs(lists: &[RunList], last: usize) -> ReadRuns ReadRuns { lists: lists.to_vec(), last };
    stats() -> ReadStats ReadStats { limit: usize::MAX };
    delayed_seconds(from: DelayedCursor, limit: usize) -> DelayedSeconds DelayedSeconds { from, limit };
    scheduled_at(payload: &Bytes) -> ScheduledAt ScheduledAt { payload: payload.clone() };
    delete_delayed(payload: &Bytes) -> DeleteDelayed DeleteDelayed { payload: payload.clone() };
    locks() -> Locks Locks { from: LockPlace::default(), limit: usize::MAX, keys: usize::MAX };
    delete_lock(key: &str) -> DeleteLock DeleteLock { key: key.to_owned(), verbatim: false };
    set_aside(limit: usize) -> SetAside
        SetAside { limit, target: Target { id: "there".to_owned(), address: "sqlite:there.db".to_owned() } };
    take_in(batch: &Batch, targets: &[TakeInTarget]) -> TakeIn
        TakeIn { batch: batch.clone(), targets: targets.to_vec() };
    let_go(id: &BatchId) -> LetGo LetGo { id: id.clone() };
}
