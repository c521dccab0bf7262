//! The engine's table of contents: each method of the contract is one command, and names the
//! function that runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::commit::{Handle, Role, Step, spawn};
use super::connection::{self, Options};
use super::wake::{Bell, SqliteWaker};
use super::{delayed, enqueue, exchange, inspect, leader, lease, moving, pause, periodic, recover, schedules, wake};
use crate::clock::Clock;
use crate::job::{LockKey, QueueName, TaskName, WorkerName};
use crate::store::effect::Admission;
use crate::store::engine::Store;
use crate::store::error::StoreError;
use crate::store::inspection::{
    DelayedSecond, Doomed, HeldLock, Inspection, Paused, QueueEnd, QueueLength, Retried, Stats,
};
use crate::store::instance::{Extend, Extended, InstanceRecord, InstanceState, Joined};
use crate::store::moving::{Batch, Landing, Moving};
use crate::store::queueing::{Enqueue, Enqueued, Exchange, Exchanged, Lane, Queueing, Schedule, Scheduled};
use crate::store::scheduling::{
    Due, Fire, Fired, Leadership, PeriodicEntry, Promoted, Promotion, Reconcile, Reconciled, Recovered, Recovery,
    Registered, Scheduling,
};
use crate::store::wake::Waker;
use crate::store::working::WorkingRecord;

/// A store in one SQLite file. Other processes may use the same file at the same time.
pub struct SqliteStore {
    path: PathBuf,
    sockets: PathBuf,
    writer: Handle,
    reader: Handle,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a file, and creates it if need be; its directory must be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] names a path that cannot be used, [`StoreError::Unsupported`] a
    /// file that is no database, of another program or of a newer version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(path, clock, Options::default())
    }

    /// Opens a file with choices of its own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        let path = connection::canonical(path)?;
        let sockets = wake::directory(&path);
        let writer = connection::writer(&path, options)?;
        let reader = connection::reader(&path)?;
        Ok(Self {
            writer: spawn(writer, clock.clone(), Role::Writer(Bell::new(sockets.clone())))?,
            reader: spawn(reader, clock, Role::Reader)?,
            sockets,
            path,
        })
    }
}

/// A lane of an instance.
struct SqliteLane {
    writer: Handle,
    instance: Arc<str>,
    lane: u8,
}

#[async_trait]
impl Lane for SqliteLane {
    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        let (instance, lane, exchange) = (Arc::clone(&self.instance), self.lane, exchange.clone());
        self.writer.call(move |step| exchange::exchange(step, &instance, lane, &exchange)).await
    }
}

impl Store for SqliteStore {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

#[async_trait]
impl Queueing for SqliteStore {
    async fn enqueue(&self, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
        let jobs = jobs.to_vec();
        self.writer.call(move |step| enqueue::enqueue(step, &jobs)).await
    }

    async fn schedule(&self, jobs: &[Schedule]) -> Result<Vec<Scheduled>, StoreError> {
        let jobs = jobs.to_vec();
        self.writer.call(move |step| delayed::schedule(step, &jobs)).await
    }

    async fn lane(&self, instance: &str, lane: u8) -> Result<Box<dyn Lane>, StoreError> {
        Ok(Box::new(SqliteLane { writer: self.writer.clone(), instance: Arc::from(instance), lane }))
    }

    async fn waker(&self) -> Result<Box<dyn Waker>, StoreError> {
        Ok(Box::new(SqliteWaker::open(self.reader.clone(), &self.sockets)))
    }

    async fn join(&self, record: &InstanceRecord) -> Result<Joined, StoreError> {
        let record = record.clone();
        self.writer.call(move |step| lease::join(step, &record)).await
    }

    async fn register(&self, instance: &str, workers: &[WorkerName]) -> Result<Vec<WorkingRecord>, StoreError> {
        let (instance, workers) = (instance.to_owned(), workers.to_vec());
        self.writer.call(move |step| lease::register(step, &instance, &workers)).await
    }

    async fn unregister(&self, instance: &str, workers: &[WorkerName]) -> Result<(), StoreError> {
        let (instance, workers) = (instance.to_owned(), workers.to_vec());
        self.writer.call(move |step| lease::unregister(step, &instance, &workers)).await
    }

    async fn extend(&self, extend: &Extend) -> Result<Extended, StoreError> {
        let extend = extend.clone();
        self.writer.call(move |step| lease::extend(step, &extend)).await
    }

    async fn leave(&self, record: &InstanceRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.writer.call(move |step| lease::leave(step, &record)).await
    }

    async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        self.reader.call(inspect::queue_names).await
    }
}

#[async_trait]
impl Scheduling for SqliteStore {
    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.reader.call(move |step| delayed::due(step, limit)).await
    }

    async fn promote(&self, promotion: &Promotion) -> Result<Promoted, StoreError> {
        let promotion = promotion.clone();
        self.writer.call(move |step| delayed::promote(step, &promotion)).await
    }

    async fn lead(&self, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
        let owner = owner.to_owned();
        self.writer.call(move |step| leader::lead(step, which, &owner, ttl_ms)).await
    }

    async fn resign(&self, which: Leadership, owner: &str) -> Result<(), StoreError> {
        let owner = owner.to_owned();
        self.writer.call(move |step| leader::resign(step, which, &owner)).await
    }

    async fn instances(&self) -> Result<Vec<InstanceState>, StoreError> {
        self.reader.call(lease::instances).await
    }

    async fn working(&self, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        let workers = workers.to_vec();
        self.reader.call(move |step| recover::working(step, &workers)).await
    }

    async fn recover(&self, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let recovery = recovery.clone();
        self.writer.call(move |step| recover::recover(step, &recovery)).await
    }

    async fn bury(&self, dead: &InstanceState) -> Result<bool, StoreError> {
        let dead = dead.clone();
        self.writer.call(move |step| lease::bury(step, &dead)).await
    }

    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.reader.call(lease::registered).await
    }

    async fn force_clean(
        &self,
        worker: &WorkerName,
        working: Option<&WorkingRecord>,
        record: Option<&Bytes>,
        free: &[LockKey],
    ) -> Result<bool, StoreError> {
        let (worker, working, record) = (worker.clone(), working.cloned(), record.cloned());
        let free = free.to_vec();
        let work = move |step: &Step<'_>| recover::force_clean(step, &worker, working.as_ref(), record.as_ref(), &free);
        self.writer.call(work).await
    }

    async fn ping_of(&self, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
        let name = name.to_owned();
        self.reader.call(move |step| lease::ping_of(step, &name)).await
    }

    async fn periodic(&self, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        let job_locks = job_locks.to_vec();
        self.reader.call(move |step| periodic::periodic(step, &job_locks)).await
    }

    async fn reconcile(&self, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
        let reconcile = reconcile.clone();
        self.writer.call(move |step| periodic::reconcile(step, &reconcile)).await
    }

    async fn last_fired(&self, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
        let ids = ids.to_vec();
        self.reader.call(move |step| schedules::last_fired(step, &ids)).await
    }

    async fn fire(&self, fire: &Fire) -> Result<Fired, StoreError> {
        let fire = fire.clone();
        self.writer.call(move |step| schedules::fire(step, &fire)).await
    }

    async fn stop(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<u64, StoreError> {
        let (task, queue, forms) = (task.clone(), queue.clone(), forms.to_vec());
        self.writer.call(move |step| periodic::stop(step, &task, &queue, &forms)).await
    }

    async fn withdraw(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError> {
        let (task, queue, forms) = (task.clone(), queue.clone(), forms.to_vec());
        self.writer.call(move |step| periodic::withdraw(step, &task, &queue, &forms)).await
    }
}

#[async_trait]
impl Inspection for SqliteStore {
    async fn queues(&self) -> Result<Vec<QueueLength>, StoreError> {
        self.reader.call(inspect::queues).await
    }

    async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        let queue = queue.clone();
        self.reader.call(move |step| inspect::queued(step, &queue, start, stop)).await
    }

    async fn delete_jobs(&self, queue: &QueueName, payload: &Bytes, count: i64) -> Result<u64, StoreError> {
        let (queue, payload) = (queue.clone(), payload.clone());
        self.writer.call(move |step| inspect::delete_jobs(step, &queue, &payload, count)).await
    }

    async fn delete_each(&self, queue: &QueueName, doomed: &[Doomed], from: QueueEnd) -> Result<u64, StoreError> {
        let (queue, doomed) = (queue.clone(), doomed.to_vec());
        self.writer.call(move |step| inspect::delete_each(step, &queue, &doomed, from)).await
    }

    async fn delete_queue(&self, queue: &QueueName) -> Result<u64, StoreError> {
        let queue = queue.clone();
        self.writer.call(move |step| inspect::delete_queue(step, &queue)).await
    }

    async fn pause(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        let queue = queue.cloned();
        self.writer.call(move |step| pause::pause(step, queue.as_ref())).await
    }

    async fn resume(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        let queue = queue.cloned();
        self.writer.call(move |step| pause::resume(step, queue.as_ref())).await
    }

    async fn paused(&self) -> Result<Paused, StoreError> {
        self.reader.call(pause::paused).await
    }

    async fn failed_count(&self) -> Result<u64, StoreError> {
        self.reader.call(inspect::failed_count).await
    }

    async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.reader.call(move |step| inspect::failed(step, start, stop)).await
    }

    async fn remove_failed(&self, record: &Bytes) -> Result<bool, StoreError> {
        let record = record.clone();
        self.writer.call(move |step| inspect::remove_failed(step, &record)).await
    }

    async fn clear_failed(&self) -> Result<u64, StoreError> {
        self.writer.call(inspect::clear_failed).await
    }

    async fn retry_failed(
        &self,
        record: &Bytes,
        queue: &QueueName,
        payload: &Bytes,
        admissions: &[Admission],
    ) -> Result<Retried, StoreError> {
        let (record, queue, payload) = (record.clone(), queue.clone(), payload.clone());
        let admissions = admissions.to_vec();
        self.writer.call(move |step| inspect::retry_failed(step, &record, &queue, &payload, &admissions)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.reader.call(inspect::stats).await
    }

    async fn delayed_seconds(&self, from: i64, limit: usize) -> Result<Vec<DelayedSecond>, StoreError> {
        self.reader.call(move |step| inspect::delayed_seconds(step, from, limit)).await
    }

    async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.reader.call(move |step| inspect::delayed_at(step, second, start, stop)).await
    }

    async fn scheduled_at(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        let payload = payload.clone();
        self.reader.call(move |step| delayed::seconds(step, &payload)).await
    }

    async fn delete_delayed(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        let payload = payload.clone();
        self.writer.call(move |step| inspect::delete_delayed(step, &payload)).await
    }

    async fn locks(&self) -> Result<Vec<HeldLock>, StoreError> {
        self.reader.call(inspect::held_locks).await
    }

    async fn delete_lock(&self, key: &str) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.writer.call(move |step| inspect::delete_lock(step, &key)).await
    }

    async fn leader(&self, which: Leadership) -> Result<Option<String>, StoreError> {
        self.reader.call(move |step| leader::leader(step, which)).await
    }
}

#[async_trait]
impl Moving for SqliteStore {
    async fn set_aside(&self, limit: usize) -> Result<Option<Batch>, StoreError> {
        let fresh = InstanceRecord::new_id();
        self.writer.call(move |step| moving::set_aside(step, &fresh, limit)).await
    }

    async fn take_in(&self, batch: &Batch, landings: &[Landing]) -> Result<bool, StoreError> {
        let (batch, landings) = (batch.clone(), landings.to_vec());
        self.writer.call(move |step| moving::take_in(step, &batch, &landings)).await
    }

    async fn let_go(&self, number: u64) -> Result<(), StoreError> {
        self.writer.call(move |step| moving::let_go(step, number)).await
    }
}
