//! How long the jobs of queues wait: as the leader sampled it, or as the store knows it by itself.

use std::collections::HashMap;

use serde::Serialize;

use super::error::AdminError;
use crate::curve::Age;
use crate::job::QueueName;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::sampling::{AskForSamples, OldestJobs, ReadSnapshot};
use crate::store::snapshot::{QueueGauge, Snapshot};

/// How long jobs of a queue wait, and how many come and go. What is not known is left out of JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct QueueWait {
    /// At least so old is the oldest job, in milliseconds, when the leader looked; on SQLite now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// At most so old. Left out if the age is only known to be at least that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_most_ms: Option<u64>,
    /// Workers of other programs work on the queue, so that the age is for how long the same bytes stood at its head: equal
    /// jobs behind each other make it too high. Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oldest_stood: bool,
    /// How many jobs came in the last minute. Left out until a minute is known: then `counted_ms` and what follows tell what was
    /// counted so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_per_minute: Option<u64>,
    /// How many went in the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_per_minute: Option<u64>,
    /// For how long jobs are counted, as long as that is less than a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_ms: Option<u64>,
    /// How many jobs came in that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_in: Option<u64>,
    /// How many went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_out: Option<u64>,
    /// In how long the queue is empty if that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_in_ms: Option<u64>,
}

impl QueueWait {
    fn of(gauge: &QueueGauge) -> Self {
        Self {
            oldest_ms: gauge.age_ms,
            oldest_most_ms: gauge.age_most_ms,
            oldest_stood: gauge.stood,
            in_per_minute: gauge.arrived_per_minute,
            out_per_minute: gauge.departed_per_minute,
            counted_ms: gauge.counted.map(|counted| counted.over_ms),
            counted_in: gauge.counted.map(|counted| counted.arrived),
            counted_out: gauge.counted.map(|counted| counted.departed),
            empty_in_ms: gauge.empty_in_ms,
        }
    }

    /// The same for a queue that is empty by now.
    #[must_use]
    pub(super) fn emptied(self) -> Self {
        Self { oldest_ms: None, oldest_most_ms: None, oldest_stood: false, empty_in_ms: None, ..self }
    }

    /// The age of the oldest job.
    #[must_use]
    pub fn oldest(&self) -> Option<Age> {
        let (at_most_ms, stood) = (self.oldest_most_ms, self.oldest_stood);
        self.oldest_ms.map(|at_least_ms| Age { at_least_ms, at_most_ms, stood })
    }
}

/// What the leader told last.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The store's time; `None` if it could not be read.
    now_ms: Option<i64>,
    fresh: Option<Snapshot>,
    /// Why a write was refused for want of room.
    refused: Option<String>,
}

impl Waits {
    /// Reads it, and asks for more samples, because anyone who looks once looks again.
    pub(super) async fn read(store: &Store<Admin>) -> Result<Self, AdminError> {
        let (read, asked) = tokio::join!(Self::look(store), store.run(AskForSamples));
        // Who may only read is told of samples that are taken anyway. But that there is no room concerns all who write.
        let refused = match asked {
            Err(StoreError::Full(said)) => Some(said),
            Ok(()) | Err(_) => None,
        };
        Ok(Self { refused, ..read? })
    }

    /// Reads it.
    pub(super) async fn look(store: &Store<Admin>) -> Result<Self, AdminError> {
        let published = match store.run(ReadSnapshot).await {
            Ok(published) => published,
            Err(error) if error.is_transient() => return Err(error.into()),
            // Something else stands in its place. The lengths are known all the same.
            Err(_) => return Ok(Self::default()),
        };
        let now_ms = published.now_ms;
        let snapshot = published.bytes.and_then(|bytes| Snapshot::read(&bytes).ok());
        Ok(Self { now_ms: Some(now_ms), refused: None, fresh: snapshot.filter(|snapshot| snapshot.is_fresh(now_ms)) })
    }

    /// Why a write was refused for want of room, if that was so when this was read.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// How long ago the leader sampled; `None` if nobody does.
    pub(super) fn sampled_ago_ms(&self) -> Option<u64> {
        self.fresh.as_ref()?.age_ms(self.now_ms?)
    }

    /// The queues that held jobs when the leader looked.
    pub(super) fn holding(&self) -> Vec<QueueName> {
        let gauges = self.fresh.iter().flat_map(|snapshot| &snapshot.queues);
        gauges.filter(|gauge| gauge.jobs > 0).map(|gauge| QueueName::as_stored(&gauge.queue)).collect()
    }

    /// What is known of these queues, which hold jobs, and of all others that were sampled.
    pub(super) async fn of(
        &self,
        store: &Store<Admin>,
        holding: Vec<QueueName>,
    ) -> Result<HashMap<String, QueueWait>, AdminError> {
        let gauges = self.fresh.iter().flat_map(|snapshot| &snapshot.queues);
        let mut waits: HashMap<String, QueueWait> =
            gauges.map(|gauge| (gauge.queue.clone(), QueueWait::of(gauge))).collect();
        let Some(now_ms) = self.now_ms else { return Ok(waits) };
        let came = store.run(OldestJobs { queues: holding.clone() }).await?;
        for (queue, came_ms) in holding.iter().zip(came) {
            if let Some(came_ms) = came_ms {
                let wait = waits.entry(queue.as_str().to_owned()).or_default();
                let age = u64::try_from(now_ms.saturating_sub(came_ms)).unwrap_or(0);
                (wait.oldest_ms, wait.oldest_most_ms, wait.oldest_stood) = (Some(age), Some(age), false);
            }
        }
        Ok(waits)
    }
}
