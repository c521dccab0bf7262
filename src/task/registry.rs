//! All tasks, as one immutable snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::TaskDefinition;
use crate::job::TaskName;

/// The tasks by name. Reloading swaps the whole.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    tasks: BTreeMap<TaskName, Arc<TaskDefinition>>,
}

impl Registry {
    /// A registry of these tasks; the caller has seen to it that names are unique.
    #[must_use]
    pub fn new(tasks: impl IntoIterator<Item = TaskDefinition>) -> Self {
        Self { tasks: tasks.into_iter().map(|task| (task.name.clone(), Arc::new(task))).collect() }
    }

    /// The task of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<TaskDefinition>> {
        self.tasks.get(name)
    }

    /// All tasks in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TaskDefinition>> {
        self.tasks.values()
    }

    /// The tasks that run by themselves.
    pub fn periodic(&self) -> impl Iterator<Item = &Arc<TaskDefinition>> {
        self.iter().filter(|task| task.cadence.is_some())
    }
}
