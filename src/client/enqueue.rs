//! Nowhere -> queue, for one job.

use std::sync::Arc;

use super::enqueue_hooks;
use super::request::{Request, RequestError, ResolvedJob};
use crate::config::element::store_url::StoreUrl;
use crate::config::element::store_url_error::StoreUrlError;
use crate::config::element::tls_files::TlsFiles;
use crate::plugin::hooks::{HookFailure, Refusal};
use crate::plugin::registry::Plugins;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::open::open;
use crate::store::queueing::{Enqueue, EnqueueBatch, Enqueued};
use crate::store::role;
use crate::task::registry::Registry;

/// A client of a store, for the tasks that are known.
#[derive(Clone)]
pub struct Client {
    pub(super) store: Store<role::Client>,
    pub(super) registry: Arc<Registry>,
    pub(super) plugins: Arc<Plugins>,
}

/// What became of a call to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnqueueOutcome {
    /// The job is on its queue, whatever the plugins behind it said.
    Enqueued {
        /// Those that failed after the job was there. Repeating the call would enqueue it twice.
        complaints: Vec<HookFailure>,
    },
    /// A plugin refused; nothing was written.
    Refused(Refusal),
}

/// A refused or failed call. A plugin's veto is no error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text is no store's address.
    #[error("the address of a store: {0}")]
    Address(#[from] StoreUrlError),
    /// The request cannot be granted as it stands; nothing was written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A job of the same bytes is already due at this second; nothing was written. The words are
    /// node-resque's.
    #[error("Job already enqueued at this time with same arguments (@{second})")]
    Duplicate {
        /// The unix second.
        second: i64,
    },
    /// A plugin in front of the enqueue could not answer; nothing was written.
    #[error("{0}; nothing was enqueued")]
    Plugin(#[from] HookFailure),
    /// The store failed; whether the job was written is unknown if it cannot be reached.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
}

impl Client {
    /// A client of this store. Tasks may list the built-in plugins and programs.
    #[must_use]
    pub fn new(store: Store<role::Client>, registry: Arc<Registry>) -> Self {
        Self { store, registry, plugins: Arc::default() }
    }

    /// A client of the store at this address (`redis://...`, `sqlite:FILE`; a relative path is taken from the working
    /// directory), for tasks that other programs define. Redis' keys stand under `namespace`, which is `resque` by
    /// default everywhere.
    ///
    /// # Errors
    /// An address that is none, and a store that cannot be reached or used.
    pub async fn connect(address: &str, namespace: &str) -> Result<Self, ClientError> {
        let here = std::env::current_dir().unwrap_or_default();
        let url = StoreUrl::parse(address, &here, None).map_err(ClientError::Address)?;
        let store = open(&url, &TlsFiles::default(), namespace).await?;
        Ok(Self::new(store.narrow(), Arc::default()))
    }

    /// With plugins in code.
    #[must_use]
    pub fn with_plugins(self, plugins: Arc<Plugins>) -> Self {
        Self { plugins, ..self }
    }

    /// Puts a job on its queue, at its head if `front`, unless a plugin of its task refuses: first its own plugins are
    /// asked in their order, then the store judges the rules of the built-in ones in the step that writes the job.
    ///
    /// # Errors
    /// Requests that cannot be granted, plugins that cannot answer, and failures of the store.
    pub async fn enqueue(&self, request: &Request, front: bool) -> Result<(ResolvedJob, EnqueueOutcome), ClientError> {
        let job = request.resolve(&self.registry)?;
        let hooks = enqueue_hooks::of(&job, &self.plugins)?;
        if let Some(hooks) = &hooks
            && let Some(refusal) = hooks.before().await?
        {
            return Ok((job, EnqueueOutcome::Refused(refusal)));
        }
        let entry = entry(&job, front);
        let reply = self.store.run(EnqueueBatch { jobs: vec![entry] }).await?;
        let placed = match single(reply)? {
            Enqueued::Refused { plugin } => EnqueueOutcome::Refused(enqueue_hooks::refused_by_rule(plugin)),
            Enqueued::Yes => {
                let complaints = match &hooks {
                    Some(hooks) => hooks.after().await,
                    None => Vec::new(),
                };
                EnqueueOutcome::Enqueued { complaints }
            }
        };
        Ok((job, placed))
    }
}

/// A job as the store takes it.
pub(super) fn entry(job: &ResolvedJob, front: bool) -> Enqueue {
    Enqueue { queue: job.queue.clone(), payload: job.payload.clone(), front, admissions: job.admissions() }
}

/// The one answer to the one question.
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
    use crate::task::cadence::Cadence;
    use crate::task::definition::TaskDefinition;
    use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};
    use crate::task::plugin_spec::PluginSpec;

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
