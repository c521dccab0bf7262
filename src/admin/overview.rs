//! Counters and leaders.

use serde::Serialize;

use super::copy::AsideView;
use super::error::AdminError;
use super::held_back::HeldBack;
use super::queues::QueueView;
use super::workers::WorkerView;
use crate::store::handle::Store;
use crate::store::inspection::{FailedCount, ReadStats};
use crate::store::role::Admin;
use crate::store::scheduling::{Leader, Leadership, ReadRubyLeader};
use crate::store::unreadable::CountUnreadable;
use crate::task::zones::ZoneRelease;

/// What Windlass appends to the host's name in the names of its workers and leaders.
const HOST_SUFFIX: &str = "-windlass";

/// How many queues and workers are shown at most.
pub const LISTED: usize = 1000;

/// The counters.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct StatsView {
    /// Jobs processed since the counter began.
    pub processed: u64,
    /// Jobs failed since the counter began.
    pub failed: u64,
    /// The same for each registered worker, at most [`LISTED`].
    pub workers: Vec<WorkerStats>,
    /// Are there more workers? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// One worker's counters.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker.
    pub name: String,
    /// Jobs it did.
    pub processed: u64,
    /// Jobs that failed under it.
    pub failed: u64,
}

/// The leaders.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct LeaderView {
    /// The scheduler that promotes delayed jobs, of Windlass or node-resque.
    pub leader: Option<String>,
    /// The Windlass instance that does the periodic tasks and recovery.
    pub duties: Option<String>,
    /// The leader of Ruby's resque-scheduler, to which due jobs are left while it moves them. Left out of JSON if there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resque_scheduler: Option<String>,
}

/// All of it together: ActionHero's `details`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Details {
    /// The queues and how many jobs each holds, at most [`LISTED`].
    pub queues: Vec<QueueView>,
    /// Are there more queues? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_queues: bool,
    /// More queues are known than one look reads, at least so many: these are those that hold jobs, as far as the leader has
    /// seen, paused ones, and some of the others. Left out of JSON if all names were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_of: Option<u64>,
    /// What holds jobs back. Left out of JSON if nothing does.
    #[serde(flatten)]
    pub held_back: HeldBack,
    /// The workers and what each works on, at most [`LISTED`].
    pub workers: Vec<WorkerView>,
    /// Are there more workers? Left out of JSON if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_workers: bool,
    /// How many jobs wait in the failed list.
    pub failed: u64,
    /// The counters.
    pub stats: StatsView,
    /// The leaders.
    #[serde(flatten)]
    pub leader: LeaderView,
    /// Records that cannot be read and are passed over, for each kind of which there are any. Of very many names of queues and
    /// workers the first are looked at.
    pub unreadable: Vec<UnreadableView>,
    /// The release of the tz database by which this program computes times.
    pub time_zones: ZoneRelease,
    /// What a `store copy` has set aside: no queue holds it. Left out of JSON if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<AsideView>,
}

/// How many records of a kind cannot be read.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct UnreadableView {
    /// The kind, for people.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
}

/// Reads everything, each part in a few round trips.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn details(store: &Store<Admin>) -> Result<Details, AdminError> {
    // Each on the heap: together they are large, and a thread of a server has a small stack.
    let (queues, workers, failed, stats, leader, unreadable) = tokio::join!(
        Box::pin(super::queues::list(store, LISTED)),
        Box::pin(super::worker_page::list(store, LISTED)),
        Box::pin(store.run(FailedCount)),
        Box::pin(stats(store)),
        Box::pin(leader(store)),
        Box::pin(store.run(CountUnreadable)),
    );
    let unreadable = unreadable?.into_iter();
    let unreadable =
        unreadable.map(|one| UnreadableView { kind: one.kind.noun(one.count), count: one.count }).collect();
    let (queues, workers) = (queues?, workers?);
    Ok(Details {
        queues: queues.queues,
        more_queues: queues.more,
        sampled_of: queues.sampled_of,
        held_back: workers.held_back,
        workers: workers.workers,
        more_workers: workers.more,
        failed: failed?,
        stats: stats?,
        leader: leader?,
        unreadable,
        time_zones: ZoneRelease::here(),
        set_aside: queues.set_aside,
    })
}

/// Reads the counters.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn stats(store: &Store<Admin>) -> Result<StatsView, AdminError> {
    // One more than the limit shows whether there are more.
    let stats = store.run(ReadStats { limit: LISTED + 1 }).await?;
    let mut workers: Vec<_> =
        stats.workers.into_iter().map(|(name, processed, failed)| WorkerStats { name, processed, failed }).collect();
    let more = workers.len() > LISTED;
    workers.truncate(LISTED);
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(StatsView { processed: stats.processed, failed: stats.failed, workers, more })
}

/// Reads the leaders.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn leader(store: &Store<Admin>) -> Result<LeaderView, AdminError> {
    let (leader, duties, resque_scheduler) = tokio::join!(
        store.run(Leader { which: Leadership::Scheduler }),
        store.run(Leader { which: Leadership::Duties }),
        store.run(ReadRubyLeader),
    );
    Ok(LeaderView { leader: leader?, duties: duties?, resque_scheduler: resque_scheduler? })
}

impl LeaderView {
    /// Does the leader run on this host?
    #[must_use]
    pub fn is_on(&self, host: &str) -> bool {
        self.leader.as_deref().is_some_and(|leader| {
            let name = leader.split(':').next().unwrap_or(leader);
            name == host || name.strip_suffix(HOST_SUFFIX) == Some(host)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaders_host_is_known_no_matter_who_leads() {
        let on = |leader: Option<&str>| {
            let leader = leader.map(str::to_owned);
            LeaderView { leader, duties: None, resque_scheduler: None }.is_on("web-1")
        };
        assert!(on(Some("web-1:4711")));
        assert!(on(Some("web-1-windlass:4711")));
        assert!(!on(Some("web-10:4711")));
        assert!(!on(Some("web-1-other:4711")));
        assert!(!on(None));
    }
}
