//! What becomes elsewhere of jobs that no task here has: another instance may have it, or it was a periodic task whose file
//! is gone.
//!
//! Before such a job fails the store is asked, once for all such jobs of half a minute. A pool that meets none asks nothing.
//!
//! A periodic task is withdrawn with all that waits and looks like its tick. So a job that waited while the task's entry still
//! stood goes with it, also if the withdrawal missed it. One that came later is no tick, whatever its arguments are.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::element::queues::QueuePatterns;
use crate::job::{QueueName, TaskName};
use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::instance::{InstanceRecord, Instances, MOST_INSTANCES};
use crate::store::periodic::Periodic;
use crate::store::role;

/// For how long an answer holds.
const HOLDS: Duration = Duration::from_secs(30);
/// How many periodic tasks without an instance are remembered, and how many of their ticks.
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
    /// By their ids the jobs that were put off because no instance declares their task.
    waiting: RefCell<HashMap<Arc<str>, Waiting>>,
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

struct Waiting {
    task: TaskName,
    since: Instant,
    /// The task had its entry after that.
    is_tick: bool,
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

    /// This job, which looks like the tick of such a task, is put off.
    pub(super) fn waits(&self, class: &TaskName, id: &Arc<str>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST {
            let new = || Waiting { task: class.clone(), since: Instant::now(), is_tick: false };
            waiting.entry(Arc::clone(id)).or_insert_with(new);
        }
    }

    /// Did this job wait while the entry of its task stood?
    pub(super) fn waited(&self, class: &TaskName, id: &str) -> bool {
        self.waiting.borrow().get(id).is_some_and(|waiting| waiting.is_tick && waiting.task == *class)
    }

    /// Waits until somebody wants to know what is not known.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Reads it. `own`: this instance.
    pub(super) async fn read(&self, store: &Store<role::Pool>, own: &str) -> Result<(), StoreError> {
        let begun = Instant::now();
        let instances = store.run(Instances).await?;
        let (entries, _) = store.run(Periodic::default()).await?;
        // What this one declares it has, until a reload takes it away.
        let records = instances.iter().map(|state| &state.record).filter(|record| record.id != *own);
        let others = records.clone().filter_map(Other::of).collect();
        // Of more instances than are known, one that is not may declare it.
        let all_known = instances.len() < MOST_INSTANCES;
        let is_declared = |task: &TaskName| !all_known || records.clone().any(|record| record.declares(task));
        let undeclared: HashSet<_> = entries
            .into_iter()
            .filter(|entry| !entry.stopped)
            .map(|entry| entry.task)
            .filter(|task| !is_declared(task))
            .take(MOST)
            .collect();
        self.learn(begun, others, undeclared, is_declared);
        Ok(())
    }

    /// Takes note of what the store said from `begun` on.
    fn learn(
        &self,
        begun: Instant,
        others: Vec<Other>,
        undeclared: HashSet<TaskName>,
        is_declared: impl Fn(&TaskName) -> bool,
    ) {
        let mut known = self.known.borrow_mut();
        let mut withdrawn = HashSet::new();
        if let Some(before) = known.take() {
            let both = before.undeclared.into_iter().chain(before.withdrawn);
            withdrawn = both.filter(|task| !undeclared.contains(task) && !is_declared(task)).take(MOST).collect();
        }
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|_, job| undeclared.contains(&job.task) || withdrawn.contains(&job.task));
        for job in waiting.values_mut() {
            job.is_tick |= job.since < begun && undeclared.contains(&job.task);
        }
        *known = Some(Known { read: Instant::now(), others, undeclared, withdrawn });
    }

    /// The store does not say: what is known stays, and jobs do not wait for more.
    pub(super) fn go_without(&self) {
        let mut known = self.known.borrow_mut();
        let (others, undeclared, withdrawn) = (Vec::new(), HashSet::new(), HashSet::new());
        known.get_or_insert(Known { read: Instant::now(), others, undeclared, withdrawn }).read = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(task: &str) -> TaskName {
        TaskName::as_stored(task)
    }

    fn whereabouts(elsewhere: &Elsewhere) -> Option<Whereabouts> {
        elsewhere.of(&name("report"), &QueueName::as_stored("q"))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_waited_while_its_task_stood_goes_with_it() {
        let (elsewhere, report) = (Elsewhere::default(), name("report"));
        let learn = |undeclared: &[&str], declared: &'static [&str]| {
            let undeclared = undeclared.iter().map(|task| name(task)).collect();
            elsewhere.learn(Instant::now(), Vec::new(), undeclared, |task| declared.contains(&task.as_str()));
        };
        let second = || tokio::time::advance(Duration::from_secs(1));
        let [tick, late, other]: [Arc<str>; 3] = ["tick", "late", "other"].map(Arc::from);
        learn(&["report", "backup"], &[]);
        assert_eq!(whereabouts(&elsewhere), Some(Whereabouts::Undeclared));
        elsewhere.waits(&report, &tick);
        elsewhere.waits(&name("backup"), &other);
        assert!(!elsewhere.waited(&report, &tick), "the task may have been withdrawn since it was read");
        second().await;
        learn(&["report", "backup"], &[]);
        assert!(elsewhere.waited(&report, &tick) && !elsewhere.waited(&report, &other));
        // It came while the answer was old: the task may be withdrawn already.
        elsewhere.waits(&report, &late);
        second().await;
        learn(&[], &["backup"]);
        assert_eq!(whereabouts(&elsewhere), Some(Whereabouts::Withdrawn));
        assert!(elsewhere.waited(&report, &tick), "the withdrawal missed it");
        assert!(!elsewhere.waited(&report, &late) && !elsewhere.waited(&report, "by hand"));
        assert!(!elsewhere.waited(&name("backup"), &other), "an instance has that again");
        // Somebody brings the file back and takes it away again.
        learn(&[], &["report"]);
        learn(&["report"], &[]);
        assert!(!elsewhere.waited(&report, &tick));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_ticks_is_bounded() {
        let elsewhere = Elsewhere::default();
        (0..2 * MOST).for_each(|n| elsewhere.waits(&name("report"), &Arc::from(n.to_string())));
        assert_eq!(elsewhere.waiting.borrow().len(), MOST);
    }
}
