//! The table of contents: each method of the contract, and the file that holds it.

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::RespVersion;

use super::connection::{Connection, Origin};
use super::{
    delayed, enqueue, exchange, inspect, leader, lease, locks, moving, pause, periodic, recover, reply, schedules, wake,
};
use crate::config::element::tls_files::TlsFiles;
use crate::job::{LockKey, QueueName, TaskName, WorkerName};
use crate::store::effect::Admission;
use crate::store::engine::{Store, TimeSource};
use crate::store::error::StoreError;
use crate::store::inspection::{
    DelayedSecond, Doomed, HeldLock, Inspection, Paused, QueueEnd, QueueLength, Retried, Stats,
};
use crate::store::instance::{Extend, Extended, InstanceRecord, InstanceState, Joined};
use crate::store::moving::{Batch, Landing, Moving};
use crate::store::queueing::{Enqueue, Enqueued, Lane, Queueing, Schedule, Scheduled};
use crate::store::scheduling::{
    Due, Fire, Fired, Leadership, PeriodicEntry, Promoted, Promotion, Reconcile, Reconciled, Recovered, Recovery,
    Registered, Scheduling,
};
use crate::store::wake::Waker;
use crate::store::working::WorkingRecord;

/// The oldest version that has all that the scripts use (LPOP with a count, LPOS, SMISMEMBER).
const OLDEST: (u32, u32) = (6, 2);

/// A store on Redis or Valkey.
pub struct RedisStore {
    connection: Connection,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RedisStore").field(&self.describe()).finish()
    }
}

impl RedisStore {
    /// Connects to the server at `url`; all keys stand under `namespace`.
    ///
    /// # Errors
    /// Fails when the server cannot be reached, is too old, or does not take this namespace.
    pub async fn connect(url: &str, namespace: &str, time: TimeSource) -> Result<Self, StoreError> {
        Self::connect_with(url, &TlsFiles::default(), namespace, time).await
    }

    /// Like [`connect`](Self::connect), with these certificates where `url` asks for TLS.
    ///
    /// # Errors
    /// Fails when the server cannot be reached or trusted, is too old, or does not take this namespace.
    pub async fn connect_with(
        url: &str,
        tls: &TlsFiles,
        namespace: &str,
        time: TimeSource,
    ) -> Result<Self, StoreError> {
        let origin = Origin::new(url, tls, namespace, time)?;
        let connection = origin.open(RespVersion::RESP2).await?;
        match connection.command("INFO", vec![Bytes::from_static(b"server")]).await {
            Ok(info) => check_server(&reply::bytes(info)?.unwrap_or_default(), connection.is_cluster())?,
            // Without the right to ask we find out when a command is missing, and say which.
            Err(StoreError::Unsupported(reason)) => {
                tracing::debug!(reason, "the server's version is unknown");
            }
            Err(error) => return Err(error),
        }
        Ok(Self { connection })
    }
}

/// Is the server new enough, and reached in the way that it is run?
fn check_server(info: &[u8], as_cluster: bool) -> Result<(), StoreError> {
    let info = String::from_utf8_lossy(info);
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    };
    if let Some(version) = field("redis_version") {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < OLDEST {
            let (major, minor) = OLDEST;
            return Err(StoreError::Unsupported(format!(
                "it is version {version}, and {major}.{minor} is the oldest that will do (LPOP with a count)"
            )));
        }
    }
    if field("redis_mode").is_some_and(|mode| mode == "cluster") && !as_cluster {
        return Err(StoreError::Unsupported("it is a Cluster: write redis-cluster:// instead of redis://".to_owned()));
    }
    Ok(())
}

impl Store for RedisStore {
    fn describe(&self) -> String {
        self.connection.origin.address()
    }
}

#[async_trait]
impl Queueing for RedisStore {
    async fn enqueue(&self, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
        enqueue::enqueue(&self.connection, jobs).await
    }
    async fn schedule(&self, jobs: &[Schedule]) -> Result<Vec<Scheduled>, StoreError> {
        delayed::schedule(&self.connection, jobs).await
    }
    async fn lane(&self, instance: &str, lane: u8) -> Result<Box<dyn Lane>, StoreError> {
        Ok(Box::new(exchange::open(&self.connection.origin, instance, lane).await?))
    }
    async fn waker(&self) -> Result<Box<dyn Waker>, StoreError> {
        Ok(Box::new(wake::open(&self.connection.origin).await?))
    }
    async fn join(&self, record: &InstanceRecord) -> Result<Joined, StoreError> {
        lease::join(&self.connection, record).await
    }
    async fn register(&self, _instance: &str, workers: &[WorkerName]) -> Result<Vec<WorkingRecord>, StoreError> {
        lease::register(&self.connection, workers).await
    }
    async fn unregister(&self, _instance: &str, workers: &[WorkerName]) -> Result<(), StoreError> {
        lease::unregister(&self.connection, workers).await
    }
    async fn extend(&self, extend: &Extend) -> Result<Extended, StoreError> {
        lease::extend(&self.connection, extend).await
    }
    async fn leave(&self, record: &InstanceRecord) -> Result<(), StoreError> {
        lease::leave(&self.connection, record).await
    }
    async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        inspect::known_queues(&self.connection).await
    }
}

#[async_trait]
impl Scheduling for RedisStore {
    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        delayed::due(&self.connection, limit).await
    }
    async fn promote(&self, promotion: &Promotion) -> Result<Promoted, StoreError> {
        delayed::promote(&self.connection, promotion).await
    }
    async fn lead(&self, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
        leader::lead(&self.connection, which, owner, ttl_ms).await
    }
    async fn resign(&self, which: Leadership, owner: &str) -> Result<(), StoreError> {
        leader::resign(&self.connection, which, owner).await
    }
    async fn oversee(&self, owner: &str, ttl_ms: u64) -> Result<(bool, Vec<InstanceState>), StoreError> {
        lease::oversee(&self.connection, owner, ttl_ms).await
    }
    async fn instances(&self) -> Result<Vec<InstanceState>, StoreError> {
        lease::instances(&self.connection).await
    }
    async fn working(&self, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        recover::working(&self.connection, workers).await
    }
    async fn recover(&self, recovery: &Recovery) -> Result<Recovered, StoreError> {
        recover::recover(&self.connection, recovery).await
    }
    async fn bury(&self, dead: &InstanceState) -> Result<bool, StoreError> {
        lease::bury(&self.connection, dead).await
    }
    async fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        recover::registered(&self.connection).await
    }
    async fn force_clean(
        &self,
        worker: &WorkerName,
        working: Option<&WorkingRecord>,
        record: Option<&Bytes>,
        free: &[LockKey],
    ) -> Result<bool, StoreError> {
        recover::force_clean(&self.connection, worker, working, record, free).await
    }
    async fn ping_of(&self, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
        recover::ping_of(&self.connection, name).await
    }
    async fn periodic(&self, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        periodic::periodic(&self.connection, job_locks).await
    }
    async fn reconcile(&self, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
        periodic::reconcile(&self.connection, reconcile).await
    }
    async fn last_fired(&self, ids: &[String]) -> Result<Vec<Option<i64>>, StoreError> {
        schedules::last_fired(&self.connection, ids).await
    }
    async fn fire(&self, fire: &Fire) -> Result<Fired, StoreError> {
        schedules::fire(&self.connection, fire).await
    }
    async fn withdraw(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError> {
        periodic::withdraw(&self.connection, task, queue, forms, false).await.map(drop)
    }
    async fn stop(&self, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<u64, StoreError> {
        periodic::withdraw(&self.connection, task, queue, forms, true).await
    }
}

#[async_trait]
impl Inspection for RedisStore {
    async fn queues(&self) -> Result<Vec<QueueLength>, StoreError> {
        inspect::queues(&self.connection).await
    }
    async fn queued(&self, queue: &QueueName, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        inspect::range(&self.connection, self.connection.keys().queue(queue), start, stop).await
    }
    async fn delete_jobs(&self, queue: &QueueName, payload: &Bytes, count: i64) -> Result<u64, StoreError> {
        inspect::delete_jobs(&self.connection, queue, payload, count).await
    }
    async fn delete_each(&self, queue: &QueueName, doomed: &[Doomed], from: QueueEnd) -> Result<u64, StoreError> {
        inspect::delete_each(&self.connection, queue, doomed, from).await
    }
    async fn delete_queue(&self, queue: &QueueName) -> Result<u64, StoreError> {
        inspect::delete_queue(&self.connection, queue).await
    }
    async fn pause(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        pause::pause(&self.connection, queue).await
    }
    async fn resume(&self, queue: Option<&QueueName>) -> Result<bool, StoreError> {
        pause::resume(&self.connection, queue).await
    }
    async fn paused(&self) -> Result<Paused, StoreError> {
        pause::paused(&self.connection).await
    }
    async fn failed_count(&self) -> Result<u64, StoreError> {
        inspect::failed_count(&self.connection).await
    }
    async fn failed(&self, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        inspect::range(&self.connection, self.connection.keys().failed(), start, stop).await
    }
    async fn remove_failed(&self, record: &Bytes) -> Result<bool, StoreError> {
        inspect::remove_failed(&self.connection, record).await
    }
    async fn clear_failed(&self) -> Result<u64, StoreError> {
        inspect::clear_failed(&self.connection).await
    }
    async fn retry_failed(
        &self,
        record: &Bytes,
        queue: &QueueName,
        payload: &Bytes,
        admissions: &[Admission],
    ) -> Result<Retried, StoreError> {
        inspect::retry_failed(&self.connection, record, queue, payload, admissions).await
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        inspect::stats(&self.connection).await
    }
    async fn delayed_seconds(&self, from: i64, limit: usize) -> Result<Vec<DelayedSecond>, StoreError> {
        inspect::delayed_seconds(&self.connection, from, limit).await
    }
    async fn delayed_at(&self, second: i64, start: i64, stop: i64) -> Result<Vec<Bytes>, StoreError> {
        inspect::range(&self.connection, self.connection.keys().delayed(second), start, stop).await
    }
    async fn scheduled_at(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        delayed::scheduled_at(&self.connection, payload).await
    }
    async fn delete_delayed(&self, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
        delayed::delete_delayed(&self.connection, payload).await
    }
    async fn locks(&self) -> Result<Vec<HeldLock>, StoreError> {
        locks::locks(&self.connection).await
    }
    async fn delete_lock(&self, key: &str) -> Result<bool, StoreError> {
        locks::delete_lock(&self.connection, key).await
    }
    async fn leader(&self, which: Leadership) -> Result<Option<String>, StoreError> {
        leader::leader(&self.connection, which).await
    }
}

#[async_trait]
impl Moving for RedisStore {
    async fn set_aside(&self, limit: usize) -> Result<Option<Batch>, StoreError> {
        moving::set_aside(&self.connection, limit).await
    }
    async fn take_in(&self, batch: &Batch, landings: &[Landing]) -> Result<bool, StoreError> {
        moving::take_in(&self.connection, batch, landings).await
    }
    async fn let_go(&self, number: u64) -> Result<(), StoreError> {
        moving::let_go(&self.connection, number).await
    }
}
