//! An operation on many failed jobs, as far as it is, and those that this process remembers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::problem::{Kind, Problem};
use crate::admin::brake::Brake;
use crate::admin::failed_retry::RetryOutcome;
use crate::store::instance::InstanceRecord;
use crate::text::cut::cut;

/// How many operations are remembered.
const KEPT: usize = 100;
/// How many go on at a time.
const TOGETHER: usize = 4;
/// For how long one that goes on may not be told of before its process counts as gone, in milliseconds: it is told of each second, by
/// clocks that may differ.
const SILENT_MS: i64 = 15_000;
/// How much of a filter stands on record, in bytes.
const LONGEST_FILTER: usize = 4096;
/// How many refused jobs are named.
const NAMED: usize = 100;

/// What is done to each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum OperationAction {
    /// Back to its queue.
    Retry,
    /// Its record is gone.
    Remove,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The process that had it died, or does not reach the store. What it told last was done by then; more may have been.
    Lost,
}

/// An operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct OperationView {
    /// Its id.
    pub(super) id: String,
    pub(super) action: OperationAction,
    /// What the jobs match.
    pub(super) filter: String,
    /// Who began it.
    pub(super) by: String,
    /// When it began: RFC 3339 with milliseconds, in UTC.
    pub(super) began: String,
    /// The host of the daemon that has it.
    pub(super) host: String,
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
    /// The first of those that stay, with the reasons. Only the process that has it knows them.
    #[serde(deserialize_with = "left_out")]
    pub(super) stayed: Vec<RetryOutcome>,
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

    /// How far it is, in short: without the jobs that stay.
    pub(super) fn line(&self) -> Value {
        json!({
            "id": self.id, "action": self.action, "state": self.state, "matching": self.matching, "done": self.done,
            "refused": self.refused, "gone": self.gone,
        })
    }

    /// The record for other processes: all but the jobs that stay. `now_ms`: when it is written.
    pub(super) fn record(&self, now_ms: i64) -> Bytes {
        let view = Self { stayed: Vec::new(), filter: cut(&self.filter, LONGEST_FILTER), ..self.clone() };
        // Texts and numbers.
        Bytes::from(serde_json::to_vec(&Record { at_ms: now_ms, view }).unwrap_or_default())
    }

    /// What another process wrote of an operation. If it goes on and was not told of for long, its process is gone.
    pub(super) fn of_record(record: &[u8], now_ms: i64) -> Option<Self> {
        let Record { at_ms, mut view } = serde_json::from_slice(record).ok()?;
        if !view.is_over() && now_ms.saturating_sub(at_ms) > SILENT_MS {
            view.state = OperationState::Lost;
        }
        Some(view)
    }

    /// The same with a filter that holds no secret.
    pub(super) fn with_filter(self, filter: String) -> Self {
        Self { filter, ..self }
    }

    /// The host of the daemon that has it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Will nothing more happen?
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state, OperationState::Counting | OperationState::Running)
    }
}

/// None, whatever stands there.
fn left_out<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RetryOutcome>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Vec::new())
}

/// What stands of it in the store.
#[derive(Serialize, Deserialize)]
struct Record {
    /// When it was written, by the clock of who has it.
    at_ms: i64,
    #[serde(flatten)]
    view: OperationView,
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
    /// All that are remembered.
    pub(super) fn all(&self) -> Vec<Arc<Operation>> {
        self.lock().iter().cloned().collect()
    }

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
        host: String,
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
            host,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_told_is_read_and_one_that_fell_silent_is_lost() {
        let all = Operations::default();
        let begun = |filter: &str| {
            all.add(OperationAction::Retry, filter.to_owned(), "ada".into(), "then".into(), "web-1".into()).unwrap()
        };
        let operation = begun("task:a");
        operation.view.send_modify(|view| (view.state, view.matching, view.done) = (OperationState::Running, 7, 3));
        let view = operation.view.borrow().clone();
        let record = view.record(1000);
        let read = |now_ms| OperationView::of_record(&record, now_ms).unwrap();
        let (soon, late) = (read(1000 + SILENT_MS), read(1001 + SILENT_MS));
        assert_eq!((soon.state, soon.done, soon.host()), (OperationState::Running, 3, "web-1"));
        assert_eq!((late.state, late.done, late.id), (OperationState::Lost, 3, view.id.clone()));
        let done = OperationView { state: OperationState::Done, ..view };
        assert_eq!(OperationView::of_record(&done.record(0), i64::MAX).unwrap().state, OperationState::Done);
        assert!(begun(&"\u{1}".repeat(100_000)).view.borrow().record(0).len() <= crate::store::operations::LONGEST);
        for bad in [&b""[..], b"[]", b"{\"at_ms\":1}"] {
            assert!(OperationView::of_record(bad, 0).is_none());
        }
    }
}
