//! A store on top of a store: whoever wants one operation to work otherwise writes that one.
//!
//! Every method of [`StoreLayer`] passes the call on; [`Layered`] makes a whole [`Store`] of it. A method that the
//! contract gains later is passed on as well, and breaks nobody's layer.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::effect::Admission;
use super::engine::Store;
use super::error::StoreError;
use super::inspection::*;
use super::instance::{Extend, Extended, InstanceRecord, InstanceState, Joined};
use super::moving::{Batch, Landing, Moving};
use super::queueing::*;
use super::scheduling::*;
use super::wake::Waker;
use super::working::WorkingRecord;
use crate::job::{LockKey, QueueName, TaskName, WorkerName};

/// What one operation, or several, does otherwise. Each method is the contract's of the same name.
#[async_trait]
#[expect(missing_docs, reason = "each is described where the contract has it")]
pub trait StoreLayer: Send + Sync {
    /// The store below.
    fn inner(&self) -> &Arc<dyn Store>;

    /// Where the store is, for people.
    fn describe(&self) -> String {
        self.inner().describe()
    }

    async fn enqueue(&self, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
        self.inner().enqueue(jobs).await
    }
    async fn schedule(&self, jobs: &[Schedule]) -> Result<Vec<Scheduled>, StoreError> {
        self.inner().schedule(jobs).await
    }
    async fn lane(&self, instance: &str, lane: u8) -> Result<Box<dyn Lane>, StoreError> {
        self.inner().lane(instance, lane).await
    }
    async fn waker(&self) -> Result<Box<dyn Waker>, StoreError> {
        self.inner().waker().await
    }
    async fn join(&self, record: &InstanceRecord) -> Result<Joined, StoreError> {
        self.inner().join(record).await
    }
    async fn register(&self, instance: &str, workers: &[WorkerName]) -> Result<Vec<WorkingRecord>, StoreError> {
        self.inner().register(instance, workers).await
    }
    async fn unregister(&self, instance: &str, workers: &[WorkerName]) -> Result<(), StoreError> {
        self.inner().unregister(instance, workers).await
    }
    async fn extend(&self, extend: &Extend) -> Result<Extended, StoreError> {
        self.inner().extend(extend).await
    }
    async fn leave(&self, record: &InstanceRecord) -> Result<(), StoreError> {
        self.inner().leave(record).await
    }
    async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        self.inner().queue_names().await
    }
    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.inner().due(limit).await
    }
    async fn promote(&self, promotion: &Promotion) -> Result<Promoted, StoreError> {
        self.inner().promote(promotion).await
    }
    async fn lead(&self, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
        self.inner().lead(which, owner, ttl_ms).await
    }
    async fn resign(&self, which: Leadership, owner: &str) -> Result<(), StoreError> {
        self.inner().resign(which, owner).await
    }
    async fn oversee(&self, owner: &str, ttl_ms: u64) -> Result<(bool, Vec<InstanceState>), StoreError> {
        self.inner().oversee(owner, ttl_ms).await
    }
    async fn instances(&self) -> Result<Vec<InstanceState>, StoreError> {
        self.inner().instances().await
    }
    async fn working(&self, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        self.inner().working(workers).await
    }
    async fn recover(&self, recovery: &Recovery) -> Result<Recovered, StoreError> {
        self.inner().recover(recovery).await
    }
    async fn bury(&self, dead: &InstanceState) -> Result<bool, StoreError> {
        self.inner().bury(dead).await
    }
    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.inner().registered().await
    }
    async fn force_clean(
        &self,
        worker: &WorkerName,
        working: Option<&WorkingRecord>,
        record: Option<&Bytes>,
        free: &[LockKey],
    ) -> Result<bool, StoreError> {
        self.inner().force_clean(worker, working, record, free).await
    }
    async fn ping_of(&self, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
        self.inner().ping_of(name).await
    }
    async fn periodic(&self, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        self.inner().periodic(job_locks).await
    }
    async fn reconcile(&self, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
        self.inner().reconcile(reconcile).await
    }
    async fn last_fired(&self, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
        self.inner().last_fired(ids).await
    }
    async fn fire(&self, fire: &Fire) -> Result<Fired, StoreError> {
        self.inner().fire(fire).await
    }
    async fn withdraw(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError> {
        self.inner().withdraw(task, queue, forms).await
    }
    async fn stop(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<u64, StoreError> {
        self.inner().stop(task, queue, forms).await
    }
    async fn queues(&self) -> Result<Vec<QueueLength>, StoreError> {
        self.inner().queues().await
    }
    async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.inner().queued(queue, start, stop).await
    }
    async fn delete_jobs(&self, queue: &QueueName, payload: &Bytes, count: i64) -> Result<u64, StoreError> {
        self.inner().delete_jobs(queue, payload, count).await
    }
    async fn delete_each(&self, queue: &QueueName, doomed: &[Doomed], from: QueueEnd) -> Result<u64, StoreError> {
        self.inner().delete_each(queue, doomed, from).await
    }
    async fn delete_queue(&self, queue: &QueueName) -> Result<u64, StoreError> {
        self.inner().delete_queue(queue).await
    }
    async fn pause(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        self.inner().pause(queue).await
    }
    async fn resume(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        self.inner().resume(queue).await
    }
    async fn paused(&self) -> Result<Paused, StoreError> {
        self.inner().paused().await
    }
    async fn failed_count(&self) -> Result<u64, StoreError> {
        self.inner().failed_count().await
    }
    async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.inner().failed(start, stop).await
    }
    async fn remove_failed(&self, record: &Bytes) -> Result<bool, StoreError> {
        self.inner().remove_failed(record).await
    }
    async fn clear_failed(&self) -> Result<u64, StoreError> {
        self.inner().clear_failed().await
    }
    async fn retry_failed(
        &self,
        record: &Bytes,
        queue: &QueueName,
        payload: &Bytes,
        admissions: &[Admission],
    ) -> Result<Retried, StoreError> {
        self.inner().retry_failed(record, queue, payload, admissions).await
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        self.inner().stats().await
    }
    async fn delayed_seconds(&self, from: i64, limit: usize) -> Result<Vec<DelayedSecond>, StoreError> {
        self.inner().delayed_seconds(from, limit).await
    }
    async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.inner().delayed_at(second, start, stop).await
    }
    async fn scheduled_at(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        self.inner().scheduled_at(payload).await
    }
    async fn delete_delayed(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        self.inner().delete_delayed(payload).await
    }
    async fn locks(&self) -> Result<Vec<HeldLock>, StoreError> {
        self.inner().locks().await
    }
    async fn delete_lock(&self, key: &str) -> Result<bool, StoreError> {
        self.inner().delete_lock(key).await
    }
    async fn leader(&self, which: Leadership) -> Result<Option<String>, StoreError> {
        self.inner().leader(which).await
    }
    async fn set_aside(&self, limit: usize) -> Result<Option<Batch>, StoreError> {
        self.inner().set_aside(limit).await
    }
    async fn take_in(&self, batch: &Batch, landings: &[Landing]) -> Result<bool, StoreError> {
        self.inner().take_in(batch, landings).await
    }
    async fn let_go(&self, number: u64) -> Result<(), StoreError> {
        self.inner().let_go(number).await
    }
}

/// The store that a layer and what is below it make.
pub struct Layered<L>(pub L);

impl<L: StoreLayer> Store for Layered<L> {
    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[async_trait]
impl<L: StoreLayer> Queueing for Layered<L> {
    async fn enqueue(&self, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
        self.0.enqueue(jobs).await
    }
    async fn schedule(&self, jobs: &[Schedule]) -> Result<Vec<Scheduled>, StoreError> {
        self.0.schedule(jobs).await
    }
    async fn lane(&self, instance: &str, lane: u8) -> Result<Box<dyn Lane>, StoreError> {
        self.0.lane(instance, lane).await
    }
    async fn waker(&self) -> Result<Box<dyn Waker>, StoreError> {
        self.0.waker().await
    }
    async fn join(&self, record: &InstanceRecord) -> Result<Joined, StoreError> {
        self.0.join(record).await
    }
    async fn register(&self, instance: &str, workers: &[WorkerName]) -> Result<Vec<WorkingRecord>, StoreError> {
        self.0.register(instance, workers).await
    }
    async fn unregister(&self, instance: &str, workers: &[WorkerName]) -> Result<(), StoreError> {
        self.0.unregister(instance, workers).await
    }
    async fn extend(&self, extend: &Extend) -> Result<Extended, StoreError> {
        self.0.extend(extend).await
    }
    async fn leave(&self, record: &InstanceRecord) -> Result<(), StoreError> {
        self.0.leave(record).await
    }
    async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        self.0.queue_names().await
    }
}

#[async_trait]
impl<L: StoreLayer> Scheduling for Layered<L> {
    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.0.due(limit).await
    }
    async fn promote(&self, promotion: &Promotion) -> Result<Promoted, StoreError> {
        self.0.promote(promotion).await
    }
    async fn lead(&self, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
        self.0.lead(which, owner, ttl_ms).await
    }
    async fn resign(&self, which: Leadership, owner: &str) -> Result<(), StoreError> {
        self.0.resign(which, owner).await
    }
    async fn oversee(&self, owner: &str, ttl_ms: u64) -> Result<(bool, Vec<InstanceState>), StoreError> {
        self.0.oversee(owner, ttl_ms).await
    }
    async fn instances(&self) -> Result<Vec<InstanceState>, StoreError> {
        self.0.instances().await
    }
    async fn working(&self, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        self.0.working(workers).await
    }
    async fn recover(&self, recovery: &Recovery) -> Result<Recovered, StoreError> {
        self.0.recover(recovery).await
    }
    async fn bury(&self, dead: &InstanceState) -> Result<bool, StoreError> {
        self.0.bury(dead).await
    }
    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.0.registered().await
    }
    async fn force_clean(
        &self,
        worker: &WorkerName,
        working: Option<&WorkingRecord>,
        record: Option<&Bytes>,
        free: &[LockKey],
    ) -> Result<bool, StoreError> {
        self.0.force_clean(worker, working, record, free).await
    }
    async fn ping_of(&self, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
        self.0.ping_of(name).await
    }
    async fn periodic(&self, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        self.0.periodic(job_locks).await
    }
    async fn reconcile(&self, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
        self.0.reconcile(reconcile).await
    }
    async fn last_fired(&self, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
        self.0.last_fired(ids).await
    }
    async fn fire(&self, fire: &Fire) -> Result<Fired, StoreError> {
        self.0.fire(fire).await
    }
    async fn withdraw(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError> {
        self.0.withdraw(task, queue, forms).await
    }
    async fn stop(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<u64, StoreError> {
        self.0.stop(task, queue, forms).await
    }
}

#[async_trait]
impl<L: StoreLayer> Inspection for Layered<L> {
    async fn queues(&self) -> Result<Vec<QueueLength>, StoreError> {
        self.0.queues().await
    }
    async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.0.queued(queue, start, stop).await
    }
    async fn delete_jobs(&self, queue: &QueueName, payload: &Bytes, count: i64) -> Result<u64, StoreError> {
        self.0.delete_jobs(queue, payload, count).await
    }
    async fn delete_each(&self, queue: &QueueName, doomed: &[Doomed], from: QueueEnd) -> Result<u64, StoreError> {
        self.0.delete_each(queue, doomed, from).await
    }
    async fn delete_queue(&self, queue: &QueueName) -> Result<u64, StoreError> {
        self.0.delete_queue(queue).await
    }
    async fn pause(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        self.0.pause(queue).await
    }
    async fn resume(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        self.0.resume(queue).await
    }
    async fn paused(&self) -> Result<Paused, StoreError> {
        self.0.paused().await
    }
    async fn failed_count(&self) -> Result<u64, StoreError> {
        self.0.failed_count().await
    }
    async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.0.failed(start, stop).await
    }
    async fn remove_failed(&self, record: &Bytes) -> Result<bool, StoreError> {
        self.0.remove_failed(record).await
    }
    async fn clear_failed(&self) -> Result<u64, StoreError> {
        self.0.clear_failed().await
    }
    async fn retry_failed(
        &self,
        record: &Bytes,
        queue: &QueueName,
        payload: &Bytes,
        admissions: &[Admission],
    ) -> Result<Retried, StoreError> {
        self.0.retry_failed(record, queue, payload, admissions).await
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        self.0.stats().await
    }
    async fn delayed_seconds(&self, from: i64, limit: usize) -> Result<Vec<DelayedSecond>, StoreError> {
        self.0.delayed_seconds(from, limit).await
    }
    async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        self.0.delayed_at(second, start, stop).await
    }
    async fn scheduled_at(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        self.0.scheduled_at(payload).await
    }
    async fn delete_delayed(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        self.0.delete_delayed(payload).await
    }
    async fn locks(&self) -> Result<Vec<HeldLock>, StoreError> {
        self.0.locks().await
    }
    async fn delete_lock(&self, key: &str) -> Result<bool, StoreError> {
        self.0.delete_lock(key).await
    }
    async fn leader(&self, which: Leadership) -> Result<Option<String>, StoreError> {
        self.0.leader(which).await
    }
}

#[async_trait]
impl<L: StoreLayer> Moving for Layered<L> {
    async fn set_aside(&self, limit: usize) -> Result<Option<Batch>, StoreError> {
        self.0.set_aside(limit).await
    }
    async fn take_in(&self, batch: &Batch, landings: &[Landing]) -> Result<bool, StoreError> {
        self.0.take_in(batch, landings).await
    }
    async fn let_go(&self, number: u64) -> Result<(), StoreError> {
        self.0.let_go(number).await
    }
}
