//! An operation on many failed jobs, as far as it is, and those that this process remembers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::problem::{Kind, Problem};
use crate::admin::brake::Brake;
use crate::admin::failed_retry::RetryOutcome;
use crate::store::instance::InstanceRecord;

/// How many operations are remembered.
const KEPT: usize = 100;
/// How many go on at a time.
const TOGETHER: usize = 4;
/// How many refused jobs are named.
const NAMED: usize = 100;

/// What is done to each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum OperationAction {
    /// Back to its queue.
    Retry,
    /// Its record is gone.
    Remove,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum OperationState {
    /// It counts what matches.
    Counting,
    /// It was asked for the number only.
    Counted,
    /// Another number matches than was expected; nothing was changed.
    Changed,
    /// It changes them.
    Running,
    /// It is at its end.
    Done,
    /// Somebody stopped it; what was done stays done.
    Stopped,
    /// The store failed; what was done stays done.
    Failed,
}

/// An operation.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct OperationView {
    /// Its id.
    pub(super) id: String,
    pub(super) action: OperationAction,
    /// What the jobs match.
    pub(super) filter: String,
    /// Who began it.
    by: String,
    /// When it began: RFC 3339 with milliseconds, in UTC.
    began: String,
    /// How far it is.
    pub(super) state: OperationState,
    /// How many match; while it counts, how many were found.
    pub(super) matching: u64,
    /// How many were retried or removed.
    pub(super) done: u64,
    /// How many stay because a plugin refused or their records lack something.
    pub(super) refused: u64,
    /// How many others retried or removed meanwhile.
    pub(super) gone: u64,
    /// The first of those that stay, with the reasons.
    stayed: Vec<RetryOutcome>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl OperationView {
    /// Counts what became of a job.
    pub(super) fn count(&mut self, outcome: RetryOutcome) {
        match &outcome {
            RetryOutcome::Retried { .. } => self.done += 1,
            RetryOutcome::Gone { .. } => self.gone += 1,
            RetryOutcome::Refused { .. } | RetryOutcome::NotRetriable { .. } => {
                self.refused += 1;
                if self.stayed.len() < NAMED {
                    self.stayed.push(outcome);
                }
            }
        }
    }

    /// Will nothing more happen?
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state, OperationState::Counting | OperationState::Running)
    }
}

/// An operation that somebody may look at or stop.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) view: watch::Sender<OperationView>,
    pub(super) brake: Brake,
}

/// The operations of this process, the newest last.
#[derive(Debug, Default)]
pub(super) struct Operations(Mutex<VecDeque<Arc<Operation>>>);

impl Operations {
    /// The operation of this id.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Operation>> {
        self.lock().iter().find(|operation| operation.view.borrow().id == id).cloned()
    }

    /// One more, which begins to count.
    ///
    /// # Errors
    /// If as many go on as may.
    pub(super) fn add(
        &self,
        action: OperationAction,
        filter: String,
        by: String,
        began: String,
    ) -> Result<Arc<Operation>, Problem> {
        let mut all = self.lock();
        if all.iter().filter(|operation| !operation.view.borrow().is_over()).count() >= TOGETHER {
            let detail = format!("{TOGETHER} operations go on already; wait until one has ended, or stop one");
            return Err(Problem::new(Kind::Changed, detail));
        }
        let view = OperationView {
            id: InstanceRecord::new_id(),
            action,
            filter,
            by,
            began,
            state: OperationState::Counting,
            matching: 0,
            done: 0,
            refused: 0,
            gone: 0,
            stayed: Vec::new(),
            error: None,
        };
        let operation = Arc::new(Operation { view: watch::Sender::new(view), brake: Brake::default() });
        all.push_back(Arc::clone(&operation));
        while all.len() > KEPT {
            // Only a few go on, so that an old one has ended.
            let Some(at) = all.iter().position(|operation| operation.view.borrow().is_over()) else { break };
            all.remove(at);
        }
        Ok(operation)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Operation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
