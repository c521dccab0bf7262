//! The delayed jobs that are due first. Jobs that cannot begin are put off again and again, and so they are among these.

use std::collections::BTreeMap;

use crate::admin::delayed::SecondsWalk;
use crate::admin::error::AdminError;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::role::Admin;

/// How many delayed jobs are looked at.
const MOST: i64 = 2000;
/// How many are read together.
const PAGE: i64 = 64;

/// How many there are of each class that goes to a queue.
pub(super) struct Soon(BTreeMap<(QueueName, String), u64>);

impl Soon {
    /// Reads the first of them.
    pub(super) async fn read(store: &Store<Admin>) -> Result<Self, AdminError> {
        let (mut groups, mut looked) = (BTreeMap::new(), 0);
        let mut walk = SecondsWalk::new(store);
        while looked < MOST
            && let Some(page) = walk.next().await?
        {
            for second in page.into_iter().map(|due| due.second) {
                let mut start = 0;
                while looked < MOST {
                    let list = JobList::Delayed(second);
                    let jobs = store.run(ListJobs { list, start, stop: start + PAGE - 1 }).await?;
                    let read = i64::try_from(jobs.len()).unwrap_or(PAGE);
                    for (class, queue) in jobs.iter().filter_map(ListedJob::class_and_queue) {
                        let Some(queue) = queue else { continue };
                        *groups.entry((QueueName::as_stored(&queue), class)).or_default() += 1;
                    }
                    (start, looked) = (start + PAGE, looked + read);
                    if read < PAGE {
                        break;
                    }
                }
                // A second that holds nothing costs a look, too.
                looked += 1;
                if looked >= MOST {
                    break;
                }
            }
        }
        Ok(Self(groups))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&(QueueName, String), &u64)> {
        self.0.iter()
    }

    /// Those that go to this queue.
    pub(super) fn on(&self, queue: &QueueName) -> impl Iterator<Item = (&(QueueName, String), &u64)> {
        let queue = queue.clone();
        self.0.iter().filter(move |((place, _), _)| *place == queue)
    }

    /// The queues to which jobs of this class go.
    pub(super) fn places(&self, class: &str) -> impl Iterator<Item = &QueueName> {
        self.0.keys().filter(move |(_, other)| other == class).map(|(place, _)| place)
    }
}
