//! Failed jobs that go back to their queues.
//!
//! Many go some at a time, and those in one step of the store. A job whose task has plugins of its own that are asked before
//! an enqueue goes alone, right after their answer.

use bytes::Bytes;
use serde::Serialize;

use super::brake::Brake;
use super::error::AdminError;
use super::failed::{FoundFailure, PAGE, SHOWN_ID, id};
use super::failed_mend::{Mend, MendedView};
use super::failed_search::FailedFilter;
use super::remedy::remedy;
use crate::client::enqueue_hooks::EnqueueHooks;
use crate::job::{Args, FailureView, Identity, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::plugin::hooks::{HookFailure, Refusal};
use crate::plugin::registry::Plugins;
use crate::store::StoreError;
use crate::store::effect::Admission;
use crate::store::failed_part::{FailedSide, ReadFailed};
use crate::store::handle::Store;
use crate::store::inspection::{
    FAILED_BATCH, FAILED_BATCH_BYTES, FailedCount, FailedJob, FailedRecord, Retried, RetryFailed,
};
use crate::store::role::Admin;
use crate::task::definition::Registry;
use crate::text::shell::command;

/// The outcome of one retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[non_exhaustive]
pub enum RetryOutcome {
    /// The record is removed, and the job is at the end of its queue.
    Retried {
        /// The record's id.
        id: String,
        /// The job's class, if its bytes are a job.
        class: Option<String>,
        /// Where it went.
        queue: String,
        /// What it went back with, if not as it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        mended: Option<Box<MendedView>>,
        /// The errors of plugins that failed after the job was written.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        after_enqueue_errors: Vec<String>,
    },
    /// A plugin refused; the record stays.
    Refused {
        /// The record's id.
        id: String,
        /// The job's class, if its bytes are a job.
        class: Option<String>,
        /// The plugin's name.
        refused_by: String,
        /// The reason, if it gave one.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What stands in the way, and the command that helps.
        remedy: String,
    },
    /// The record lacks something that a retry needs; it stays.
    NotRetriable {
        /// The record's id.
        id: String,
        /// What is missing.
        reason: String,
    },
    /// The record was removed or retried by somebody else.
    Gone {
        /// The record's id.
        id: String,
    },
}

/// Failed -> queue: puts the job's original bytes back on a queue and removes the record, in one step, unless a plugin
/// of the task refuses. The queue is the one that the record names, else the one that the job's bytes name, else
/// `queue`. The job keeps its id.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn retry(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Plugins,
    found: &FoundFailure,
    queue: Option<&QueueName>,
) -> Result<RetryOutcome, AdminError> {
    retry_one(&Retrier { queue, ..Retrier::new(store, registry, plugins) }, found).await
}

/// The same with other arguments or to another queue, in the one step that takes its record from the list. The arguments were
/// [checked](Mend::checked).
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn retry_mended(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Plugins,
    found: &FoundFailure,
    mend: &Mend,
) -> Result<RetryOutcome, AdminError> {
    retry_one(&Retrier { mend: Some(mend), ..Retrier::new(store, registry, plugins) }, found).await
}

async fn retry_one(retrier: &Retrier<'_>, found: &FoundFailure) -> Result<RetryOutcome, AdminError> {
    let gone = RetryOutcome::Gone { id: found.id.clone() };
    let ready = match retrier.prepare(found, &FailureView::parse(&found.record)) {
        Ok(ready) => ready,
        Err(outcome) => return Ok(outcome),
    };
    let mut outcome = None;
    retrier.send_alone(ready, &mut |one| outcome = Some(one)).await?;
    Ok(outcome.unwrap_or(gone))
}

/// Which failed jobs are retried together.
#[derive(Debug, Clone, Copy)]
pub struct RetrySelection<'a> {
    /// Those that match this.
    pub filter: &'a FailedFilter,
    /// Only those that failed because no task had their name.
    pub unknown: bool,
    /// The queue of jobs that name none.
    pub queue: Option<&'a QueueName>,
}

/// Retries all that are selected, oldest first. Jobs that fail after the call began are left.
/// `each` is called with the outcome of each job as soon as it is known.
///
/// # Errors
/// Fails when the store cannot be reached; `each` was called for every job that was retried before.
pub async fn retry_all(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Plugins,
    selection: RetrySelection<'_>,
    brake: &Brake,
    mut each: impl FnMut(RetryOutcome),
) -> Result<(), AdminError> {
    let RetrySelection { filter, unknown, queue } = selection;
    let is_meant =
        |record: &[u8], view: &FailureView| (!unknown || view.is_unknown_class()) && filter.is_meant(record, view);
    let retrier = Retrier { queue, brake: Some(brake), ..Retrier::new(store, registry, plugins) };
    retrier.retry_each(is_meant, |_| None, &mut each).await
}

/// Retries the jobs that failed because their workers vanished, oldest first. It is node-resque's `retryStuckJobs`,
/// which skips some jobs where there are many. A job that may have been changed by node-resque's worker (empty lists,
/// long numbers) is left on the failed list. `each` is called with the outcome of each job.
///
/// # Errors
/// Fails when the store cannot be reached; `each` was called for every job that was retried before.
pub async fn retry_stuck(
    store: &Store<Admin>,
    registry: &Registry,
    plugins: &Plugins,
    brake: &Brake,
    mut each: impl FnMut(RetryOutcome),
) -> Result<(), AdminError> {
    let why_not = |view: &FailureView| {
        view.may_be_distorted().then_some(
            "its record went through node-resque, which changes empty lists and long numbers; retry it by its id if its \
             arguments are right",
        )
    };
    let is_stuck = |_: &[u8], view: &FailureView| view.is_stuck();
    let retrier = Retrier { brake: Some(brake), ..Retrier::new(store, registry, plugins) };
    retrier.retry_each(is_stuck, why_not, &mut each).await
}

/// A failed job that can go back.
struct Ready {
    id: String,
    class: Option<String>,
    job: FailedJob,
    mended: Option<Box<MendedView>>,
    hooks: Option<EnqueueHooks>,
}

struct Retrier<'a> {
    store: &'a Store<Admin>,
    registry: &'a Registry,
    plugins: &'a Plugins,
    /// The queue of jobs that name none.
    queue: Option<&'a QueueName>,
    /// What changes on the way.
    mend: Option<&'a Mend>,
    /// Whether it shall end early.
    brake: Option<&'a Brake>,
}

impl<'a> Retrier<'a> {
    fn new(store: &'a Store<Admin>, registry: &'a Registry, plugins: &'a Plugins) -> Self {
        Self { store, registry, plugins, queue: None, mend: None, brake: None }
    }

    /// Retries the selected records, oldest first, of those that existed when it began.
    async fn retry_each(
        &self,
        is_meant: impl Fn(&[u8], &FailureView) -> bool,
        why_not: impl Fn(&FailureView) -> Option<&'static str>,
        each: &mut impl FnMut(RetryOutcome),
    ) -> Result<(), AdminError> {
        // A job that fails again goes to the end of the list, behind the records that are read here.
        let mut left = i64::try_from(self.store.run(FailedCount).await?).unwrap_or(i64::MAX);
        let mut position = 0;
        while left > 0 && !self.brake.is_some_and(Brake::is_pulled) {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE);
            let page = self.store.run(ReadFailed { side: FailedSide::From(position), most }).await?.records;
            if page.is_empty() {
                return Ok(());
            }
            let mut stay = 0;
            let mut tell = |outcome: RetryOutcome| {
                let stays = matches!(outcome, RetryOutcome::Refused { .. } | RetryOutcome::NotRetriable { .. });
                stay += i64::from(stays);
                each(outcome);
            };
            let (mut batch, mut bytes, mut not_meant) = (Vec::new(), 0, 0);
            for (seen, record) in (position..).zip(page) {
                left -= 1;
                let view = FailureView::parse(&record);
                if !is_meant(&record, &view) {
                    not_meant += 1;
                    continue;
                }
                let found = FoundFailure { position: seen, id: id(&record), record };
                let ready = match why_not(&view) {
                    Some(reason) => Err(RetryOutcome::NotRetriable { id: found.id, reason: reason.to_owned() }),
                    None => self.prepare(&found, &view),
                };
                match ready {
                    Err(outcome) => tell(outcome),
                    Ok(ready) if ready.hooks.is_some() => {
                        self.send(std::mem::take(&mut batch), &mut tell).await?;
                        bytes = 0;
                        self.send_alone(ready, &mut tell).await?;
                    }
                    Ok(ready) => {
                        let size = ready.job.failed.record.len() + ready.job.goes().len();
                        if batch.len() >= FAILED_BATCH || bytes + size > FAILED_BATCH_BYTES {
                            self.send(std::mem::take(&mut batch), &mut tell).await?;
                            bytes = 0;
                        }
                        bytes += size;
                        batch.push(ready);
                    }
                }
            }
            self.send(batch, &mut tell).await?;
            position += stay + not_meant;
        }
        Ok(())
    }

    /// What goes to the store, or why the job cannot go back.
    fn prepare(&self, found: &FoundFailure, view: &FailureView) -> Result<Ready, RetryOutcome> {
        let id = found.id.clone();
        let cannot = |reason: String| RetryOutcome::NotRetriable { id: id.clone(), reason };
        let Some(payload) = view.payload.clone() else { return Err(cannot("its record holds no job".to_owned())) };
        let (mended, told) =
            self.mend.and_then(|mend| mend.applied(view)).map(|(goes, told)| (goes, Box::new(told))).unzip();
        let goes = mended.clone().unwrap_or_else(|| payload.clone());
        let job = PayloadView::parse(&goes).ok();
        let named = view.queue.as_deref().filter(|name| !name.trim().is_empty());
        let named = named.or_else(|| job.as_ref()?.queue.as_deref().filter(|name| !name.trim().is_empty()));
        let asked = self.mend.and_then(|mend| mend.queue.as_ref());
        let queue = match (asked, named.map(QueueName::new), self.queue) {
            (Some(queue), ..) => queue.clone(),
            (None, Some(Ok(queue)), _) => queue,
            (None, None, Some(queue)) => queue.clone(),
            (None, Some(Err(error)), _) => return Err(cannot(format!("the queue its record names: {error}"))),
            (None, None, None) => {
                let short = id.get(..SHOWN_ID).unwrap_or(&id);
                let retry = command("failed retry --queue Q", &[short]);
                return Err(cannot(format!("its record names no queue; say which with \"{retry}\"")));
            }
        };
        let admissions = job.as_ref().map(|job| admissions(self.registry, &queue, job)).unwrap_or_default();
        // As in node-resque, the task's own plugins are asked as for any enqueue.
        let hooks = job.as_ref().map(|job| hooks(self.registry, self.plugins, &queue, job)).transpose();
        let hooks = hooks.map_err(|failed| cannot(failed.to_string()))?.flatten();
        let class = job.map(|job| job.class.into_owned());
        let identity = view.identity.as_ref().map(Identity::retried_by_hand);
        let failed = FailedRecord { record: found.record.clone(), position: Some(found.position) };
        let job = FailedJob { failed, queue, payload, admissions, identity, mended };
        Ok(Ready { id: id.clone(), class, job, mended: told, hooks })
    }

    /// Asks the task's own plugins, then retries the job.
    async fn send_alone(&self, ready: Ready, each: &mut impl FnMut(RetryOutcome)) -> Result<(), AdminError> {
        let asked = match &ready.hooks {
            Some(hooks) => hooks.before().await,
            None => Ok(None),
        };
        let Ready { id, class, .. } = &ready;
        let (id, class) = (id.clone(), class.clone());
        match asked {
            Ok(None) => return self.send(vec![ready], each).await,
            Ok(Some(Refusal { plugin, reason })) => {
                let short = id.get(..SHOWN_ID).unwrap_or(&id);
                let remedy = format!("when it would allow the job, type {}", command("failed retry", &[short]));
                each(RetryOutcome::Refused { id, class, refused_by: plugin.to_string(), reason, remedy });
            }
            Err(failed) => each(RetryOutcome::NotRetriable { id, reason: failed.to_string() }),
        }
        Ok(())
    }

    /// Retries these in one step, or in several if the store refuses one of them.
    async fn send(&self, mut batch: Vec<Ready>, each: &mut impl FnMut(RetryOutcome)) -> Result<(), AdminError> {
        while !batch.is_empty() {
            let jobs = batch.iter().map(|ready| ready.job.clone()).collect();
            let outcomes = self.store.run(RetryFailed { jobs }).await?;
            if outcomes.is_empty() {
                return Err(StoreError::Unavailable("a retry was not answered".to_owned()).into());
            }
            let done = outcomes.len().min(batch.len());
            for (ready, outcome) in batch.drain(..done).zip(outcomes) {
                each(ready.told(outcome).await);
            }
        }
        Ok(())
    }
}

impl Ready {
    /// The outcome for people. Plugins are told of a job that is on its queue.
    async fn told(self, outcome: Retried) -> RetryOutcome {
        let Self { id, class, job, mended, hooks } = self;
        match outcome {
            Retried::Yes => {
                let complaints = match &hooks {
                    Some(hooks) => hooks.after().await,
                    None => Vec::new(),
                };
                let after_enqueue_errors = complaints.iter().map(ToString::to_string).collect();
                RetryOutcome::Retried { id, class, queue: job.queue.as_str().to_owned(), mended, after_enqueue_errors }
            }
            Retried::Gone => RetryOutcome::Gone { id },
            Retried::Refused { plugin } => {
                let refused_by = job.admissions.iter().find(|admission| admission.plugin() == plugin);
                let remedy = refused_by.and_then(|by| Some(remedy(by, &PayloadView::parse(job.goes()).ok()?)));
                let (refused_by, remedy) = (plugin.to_owned(), remedy.unwrap_or_default());
                RetryOutcome::Refused { id, class, refused_by, reason: None, remedy }
            }
        }
    }
}

/// The rules of the job's task, if the registry has it.
fn admissions(registry: &Registry, queue: &QueueName, job: &PayloadView<'_>) -> Vec<Admission> {
    match (registry.get(&job.class), Args::of(job)) {
        (Some(task), Ok(args)) => Chain::of(task).retry_admissions(queue, &args),
        _ => Vec::new(),
    }
}

/// The task's own plugins, if any of them has an enqueue hook.
fn hooks(
    registry: &Registry,
    plugins: &Plugins,
    queue: &QueueName,
    job: &PayloadView<'_>,
) -> Result<Option<EnqueueHooks>, HookFailure> {
    let Some(task) = registry.get(&job.class) else { return Ok(None) };
    EnqueueHooks::new(task, queue, Bytes::from(job.args().into_owned()), plugins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tasks_rules_hold_for_a_retry_too() {
        let registry = crate::client::enqueue::tests::registry();
        let rules = |raw: &str| {
            admissions(&registry, &QueueName::as_stored("mail"), &PayloadView::parse(raw.as_bytes()).unwrap())
        };
        assert_eq!(rules(r#"{"class":"sendMail","args":[1.0]}"#).len(), 1);
        assert_eq!(rules(r#"{"class":"Unknown","args":[]}"#).len(), 0);
    }
}
