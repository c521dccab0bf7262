//! How many children serve the jobs of each task, and how they ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tally::{MOST_TASKS, OTHER};
use crate::job::TaskName;

/// Why a child ended, so that another one takes its place when there are jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was asked to: it had served enough jobs, its task changed, or the daemon ends.
    Asked,
    /// It ended by itself or was killed.
    Died,
    /// It never served a job.
    FailedStart,
}

impl Gone {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Asked, Self::Died, Self::FailedStart];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Died => "died",
            Self::FailedStart => "failed_start",
        }
    }
}

/// The children of all tasks. Of too many tasks the last count together.
#[derive(Debug, Default)]
pub(super) struct Children(Mutex<HashMap<TaskName, Arc<TaskChildren>>>);

/// The children of a task.
#[derive(Debug, Default)]
pub struct TaskChildren {
    here: AtomicU64,
    gone: [AtomicU64; Gone::ALL.len()],
}

/// The children of a task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildrenOf {
    /// The task.
    pub task: TaskName,
    /// How many there are.
    pub here: u64,
    /// How many ended for each reason, in the order of [`Gone::ALL`].
    pub gone: [u64; Gone::ALL.len()],
}

impl Children {
    pub(super) fn of(&self, task: &TaskName) -> Arc<TaskChildren> {
        let mut tasks = self.lock();
        let is_named = tasks.contains_key(task) || tasks.len() < MOST_TASKS;
        let name = if is_named { task.clone() } else { TaskName::as_stored(OTHER) };
        Arc::clone(tasks.entry(name).or_default())
    }

    pub(super) fn read(&self) -> Vec<ChildrenOf> {
        let read = |(task, children): (&TaskName, &Arc<TaskChildren>)| ChildrenOf {
            task: task.clone(),
            here: children.here.load(Ordering::Relaxed),
            gone: children.gone.each_ref().map(|count| count.load(Ordering::Relaxed)),
        };
        self.lock().iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskName, Arc<TaskChildren>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskChildren {
    /// One more is started.
    pub fn started(&self) {
        self.here.fetch_add(1, Ordering::Relaxed);
    }

    /// One that was started is gone.
    pub fn ended(&self, why: Gone) {
        self.here.fetch_sub(1, Ordering::Relaxed);
        self.gone[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_counted_by_task_and_of_too_many_tasks_together() {
        let children = Children::default();
        for number in 0..MOST_TASKS + 5 {
            children.of(&TaskName::as_stored(&format!("t{number}"))).started();
        }
        let first = children.of(&TaskName::as_stored("t0"));
        first.started();
        first.ended(Gone::Died);
        let read = children.read();
        let find = |name: &str| read.iter().find(|one| one.task.as_str() == name).unwrap();
        assert_eq!(read.len(), MOST_TASKS + 1);
        assert_eq!((find("t0").here, find("t0").gone), (1, [0, 1, 0]));
        assert_eq!(find(OTHER).here, 5);
    }
}
