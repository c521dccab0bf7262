//! Follows a job from run to run, by its id: where it is while none of its runs goes on.
//!
//! A job in Resque has no place of its own: its bytes stand among the delayed ones, on a queue, under a worker, or on the failed list.
//! They are looked at in the order in which a job goes on, so that one that moves meanwhile is met further on.

use std::collections::HashSet;

use bytes::Bytes;

use super::error::AdminError;
use super::queue_place::{self, QueuePlace};
use super::results;
use super::running::{self, Run, Which};
use super::waiting_jobs::{self, WaitingJob};
use super::watching::{self, LastWords};
use crate::job::queue_member::with_queue;
use crate::job::{ClaimToken, Identity, QueueName, RunEnd, RunOutcome};
use crate::store::delayed::{DelayedIdentities, DelayedJob, ScheduledAt};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// Where a followed job is.
#[derive(Debug)]
pub enum JobPlace {
    /// It runs.
    Runs(Box<Run>),
    /// It waits for this second.
    Delayed {
        /// The unix second.
        second: i64,
        /// Which attempt comes.
        identity: Identity,
    },
    /// It is on its queue, or may be behind the jobs that were looked at.
    Queued(QueueName),
    /// It has ended.
    Ended(LastWords),
    /// It is in none of these places.
    Nowhere,
    /// Nobody can tell: its bytes are not known.
    Unknown,
}

/// A job that is followed.
#[derive(Debug)]
pub struct Followed<'s> {
    store: &'s Store<Admin>,
    registry: &'s Registry,
    id: String,
    /// Its bytes and where they go, if they are known.
    job: Option<(QueueName, Bytes)>,
    /// The runs that are over.
    over: HashSet<ClaimToken>,
}

/// Does a job end so? If not, it runs again.
#[must_use]
pub fn is_end(outcome: &str) -> bool {
    let again = [RunEnd::Retried, RunEnd::Later, RunEnd::CutOff].map(RunOutcome::from);
    !again.iter().any(|again| again.word() == outcome)
}

impl<'s> Followed<'s> {
    /// The job that has this run.
    #[must_use]
    pub fn of_run(store: &'s Store<Admin>, registry: &'s Registry, run: &Run) -> Option<Self> {
        let id = run.view().id?;
        let job = run.whole_job().map(|(queue, payload)| (queue.clone(), payload.clone()));
        Some(Self { store, registry, id, job, over: HashSet::new() })
    }

    /// The job of this id that waits for its next run.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn waiting(
        store: &'s Store<Admin>,
        registry: &'s Registry,
        id: &str,
    ) -> Result<Option<Self>, AdminError> {
        let found = waiting_jobs::find(store, |other| other == id).await?.into_iter().next();
        Ok(found.map(|WaitingJob { queue, payload, .. }| {
            let job = Some((queue, payload));
            Self { store, registry, id: id.to_owned(), job, over: HashSet::new() }
        }))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &'s Store<Admin> {
        self.store
    }

    /// The id of the job.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// This run is over.
    pub fn is_over(&mut self, claim: &ClaimToken) {
        self.over.insert(claim.clone());
    }

    /// Looks where it is.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; another look may succeed.
    pub async fn look(&self) -> Result<JobPlace, AdminError> {
        if let Some((second, identity)) = self.delayed().await? {
            return Ok(JobPlace::Delayed { second, identity });
        }
        let queued = self.queued().await?;
        let names = [self.id.clone()];
        let (runs, _) = running::find(self.store, Which::Ids(&names), usize::MAX).await?;
        let goes_on = |run: &Run| run.claim().is_none_or(|claim| !self.over.contains(claim));
        let dead = runs.iter().any(|run| !goes_on(run));
        if let Some(run) = runs.into_iter().find(goes_on) {
            return Ok(JobPlace::Runs(Box::new(run)));
        }
        if let Some(result) = results::find(self.store, &self.id).await?.result {
            return Ok(JobPlace::Ended(result.last_words()));
        }
        if let Some(left) = watching::last_words(self.store, self.registry, &self.id, None).await?
            && is_end(&left.outcome)
        {
            return Ok(JobPlace::Ended(left));
        }
        Ok(match (queued, &self.job) {
            (Some(true), Some((queue, _))) => JobPlace::Queued(queue.clone()),
            // On the record of an instance that is dead it waits for its recovery.
            _ if dead => JobPlace::Unknown,
            (Some(false), _) => JobPlace::Nowhere,
            _ => JobPlace::Unknown,
        })
    }

    async fn delayed(&self) -> Result<Option<(i64, Identity)>, AdminError> {
        let Some((queue, payload)) = &self.job else { return Ok(None) };
        // What was put off names its queue.
        let payload = with_queue(payload, queue.as_str());
        let seconds = self.store.run(ScheduledAt { payload: payload.clone() }).await?;
        let at = |second: &i64| DelayedJob { second: *second, queue: queue.clone(), payload: payload.clone() };
        let jobs: Vec<_> = seconds.iter().map(at).collect();
        if jobs.is_empty() {
            return Ok(None);
        }
        let identities = self.store.run(DelayedIdentities { jobs }).await?;
        let own = |identity: &Identity| *identity.id == *self.id;
        Ok(seconds.into_iter().zip(identities).find_map(|(second, identity)| Some((second, identity.filter(own)?))))
    }

    /// Is such a job on its queue, or may it be? Equal ones are interchangeable. Nothing: its bytes are not known.
    async fn queued(&self) -> Result<Option<bool>, AdminError> {
        let Some((queue, payload)) = &self.job else { return Ok(None) };
        let forms = [payload.clone(), with_queue(payload, queue.as_str())];
        Ok(Some(queue_place::find(self.store, queue, &forms).await? != QueuePlace::Absent))
    }
}
