//! What becomes elsewhere of jobs that no task here has: another instance may have it, or it was a periodic task whose file
//! is gone.
//!
//! Before such a job fails the store is asked, once for all such jobs of half a minute. A pool that meets none asks nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::element::queues::QueuePatterns;
use crate::job::{QueueName, TaskName};
use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::instance::{InstanceRecord, Instances};
use crate::store::periodic::Periodic;
use crate::store::role;

/// For how long an answer holds.
const HOLDS: Duration = Duration::from_secs(30);
/// How many periodic tasks without an instance are remembered.
const MOST: usize = 1000;

/// Who has a task that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// This instance, which works on the queue.
    Instance(String),
    /// Nobody, and it is periodic: the leader withdraws it, with its tick, if that stays so.
    Undeclared,
    /// Nobody, and it was periodic until it was withdrawn.
    Withdrawn,
    /// Nobody.
    Nowhere,
}

/// What is known of it.
#[derive(Default)]
pub(super) struct Elsewhere {
    known: RefCell<Option<Known>>,
    wanted: Notify,
}

struct Known {
    read: Instant,
    others: Vec<Other>,
    /// Periodic tasks that no instance declares.
    undeclared: HashSet<TaskName>,
    /// Those that were of that kind.
    withdrawn: HashSet<TaskName>,
}

/// Another instance.
struct Other {
    label: String,
    tasks: HashSet<String>,
    /// `None`: they cannot be read.
    queues: Option<QueuePatterns>,
}

impl Other {
    fn of(record: &InstanceRecord) -> Option<Self> {
        let tasks = record.tasks.iter().flatten().cloned().collect();
        let queues = QueuePatterns::new(record.queues.split(',').map(str::to_owned).collect()).ok();
        let label = format!("instance {}", record.name);
        (record.processors > 0).then_some(Self { label, tasks, queues })
    }

    fn serves(&self, queue: &QueueName) -> bool {
        let resolves = |patterns: &QueuePatterns| patterns.resolve(std::slice::from_ref(queue)).queues.contains(queue);
        self.queues.as_ref().is_none_or(resolves)
    }
}

impl Elsewhere {
    /// Who has this task? `None`: that is not known yet.
    pub(super) fn of(&self, class: &TaskName, queue: &QueueName) -> Option<Whereabouts> {
        let known = self.known.borrow();
        if known.as_ref().is_none_or(|known| known.read.elapsed() > HOLDS) {
            self.wanted.notify_one();
        }
        let known = known.as_ref()?;
        let has = |other: &&Other| other.tasks.contains(class.as_str()) && other.serves(queue);
        Some(match known.others.iter().find(has) {
            Some(other) => Whereabouts::Instance(other.label.clone()),
            None if known.undeclared.contains(class) => Whereabouts::Undeclared,
            None if known.withdrawn.contains(class) => Whereabouts::Withdrawn,
            None => Whereabouts::Nowhere,
        })
    }

    /// Waits until somebody wants to know what is not known.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Reads it. `own`: this instance.
    pub(super) async fn read(&self, store: &Store<role::Pool>, own: &str) -> Result<(), StoreError> {
        let instances = store.run(Instances).await?;
        let (entries, _) = store.run(Periodic { job_locks: Vec::new() }).await?;
        // What this one declares it has, until a reload takes it away.
        let records = instances.iter().map(|state| &state.record).filter(|record| record.id != *own);
        let others = records.clone().filter_map(Other::of).collect();
        let is_declared = |task: &TaskName| records.clone().any(|record| record.declares(task));
        let undeclared: HashSet<_> = entries
            .into_iter()
            .filter(|entry| !entry.stopped)
            .map(|entry| entry.task)
            .filter(|task| !is_declared(task))
            .take(MOST)
            .collect();
        let mut known = self.known.borrow_mut();
        let mut withdrawn = HashSet::new();
        if let Some(before) = known.take() {
            let both = before.undeclared.into_iter().chain(before.withdrawn);
            withdrawn = both.filter(|task| !undeclared.contains(task) && !is_declared(task)).take(MOST).collect();
        }
        *known = Some(Known { read: Instant::now(), others, undeclared, withdrawn });
        Ok(())
    }

    /// The store does not say: what is known stays, and jobs do not wait for more.
    pub(super) fn go_without(&self) {
        let mut known = self.known.borrow_mut();
        let (others, undeclared, withdrawn) = (Vec::new(), HashSet::new(), HashSet::new());
        known.get_or_insert(Known { read: Instant::now(), others, undeclared, withdrawn }).read = Instant::now();
    }
}
