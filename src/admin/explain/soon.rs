//! The delayed jobs that are due first. Jobs that cannot begin are put off again and again, and so they are among these.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};

use super::locks::Met;
use crate::admin::delayed::SecondsWalk;
use crate::admin::error::AdminError;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs};
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How many delayed jobs are looked at.
const MOST: i64 = 2000;
/// How many looks at jobs are under way at a time: each may hold jobs of any length.
pub(super) const AT_ONCE: usize = 8;
/// How many are read together.
const PAGE: i64 = 64;

/// How many there are of each class that goes to a queue.
pub(super) struct Soon {
    groups: BTreeMap<(QueueName, String), u64>,
    locks: Met,
}

impl Soon {
    /// Reads the first of them.
    pub(super) async fn read(store: &Store<Admin>, registry: &Registry) -> Result<Self, AdminError> {
        let (mut groups, mut locks, mut room) = (BTreeMap::new(), Met::default(), MOST);
        let mut walk = SecondsWalk::new(store);
        while room > 0
            && let Some(page) = walk.next().await?
        {
            let mut looks = Vec::new();
            for due in page {
                let jobs = i64::try_from(due.length).unwrap_or(i64::MAX).min(room);
                let parts = (0..jobs).step_by(usize::try_from(PAGE).unwrap_or(1));
                looks.extend(parts.map(|start| {
                    let stop = (start + PAGE).min(jobs) - 1;
                    store.run(ListJobs { list: JobList::Delayed(due.second), start, stop })
                }));
                // A second that holds nothing costs a look, too.
                room -= jobs.max(1);
                if room <= 0 {
                    break;
                }
            }
            let mut looks = stream::iter(looks).buffered(AT_ONCE);
            while let Some(jobs) = looks.next().await {
                for job in jobs? {
                    let Some((class, Some(queue))) = job.class_and_queue() else { continue };
                    let queue = QueueName::as_stored(&queue);
                    locks.add(registry, &queue, &job);
                    *groups.entry((queue, class)).or_default() += 1;
                }
            }
        }
        Ok(Self { groups, locks })
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&(QueueName, String), &u64)> {
        self.groups.iter()
    }

    /// Those that go to this queue.
    pub(super) fn on(&self, queue: &QueueName) -> impl Iterator<Item = (&(QueueName, String), &u64)> {
        let queue = queue.clone();
        self.groups.iter().filter(move |((place, _), _)| *place == queue)
    }

    /// The JobLocks that they will meet.
    pub(super) fn into_locks(self) -> Met {
        self.locks
    }

    /// The queues to which jobs of this class go.
    pub(super) fn places(&self, class: &str) -> impl Iterator<Item = &QueueName> {
        self.groups.keys().filter(move |(_, other)| other == class).map(|(place, _)| place)
    }
}
