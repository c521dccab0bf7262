//! JobLocks that jobs meet, and those among them that nobody will free: their run is over, or was never one of ours.
//!
//! A lock that a run holds is the order of things, and only a job that is asked for by name is told of it. One that no run
//! holds stops its jobs until it runs out, and one that another program left may never do so.

use std::collections::BTreeMap;

use super::cause::{Cause, Finding};
use super::fleet::{Fleet, RunFacts, runs_now};
use crate::admin::error::AdminError;
use crate::client::moment::Moment;
use crate::job::{Args, LockKey, PayloadView, QueueName};
use crate::plugin::chain::Chain;
use crate::store::handle::Store;
use crate::store::listed::ListedJob;
use crate::store::role::Admin;
use crate::store::workers::LockValues;
use crate::task::definition::Registry;
use crate::text::clean::named;
use crate::text::shell;

/// How many locks are asked about at most, and how many together.
const MOST: usize = 1000;
const ASKED: usize = 500;

/// The JobLocks of some jobs, each with the queue and the class of a job that meets it.
#[derive(Debug, Default)]
pub(super) struct Met(BTreeMap<LockKey, (QueueName, String)>);

impl Met {
    /// Adds the lock that this job will meet. Of a task that is not known here it is the one that node-resque would take.
    pub(super) fn add(&mut self, registry: &Registry, queue: &QueueName, job: &ListedJob) {
        let Some(job) = job.whole().and_then(|bytes| PayloadView::parse(bytes).ok()) else { return };
        let Ok(args) = Args::of(&job) else { return };
        let key = match registry.get(&job.class) {
            Some(task) => Chain::of(task).job_lock(queue, &args).map(|(key, _)| key),
            None => Some(LockKey::job_lock(&job.class, queue.as_str(), args.as_str())),
        };
        if let Some(key) = key.filter(|_| self.0.len() < MOST) {
            self.0.entry(key).or_insert_with(|| (queue.clone(), job.class.into_owned()));
        }
    }

    /// The lock of one job.
    pub(super) fn of(key: LockKey, queue: &QueueName, class: &str) -> Self {
        Self([(key, (queue.clone(), class.to_owned()))].into())
    }

    /// Those of jobs of this queue, or of this class.
    pub(super) fn only(mut self, is_meant: impl Fn(&QueueName, &str) -> bool) -> Self {
        self.0.retain(|_, (queue, class)| is_meant(queue, class));
        self
    }

    /// Takes over those of others.
    pub(super) fn extend(&mut self, others: Self) {
        let room = MOST.saturating_sub(self.0.len());
        self.0.extend(others.0.into_iter().take(room));
    }

    /// Those that are held.
    async fn held(self, store: &Store<Admin>) -> Result<Vec<Held>, AdminError> {
        let (locks, mut held): (Vec<_>, _) = (self.0.into_iter().collect(), Vec::new());
        for some in locks.chunks(ASKED) {
            let keys = some.iter().map(|(key, _)| key.clone()).collect();
            let values = store.run(LockValues { keys }).await?;
            let of = |((key, (queue, class)), value): (&(LockKey, (QueueName, String)), Option<String>)| {
                Some(Held { key: key.clone(), value: value?, queue: queue.clone(), class: class.clone() })
            };
            held.extend(some.iter().zip(values).filter_map(of));
        }
        Ok(held)
    }

    /// What is to be told of those that are held, although no run has them.
    pub(super) async fn left_behind(self, store: &Store<Admin>, fleet: &Fleet) -> Result<Vec<Finding>, AdminError> {
        let (left, _) = self.judged(store, fleet).await?;
        let told = left.into_iter().map(|lock| {
            let text = format!(
                "jobs of {} on {} are put off again and again: {}",
                named(&lock.class),
                named(&lock.queue),
                lock.left_text("their")
            );
            lock.freed(Finding::blocks(Cause::LockHeld, text))
        });
        Ok(told.collect())
    }

    /// What is to be told to one who asks for a job by its name.
    pub(super) async fn by_name(self, store: &Store<Admin>, fleet: &Fleet) -> Result<Vec<Finding>, AdminError> {
        let (left, had) = self.judged(store, fleet).await?;
        let left = left.into_iter().map(|lock| {
            let text = format!("it is put off again and again: {}", lock.left_text("its"));
            lock.freed(Finding::blocks(Cause::LockHeld, text))
        });
        let had = had.into_iter().map(|lock| {
            let owner = lock.owner().map(|claim| format!(" by the run with claim {}", named(&claim)));
            let text = format!(
                "its JobLock {} is held{}; it is put off until that is free",
                named(&lock.key.as_str()),
                owner.unwrap_or_default()
            );
            Finding::blocks(Cause::LockHeld, text).command("windlass jobs list").fact("lock", lock.key.as_str())
        });
        Ok(left.chain(had).collect())
    }

    /// The locks that are held: those that no run has, and those that one has, or may have.
    async fn judged(self, store: &Store<Admin>, fleet: &Fleet) -> Result<(Vec<Held>, Vec<Held>), AdminError> {
        let held = self.held(store).await?;
        let (mut had, suspected): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|lock| fleet.blind || fleet.cut || lock.is_had(&fleet.runs));
        if suspected.is_empty() {
            return Ok((Vec::new(), had));
        }
        // A run may have begun, or ended, between the looks at the runs and at the locks. So both are looked at again, the
        // runs first: a lock that one run holds all the while is held by none of them.
        let Some(runs) = runs_now(store).await? else {
            had.extend(suspected);
            return Ok((Vec::new(), had));
        };
        let again = suspected.iter().map(|lock| (lock.key.clone(), (lock.queue.clone(), lock.class.clone())));
        let again = Self(again.collect()).held(store).await?;
        let (left, others) = again.into_iter().partition(|lock| {
            let is_same = |before: &&Held| before.key == lock.key && before.owner() == lock.owner();
            suspected.iter().any(|before| is_same(&before)) && !lock.is_had(&runs)
        });
        had.extend::<Vec<Held>>(others);
        Ok((left, had))
    }
}

/// A lock that is held.
struct Held {
    key: LockKey,
    /// `<until>:<claim>`, or what another program wrote.
    value: String,
    queue: QueueName,
    class: String,
}

impl Held {
    /// The claim that has it, if it is one of ours.
    fn owner(&self) -> Option<&str> {
        self.value.split_once(':').map(|(_, claim)| claim)
    }

    /// Does one of these runs have it? Of another program's lock it is not known whose it is.
    fn is_had(&self, runs: &[RunFacts]) -> bool {
        runs.iter().any(|run| match (self.owner(), &run.record.claim) {
            (Some(owner), Some(claim)) => claim.as_str() == owner,
            (None, None) => run.class.as_deref() == Some(&self.class) && run.record.queue.as_ref() == Some(&self.queue),
            _ => false,
        })
    }

    fn left_text(&self, whose: &str) -> String {
        let until = self.value.split_once(':').and_then(|(until, _)| until.parse().ok());
        let until = until.map(|second| format!(" until {}", Moment::of_second(second).rfc3339())).unwrap_or_default();
        let who = match self.owner() {
            Some(claim) => format!("by the run with claim {}, which is over", named(&claim)),
            None => "by another program, of which no worker has such a job".to_owned(),
        };
        format!("{whose} JobLock {} is held{until} {who}; to free it", named(&self.key.as_str()))
    }

    fn freed(&self, finding: Finding) -> Finding {
        let key = self.key.as_str();
        finding
            .command(shell::command("locks delete", &[key]))
            .fact("lock", key)
            .fact("task", self.class.as_str())
            .fact("queue", self.queue.as_str())
    }
}
