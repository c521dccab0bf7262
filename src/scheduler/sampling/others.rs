//! The workers of other programs, which take jobs and do not count them.

use std::collections::HashSet;

use crate::job::{QueueName, WorkerName};
use crate::store::instance::{InstanceState, Instances};
use crate::store::role::Scheduler;
use crate::store::workers::WorkerNames;
use crate::store::{Store, StoreError};

/// How many workers are looked at. Where there are more, others may work on every queue.
const MOST: usize = 100_000;

/// The queues that others work on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Others {
    all: bool,
    named: HashSet<String>,
}

impl Others {
    fn of(workers: &[WorkerName], instances: &[InstanceState]) -> Self {
        let ours: HashSet<&str> = instances.iter().map(|state| state.record.name.as_str()).collect();
        let is_ours =
            |worker: &&WorkerName| worker.name().rsplit_once('+').is_some_and(|(name, _)| ours.contains(name));
        let mut others = Self { all: workers.len() >= MOST, named: HashSet::new() };
        for worker in workers.iter().filter(|worker| !is_ours(worker)) {
            for queue in worker.queues().unwrap_or("*").split(',') {
                // Each program has patterns of its own.
                if queue.contains(['*', '?', '!', '[', '{', '/']) || queue.is_empty() {
                    others.all = true;
                } else {
                    others.named.insert(queue.trim().to_owned());
                }
            }
        }
        others
    }

    /// May others take jobs from this queue?
    pub(super) fn work_on(&self, queue: &QueueName) -> bool {
        self.all || self.named.contains(queue.as_str())
    }
}

/// Reads who else works.
///
/// # Errors
/// Fails when the store cannot be reached.
pub(super) async fn read(store: &Store<Scheduler>) -> Result<Others, StoreError> {
    let workers = store.run(WorkerNames { limit: MOST }).await?;
    if workers.is_empty() {
        return Ok(Others::default());
    }
    Ok(Others::of(&workers, &store.run(Instances).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::instance::{HostIdentity, InstanceRecord};

    fn instance(name: &str) -> InstanceState {
        let host = HostIdentity {
            hostname: "h".to_owned(),
            boot_id: "b".to_owned(),
            pid_namespace: 1,
            pid: 7,
            started_ticks: 1,
        };
        let record = InstanceRecord {
            id: "00ff".to_owned(),
            name: name.to_owned(),
            queues: "*".to_owned(),
            former_queues: Vec::new(),
            host,
            processors: 2,
            lease_ms: 15_000,
            periodic: Vec::new(),
            version: "1".to_owned(),
            halt: None,
            tasks: None,
            skipped: Vec::new(),
            stuck: None,
            reload_refused: None,
            queues_given: false,
        };
        InstanceState { record, counter: 1 }
    }

    #[test]
    fn who_is_no_instance_takes_jobs_uncounted() {
        let workers = |ids: &[&str]| ids.iter().map(|id| WorkerName::parse(id)).collect::<Vec<_>>();
        let of = |ids: &[&str]| Others::of(&workers(ids), &[instance("h-windlass:7")]);
        let (mail, other) = (QueueName::as_stored("mail"), QueueName::as_stored("other"));
        let ours = of(&["h-windlass:7+1:*", "h-windlass:7+2:mail"]);
        assert_eq!(ours, Others::default());
        let ruby = of(&["h-windlass:7+1:*", "web-2:88:mail,high"]);
        assert!(ruby.work_on(&mail) && !ruby.work_on(&other));
        for pattern in ["web-2:88:*", "web-2:88:hi*,mail", "web-2:88", "h-windlass:77+1:*"] {
            assert!(of(&[pattern]).work_on(&other), "{pattern}");
        }
    }
}
