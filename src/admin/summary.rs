//! How the fleet stands, in a few numbers: what a page shows first.

use serde::Serialize;

use super::error::AdminError;
use super::gauges::Gauges;
use super::history::{CountsView, Window, in_time};
use super::overview::{LeaderView, leader};
use crate::client::moment::Moment;
use crate::store::handle::Store;
use crate::store::inspection::ReadStats;
use crate::store::role::Admin;
use crate::store::sampling::AskForSamples;
use crate::store::snapshot::{Counted, QueueGauge};
use crate::task::definition::Registry;

/// How the fleet stands.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Summary {
    /// When it was read, by the store's time: RFC 3339 with milliseconds, in UTC.
    pub as_of: String,
    /// The same in milliseconds since the Unix epoch.
    pub as_of_ms: i64,
    /// How many queues are looked at, at most 500: of more, those that hold jobs first, as far as the leader has seen.
    pub queues: u64,
    /// Are there more? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_queues: bool,
    /// How many jobs wait on them. If there are more queues, and the leader has counted more jobs: as many as it has.
    pub jobs: u64,
    /// How many of them are paused.
    pub paused_queues: u64,
    /// At least so old is the oldest job, in milliseconds. Left out if no leader samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// The queue where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_on: Option<String>,
    /// How many jobs came to all queues in the last minute. Left out if no leader has sampled for that long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_per_minute: Option<u64>,
    /// How many went in the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_per_minute: Option<u64>,
    /// How long ago the leader looked at the queues, in milliseconds. Left out if no leader samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_ago_ms: Option<u64>,
    /// How many jobs stand on the failed list.
    pub failed: u64,
    /// For how long the first delayed job has been due, in milliseconds; 0 if it is not.
    pub promotion_lag_ms: u64,
    /// How many jobs were done since that is counted.
    pub processed_in_all: u64,
    /// How many failed since that is counted.
    pub failed_in_all: u64,
    /// How many instances of Windlass are registered.
    pub instances: u64,
    /// Who leads.
    #[serde(flatten)]
    pub leader: LeaderView,
    /// What ran on instances of Windlass in the last hour.
    pub last_hour: CountsView,
}

/// Reads it, beside these gauges, and asks the leader to sample often, because anyone who looks once looks again.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn summary(store: &Store<Admin>, registry: &Registry, gauges: &Gauges) -> Result<Summary, AdminError> {
    // Each on the heap: together they are large, and a thread of a server has a small stack.
    let (stats, leader, hour, asked) = tokio::join!(
        Box::pin(store.run(ReadStats { limit: 0 })),
        Box::pin(leader(store)),
        Box::pin(in_time(store, registry, None, Window::Hour)),
        Box::pin(store.run(AskForSamples)),
    );
    // Who may only read is told of samples that are taken anyway.
    drop(asked);
    let (stats, now_ms) = (stats?, gauges.now_ms);
    let sampled = gauges.snapshot.as_ref();
    let oldest = sampled.and_then(|snapshot| {
        let waiting = snapshot.queues.iter().filter(|queue| queue.jobs > 0);
        waiting.filter_map(|queue| Some((queue.age_ms?, &queue.queue))).max()
    });
    // Jobs of a queue that is there for less than a minute came within that minute. If there is no other, a minute is not known.
    let sum = |rate: fn(&QueueGauge) -> Option<u64>, counted: fn(&Counted) -> u64| {
        let queues = &sampled?.queues;
        let of = |queue: &QueueGauge| rate(queue).or(queue.counted.as_ref().map(counted));
        (queues.is_empty() || queues.iter().any(|queue| rate(queue).is_some()))
            .then(|| queues.iter().filter_map(of).fold(0_u64, u64::saturating_add))
    };
    Ok(Summary {
        as_of: Moment::of_ms(now_ms).map(Moment::rfc3339_ms).unwrap_or_default(),
        as_of_ms: now_ms,
        queues: u64::try_from(gauges.queues.len()).unwrap_or(u64::MAX),
        more_queues: gauges.more_queues,
        jobs: jobs(gauges),
        paused_queues: u64::try_from(gauges.queues.iter().filter(|queue| queue.paused).count()).unwrap_or(u64::MAX),
        oldest_ms: oldest.map(|(ms, _)| ms),
        oldest_on: oldest.map(|(_, queue)| queue.clone()),
        in_per_minute: sum(|queue| queue.arrived_per_minute, |counted| counted.arrived),
        out_per_minute: sum(|queue| queue.departed_per_minute, |counted| counted.departed),
        sampled_ago_ms: sampled.and_then(|snapshot| snapshot.age_ms(now_ms)),
        failed: gauges.failed,
        promotion_lag_ms: u64::try_from(gauges.promotion_lag.as_millis()).unwrap_or(u64::MAX),
        processed_in_all: stats.processed,
        failed_in_all: stats.failed,
        instances: gauges.instances,
        leader: leader?,
        last_hour: hour?.total,
    })
}

/// How many jobs wait.
fn jobs(gauges: &Gauges) -> u64 {
    let looked_at = gauges.queues.iter().map(|queue| queue.jobs).sum();
    let sampled = gauges.snapshot.as_ref().filter(|_| gauges.more_queues);
    let of_all = sampled.map_or(0, |snapshot| {
        snapshot.queues.iter().map(|queue| queue.jobs).sum::<u64>().saturating_add(snapshot.other_jobs)
    });
    of_all.max(looked_at)
}
