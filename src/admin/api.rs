//! ActionHero's task API as one object: each operation under its name in snake_case.
//!
//! A thin layer over the functions of this room and the client, for programs that embed the library. The command line
//! uses the same functions. Times are milliseconds as in ActionHero; results are what the command line prints as JSON.

use std::sync::Arc;

use super::brake::Brake;
use super::delayed::{self, DelayedPage, TimeView, TimestampsPage};
use super::error::AdminError;
use super::failed::{self, FailedPage, FoundFailure};
use super::failed_retry::{self, RetryOutcome};
use super::jobs::{self, JobsDeleted};
use super::locks::{self, LockPage};
use super::overview::{self, Details, LeaderView, StatsView};
use super::periodic::{self, StartOutcome};
use super::queues::{self, QueueDeleted, QueuePage};
use super::worker_page;
use super::workers::{self, CleanedWorker, WorkerView};
use crate::client::delay::OnDuplicate;
use crate::client::enqueue::{Client, ClientError, EnqueueOutcome};
use crate::client::moment::Moment;
use crate::client::request::{Request, ResolvedJob};
use crate::clock::Clock;
use crate::job::QueueName;
use crate::plugin::registry::Plugins;
use crate::store::handle::Store;
use crate::store::queueing::Scheduled;
use crate::store::role::{Admin, Whole};
use crate::task::definition::Registry;

/// The task API over a store and a registry of tasks.
#[derive(Clone)]
pub struct TaskApi {
    store: Store<Admin>,
    registry: Arc<Registry>,
    plugins: Arc<Plugins>,
    client: Client,
    clock: Arc<dyn Clock>,
    host: String,
}

/// The error of every method here.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// A request was refused, or the store failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something does not exist, or the store failed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

type ApiResult<T> = Result<T, ApiError>;

#[expect(clippy::missing_errors_doc, reason = "all fail alike: see ApiError")]
impl TaskApi {
    /// Creates the API. The failure record of a cleaned worker names `host`.
    #[must_use]
    pub fn new(store: &Store<Whole>, registry: Arc<Registry>, clock: Arc<dyn Clock>, host: &str) -> Self {
        let client = Client::new(store.narrow(), Arc::clone(&registry));
        Self { store: store.narrow(), registry, plugins: Arc::default(), client, clock, host: host.to_owned() }
    }

    /// Adds plugins that are written in code.
    #[must_use]
    pub fn with_plugins(self, plugins: Arc<Plugins>) -> Self {
        Self { client: self.client.with_plugins(Arc::clone(&plugins)), plugins, ..self }
    }

    /// `enqueue`: returns the job, and whether a plugin refused it.
    pub async fn enqueue(&self, request: &Request) -> ApiResult<(ResolvedJob, EnqueueOutcome)> {
        Ok(self.client.enqueue(request, false).await?)
    }

    /// `enqueueAt`.
    pub async fn enqueue_at(
        &self,
        at: Moment,
        request: &Request,
        duplicate: OnDuplicate,
    ) -> ApiResult<(ResolvedJob, Scheduled)> {
        Ok(self.client.enqueue_at(request, at, duplicate).await?)
    }

    /// `enqueueIn`.
    pub async fn enqueue_in(
        &self,
        ms: i64,
        request: &Request,
        duplicate: OnDuplicate,
    ) -> ApiResult<(ResolvedJob, Scheduled)> {
        Ok(self.client.enqueue_in(request, ms, duplicate).await?)
    }

    /// `del`.
    pub async fn del(&self, request: &Request, count: i64) -> ApiResult<JobsDeleted> {
        let job = request.resolve_as_written(&self.registry).map_err(ClientError::from)?;
        Ok(jobs::delete(&self.store, &self.registry, &job, count).await?)
    }

    /// `delByFunction`.
    pub async fn del_by_function(&self, queue: &str, task: &str, start: i64, stop: i64) -> ApiResult<JobsDeleted> {
        Ok(jobs::delete_by_class(&self.store, &self.registry, &QueueName::as_stored(queue), task, (start, stop))
            .await?)
    }

    /// `delDelayed`: returns the times at which the job was due.
    pub async fn del_delayed(&self, request: &Request) -> ApiResult<Vec<TimeView>> {
        let job = request.resolve_as_written(&self.registry).map_err(ClientError::from)?;
        Ok(delayed::delete(&self.store, job.task.as_str(), job.queue.as_str(), &job.args).await?)
    }

    /// `scheduledAt`.
    pub async fn scheduled_at(&self, request: &Request) -> ApiResult<Vec<TimeView>> {
        let job = request.resolve_as_written(&self.registry).map_err(ClientError::from)?;
        Ok(delayed::find(&self.store, job.task.as_str(), job.queue.as_str(), &job.args).await?)
    }

    /// `delQueue`.
    pub async fn del_queue(&self, queue: &str) -> ApiResult<QueueDeleted> {
        Ok(queues::delete(&self.store, &self.registry, queue, None).await?)
    }

    /// `enqueueRecurrentTask`.
    pub async fn enqueue_recurrent_task(&self, task: &str) -> ApiResult<StartOutcome> {
        Ok(periodic::start(&self.store, &self.registry, task).await?)
    }

    /// `stopRecurrentTask`: returns how many copies were removed.
    pub async fn stop_recurrent_task(&self, task: &str) -> ApiResult<u64> {
        Ok(periodic::stop(&self.store, &self.registry, task).await?)
    }

    /// `timestamps`, the first `limit`.
    pub async fn timestamps(&self, limit: usize) -> ApiResult<TimestampsPage> {
        Ok(delayed::timestamps(&self.store, limit).await?)
    }

    /// `delayedAt`.
    pub async fn delayed_at(&self, at: Moment, limit: usize) -> ApiResult<DelayedPage> {
        Ok(delayed::list(&self.store, Some(at), limit).await?)
    }

    /// `allDelayed`, the first `limit`.
    pub async fn all_delayed(&self, limit: usize) -> ApiResult<DelayedPage> {
        Ok(delayed::list(&self.store, None, limit).await?)
    }

    /// `queued`.
    pub async fn queued(&self, queue: &str, start: i64, stop: i64) -> ApiResult<QueuePage> {
        Ok(queues::show(&self.store, queue, start, stop).await?)
    }

    /// `stats`.
    pub async fn stats(&self) -> ApiResult<StatsView> {
        Ok(overview::stats(&self.store).await?)
    }

    /// `locks`, the first `limit`.
    pub async fn locks(&self, limit: usize) -> ApiResult<LockPage> {
        Ok(locks::list(&self.store, limit).await?)
    }

    /// `delLock`.
    pub async fn del_lock(&self, key: &str) -> ApiResult<()> {
        Ok(locks::delete(&self.store, &self.registry, key).await?)
    }

    /// `workers`, `allWorkingOn`: every worker and the job it runs.
    pub async fn workers(&self) -> ApiResult<Vec<WorkerView>> {
        Ok(worker_page::list(&self.store, usize::MAX).await?.workers)
    }

    /// `workingOn`.
    pub async fn working_on(&self, worker: &str) -> ApiResult<WorkerView> {
        Ok(workers::show(&self.store, worker).await?)
    }

    /// `details`.
    pub async fn details(&self) -> ApiResult<Details> {
        Ok(overview::details(&self.store).await?)
    }

    /// `failedCount`.
    pub async fn failed_count(&self) -> ApiResult<u64> {
        Ok(failed::count(&self.store).await?)
    }

    /// `failed`.
    pub async fn failed(&self, start: i64, stop: i64) -> ApiResult<FailedPage> {
        Ok(failed::list(&self.store, start, stop).await?)
    }

    /// Finds a failed job by its id or position, for the next two methods.
    pub async fn find_failed(&self, address: &str) -> ApiResult<FoundFailure> {
        Ok(failed::find(&self.store, address).await?)
    }

    /// `removeFailed`: false if the record is already gone.
    pub async fn remove_failed(&self, found: &FoundFailure) -> ApiResult<bool> {
        Ok(failed::remove(&self.store, found).await?)
    }

    /// `retryAndRemoveFailed`.
    pub async fn retry_and_remove_failed(&self, found: &FoundFailure) -> ApiResult<RetryOutcome> {
        Ok(failed_retry::retry(&self.store, &self.registry, &self.plugins, found, None).await?)
    }

    /// `retryStuckJobs`: calls `each` with the outcome of each job.
    pub async fn retry_stuck_jobs(&self, each: impl FnMut(RetryOutcome)) -> ApiResult<()> {
        Ok(failed_retry::retry_stuck(&self.store, &self.registry, &self.plugins, &Brake::default(), each).await?)
    }

    /// `cleanOldWorkers`: removes workers that have worked on one job for longer than `age_ms` milliseconds.
    pub async fn clean_old_workers(&self, age_ms: i64) -> ApiResult<Vec<CleanedWorker>> {
        let now_ms = self.clock.now_ms();
        Ok(workers::clean_older_than(&self.store, &self.registry, &self.host, now_ms, age_ms).await?)
    }

    /// `forceCleanWorker`.
    pub async fn force_clean_worker(&self, worker: &str) -> ApiResult<CleanedWorker> {
        let now_ms = self.clock.now_ms();
        Ok(workers::force_clean(&self.store, &self.registry, worker, &self.host, now_ms).await?)
    }

    /// `leader`.
    pub async fn leader(&self) -> ApiResult<LeaderView> {
        Ok(overview::leader(&self.store).await?)
    }
}
