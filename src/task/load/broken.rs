//! Tasks whose files have mistakes, and a start without them.

use std::collections::BTreeSet;

use super::Tasks;
use crate::config::error::Problem;
use crate::job::TaskName;

/// Tasks that have problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenTasks {
    /// Those whose names could be read.
    pub names: BTreeSet<TaskName>,
    /// Files with tasks whose names could not be read.
    pub nameless: Vec<String>,
}

impl BrokenTasks {
    /// Is this one of them, as far as is known?
    #[must_use]
    pub fn may_hold(&self, task: &TaskName) -> bool {
        !self.nameless.is_empty() || self.names.contains(task)
    }

    /// Their names, and the files of those without one.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(TaskName::as_str).chain(self.nameless.iter().map(String::as_str))
    }
}

impl Tasks {
    /// Leaves out every task that has a problem; returns what is left out and why. What concerns all tasks stays a problem.
    pub fn skip_broken(&mut self) -> Vec<Problem> {
        let fatal = std::mem::take(&mut self.fatal);
        let mut skipped = std::mem::replace(&mut self.problems, fatal.clone());
        skipped.retain(|problem| !fatal.contains(problem));
        skipped.append(&mut self.unavailable);
        self.missing.clear();
        self.fatal = fatal;
        self.registry = self.registry.without(&self.broken.names);
        skipped
    }
}
