//! Nowhere -> queue, for one job.

use std::sync::Arc;

use super::enqueue_hooks;
use super::marking::Marking;
use super::moment::Moment;
use super::request::{Request, RequestError, ResolvedJob};
use crate::clock::{Clock as _, SystemClock};
use crate::config::element::store_url::StoreUrl;
use crate::config::element::store_url_error::StoreUrlError;
use crate::config::element::tls_files::TlsFiles;
#[cfg(feature = "otel")]
use crate::job::trace::{JobTrace, TraceContext};
use crate::job::{Identity, LockKey};
use crate::plugin::chain::Chain;
use crate::plugin::hooks::{HookFailure, Refusal};
use crate::plugin::registry::Plugins;
use crate::store::effect::Admission;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::instance::InstanceRecord;
use crate::store::marks::ONCE;
use crate::store::open::open;
use crate::store::queueing::{Enqueue, EnqueueBatch, EnqueueTracked, Enqueued};
use crate::store::role;
use crate::store::runs::TrackedJob;
use crate::store::workers::LockValues;
use crate::task::definition::{Registry, TaskDefinition};

/// How many locks are asked about at a time.
const ASKED: usize = 500;

/// A client of a store, for the tasks of a registry.
#[derive(Clone)]
pub struct Client {
    pub(super) store: Store<role::Client>,
    pub(super) registry: Arc<Registry>,
    pub(super) plugins: Arc<Plugins>,
    /// The span that its jobs continue.
    #[cfg(feature = "otel")]
    pub(super) trace: Option<TraceContext>,
}

/// The outcome of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnqueueOutcome {
    /// The job is on its queue.
    Enqueued {
        /// The errors of plugins that failed after the job was written. Repeating the call would enqueue it twice.
        complaints: Vec<HookFailure>,
    },
    /// A plugin refused; nothing was written.
    Refused(Refusal),
}

/// What a job is enqueued with.
pub(super) enum With<'a> {
    Nothing,
    /// A mark that it leaves.
    Mark(Marking<'a>),
    /// An id that its producer knows.
    Identity(&'a Identity),
}

/// A QueueLock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// Its key, as `locks` lists it.
    pub key: String,
    /// Until when it is held, if its value tells.
    pub until: Option<Moment>,
}

/// Why a call did not lead to a job. A plugin's veto is not an error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text is not the address of a store.
    #[error("the address of a store: {0}")]
    Address(#[from] StoreUrlError),
    /// The request is invalid; nothing was written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A job of the same bytes is already due at this second; nothing was written. The words are
    /// node-resque's.
    #[error("Job already enqueued at this time with same arguments (@{second})")]
    Duplicate {
        /// The unix second.
        second: i64,
    },
    /// Something else was enqueued under this key; nothing was written.
    #[error("this key was used for another request within the last 24 hours; nothing was enqueued")]
    KeyReused,
    /// A plugin failed before the enqueue; nothing was written.
    #[error("{0}; nothing was enqueued")]
    Plugin(#[from] HookFailure),
    /// The store failed, and nothing was written.
    #[error("failed to {0}{certainty}", certainty = certainty(.0))]
    Store(#[from] StoreError),
    /// The answer of the store did not come: the job may or may not have been written.
    #[error(
        "failed to {0}; it is not known whether the job was enqueued. Look for it before you enqueue it again: windlass \
         queues show, or windlass delayed"
    )]
    Unknown(StoreError),
    /// The same of a job that is enqueued under a key: the same call may be repeated.
    #[error(
        "failed to {0}; it is not known whether the job was enqueued. Repeat this under the same key: that never leads to a \
         second job"
    )]
    UnknownOnce(StoreError),
}

/// Says that nothing was enqueued, where the error leaves a doubt to people who know that answers may be lost.
fn certainty(error: &StoreError) -> &'static str {
    if error.changed_nothing() { "; nothing was enqueued" } else { "" }
}

impl Client {
    /// The task of this name, if its file was read.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&Arc<TaskDefinition>> {
        self.registry.get(name)
    }

    /// Creates a client of this store. Its tasks may use the built-in plugins and programs as plugins.
    #[must_use]
    pub fn new(store: Store<role::Client>, registry: Arc<Registry>) -> Self {
        Self {
            store,
            registry,
            plugins: Arc::default(),
            #[cfg(feature = "otel")]
            trace: None,
        }
    }

    /// Connects to the store at this address (`redis://...`, or `sqlite:FILE` relative to the working directory), for
    /// tasks that other programs define. `namespace` is the prefix of the keys in Redis; the usual one is `resque`.
    ///
    /// # Errors
    /// Fails for an invalid address, and for a store that cannot be reached or used.
    pub async fn connect(address: &str, namespace: &str) -> Result<Self, ClientError> {
        let here = std::env::current_dir().unwrap_or_default();
        let url = StoreUrl::parse(address, &here, None).map_err(ClientError::Address)?;
        let store = open(&url, &TlsFiles::default(), namespace).await?;
        Ok(Self::new(store.narrow(), Arc::default()))
    }

    /// Adds plugins that are written in code.
    #[must_use]
    pub fn with_plugins(self, plugins: Arc<Plugins>) -> Self {
        Self { plugins, ..self }
    }

    /// The jobs that it enqueues or delays one by one continue this trace. It stands beside them, in the id that they then have
    /// from the beginning.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn within(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// The identity of a job that it enqueues, if it has one before its first run: the one that its producer knows, in the trace
    /// of this client. `since_ms`: when the job is due.
    #[cfg(feature = "otel")]
    pub(super) fn known(&self, identity: Option<Identity>, since_ms: impl FnOnce() -> i64) -> Option<Identity> {
        let Some(context) = self.trace else { return identity };
        let identity = identity.unwrap_or_else(|| Identity::unrun(&InstanceRecord::new_id()));
        let id = JobTrace { context, since_ms: since_ms() }.beside(&identity.id);
        Some(Identity { id, ..identity })
    }

    /// The identity of a job that it enqueues, if it has one before its first run: the one that its producer knows.
    #[cfg(not(feature = "otel"))]
    #[expect(clippy::unused_self, reason = "the other one knows of traces")]
    pub(super) fn known(&self, identity: Option<Identity>, _since_ms: impl FnOnce() -> i64) -> Option<Identity> {
        identity
    }

    /// Puts a job on its queue, at the head if `front`, unless a plugin of its task refuses. The task's own plugins are
    /// asked first, in their order; then the store checks the rules of the built-in ones in the step that writes the
    /// job.
    ///
    /// # Errors
    /// Fails for an invalid request, and when a plugin or the store fails.
    pub async fn enqueue(&self, request: &Request, front: bool) -> Result<(ResolvedJob, EnqueueOutcome), ClientError> {
        unmarked(self.place(request, front, With::Nothing).await?)
    }

    /// The same for a job that is tracked: also returns the id that it has from now on, in all its runs. Of several equal jobs on a
    /// queue the one that is claimed first takes the id, because a job's bytes carry none: they are interchangeable.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_tracked(
        &self,
        request: &Request,
        front: bool,
    ) -> Result<(ResolvedJob, EnqueueOutcome, Arc<str>), ClientError> {
        let tracked = Identity::tracked(&InstanceRecord::new_id());
        let identity = self.known(Some(tracked.clone()), || SystemClock.now_ms()).unwrap_or(tracked);
        let (job, outcome) = unmarked(self.place(request, front, With::Identity(&identity)).await?)?;
        Ok((job, outcome, identity.id))
    }

    /// The same, with a mark or an id. `None`: the mark stands, and nothing was done.
    pub(super) async fn place(
        &self,
        request: &Request,
        front: bool,
        with: With<'_>,
    ) -> Result<Option<(ResolvedJob, EnqueueOutcome)>, ClientError> {
        let job = request.resolve(&self.registry)?;
        let hooks = enqueue_hooks::of(&job, &self.plugins)?;
        if let Some(hooks) = &hooks
            && let Some(refusal) = hooks.before().await?
        {
            return Ok(Some((job, EnqueueOutcome::Refused(refusal))));
        }
        let mut entry = entry(&job, front);
        if let With::Mark(marking) = &with {
            // Before all others: the job that was enqueued under it may itself be why they refuse.
            entry.admissions.insert(0, Admission::Once { mark: marking.of(&job) });
        }
        let identity = match with {
            With::Nothing | With::Mark(_) => self.known(None, || SystemClock.now_ms()),
            With::Identity(identity) => Some(identity.clone()),
        };
        let reply = match identity {
            None => self.store.run(EnqueueBatch { jobs: vec![entry] }).await,
            Some(identity) => {
                let tracked = identity.is_tracked().then(|| {
                    let (queue, class) = (job.queue.as_str().to_owned(), job.task.as_str().to_owned());
                    TrackedJob { queue, class, at_ms: SystemClock.now_ms() }
                });
                let tracked = EnqueueTracked { job: entry, identity, tracked };
                self.store.run(tracked).await.map(|reply| vec![reply])
            }
        };
        let placed = match single(reply.map_err(|error| self.unanswered(error))?)? {
            Enqueued::Refused { plugin: ONCE } => return Ok(None),
            Enqueued::Refused { plugin } => EnqueueOutcome::Refused(enqueue_hooks::refused_by_rule(plugin)),
            Enqueued::Yes => {
                let complaints = match &hooks {
                    Some(hooks) => hooks.after().await,
                    None => Vec::new(),
                };
                EnqueueOutcome::Enqueued { complaints }
            }
        };
        Ok(Some((job, placed)))
    }

    /// The QueueLocks that are held for these jobs, in order, for people who want to know why a job was refused. `None`
    /// where nobody holds one any more, or the job's task has none.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn lock_holders(&self, jobs: &[&ResolvedJob]) -> Result<Vec<Option<LockHolder>>, ClientError> {
        let lock = |job: &&ResolvedJob| {
            job.definition().and_then(|task| Chain::of(task).queue_lock(&job.queue, &job.args)).map(|(key, _)| key)
        };
        let locks: Vec<Option<LockKey>> = jobs.iter().map(lock).collect();
        let keys: Vec<LockKey> = locks.iter().flatten().cloned().collect();
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(ASKED) {
            values.extend(self.store.run(LockValues { keys: keys.to_vec() }).await?);
        }
        let mut values = values.into_iter();
        let holder = |lock: Option<LockKey>| {
            let (key, value) = (lock?, values.next().flatten()?);
            // QueueLock's value is the second after its last one; another program's value may be anything.
            let until = value.parse::<i64>().ok().map(|end| Moment::of_second(end.saturating_sub(1)));
            Some(LockHolder { key: key.as_str().to_owned(), until })
        };
        Ok(locks.into_iter().map(holder).collect())
    }

    /// The error of a step that writes a job.
    pub(super) fn unanswered(&self, error: StoreError) -> ClientError {
        match self.told(error) {
            error @ StoreError::Unavailable(_) => ClientError::Unknown(error),
            error => ClientError::Store(error),
        }
    }

    /// The error of a step that writes jobs, for those who ask whether it changed anything. SQLite undoes a step that
    /// failed, so that there is never a doubt.
    pub(super) fn told(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Unavailable(said) if self.undoes() => StoreError::Unreached(said),
            error => error,
        }
    }

    /// Has a step that failed with this error changed nothing for certain, however many jobs it had? Redis looks at all jobs
    /// of a call before it writes the first, and what was written by another call is told otherwise.
    pub(super) fn changed_nothing(&self, error: &StoreError) -> bool {
        error.is_refusal() || self.undoes()
    }

    /// Is each step of this store one transaction, which is undone as a whole if it fails? On Redis it may be several calls.
    fn undoes(&self) -> bool {
        self.store.describe().starts_with("sqlite:")
    }
}

/// The job as an arrow of the store.
pub(super) fn entry(job: &ResolvedJob, front: bool) -> Enqueue {
    Enqueue { queue: job.queue.clone(), payload: job.payload.clone(), front, admissions: job.admissions() }
}

/// The outcome of a call without a mark.
pub(super) fn unmarked<T>(outcome: Option<T>) -> Result<T, ClientError> {
    let misuse = || StoreError::Misuse("a call without a mark met one".to_owned());
    outcome.ok_or_else(|| ClientError::Store(misuse()))
}

/// The reply to a batch of one job.
pub(super) fn single<T>(reply: Vec<T>) -> Result<T, StoreError> {
    let answers = reply.len();
    let mut reply = reply.into_iter();
    match (reply.next(), reply.next()) {
        (Some(answer), None) => Ok(answer),
        _ => Err(StoreError::Misuse(format!("one job was sent, {answers} answers came"))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{QueueName, TaskName};
    use crate::task::definition::TaskDefinition;
    use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};
    use crate::task::plugin_spec::PluginSpec;
    use crate::task::schedule::Cadence;

    fn task(name: &str, queue: &str) -> TaskDefinition {
        let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".to_owned() });
        TaskDefinition::new(TaskName::as_stored(name), QueueName::as_stored(queue), noop)
    }

    /// `sendMail` (queue mail, QueueLock), `hourly` (periodic) and `add` (queue math).
    pub(crate) fn registry() -> Registry {
        let locked = vec![PluginSpec::QueueLock { lock_timeout_s: 3600, key: None }];
        Registry::new([
            TaskDefinition { plugins: locked, ..task("sendMail", "mail") },
            TaskDefinition { cadence: Some(Cadence::Every(Duration::from_secs(3600))), ..task("hourly", "default") },
            task("add", "math"),
        ])
    }

    #[test]
    fn a_reply_of_another_length_is_no_reply() {
        assert_eq!(single(vec![7]).unwrap(), 7);
        assert!(single(Vec::<u8>::new()).is_err());
        assert!(single(vec![1, 2]).is_err());
    }
}
