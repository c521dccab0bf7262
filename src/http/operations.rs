//! What is done to many failed jobs at once, for those who ask over HTTP: counted first, told how far it is, and stopped when
//! somebody says so.
//!
//! An operation lives in this process, and how far it is stands in the store, so that every daemon can tell it, also when this process
//! has died: what was done stays done, and anyone who begins it again does the rest. The audit has who began it.

use std::sync::Arc;
use std::time::Duration;

use super::audited::Who;
use super::operation::{Operation, OperationAction, OperationState, OperationView};
use super::problem::Problem;
use super::site::Site;
use super::standing::Stage;
use crate::admin::audit::{self, AuditEntry, AuditOutcome};
use crate::admin::error::AdminError;
use crate::admin::failed_retry::{self, RetrySelection};
use crate::admin::failed_search::{self, FailedFilter};
use crate::client::moment::Moment;
use crate::event::Event;
use crate::store::operations::{KeepOperation, ReadOperation};

/// How often it is written how far an operation is that goes on.
const TOLD: Duration = Duration::from_secs(1);
/// The longest id that is looked for; ours are shorter.
const LONGEST_ID: usize = 64;

/// An operation that this process does not have, as its own process told it last.
///
/// # Errors
/// If the store cannot be reached.
pub(super) async fn elsewhere(site: &Site, id: &str) -> Result<Option<OperationView>, Problem> {
    if id.len() > LONGEST_ID {
        return Ok(None);
    }
    let record = site.admin()?.run(ReadOperation { id: id.to_owned() }).await?;
    Ok(record.and_then(|record| OperationView::of_record(&record, site.clock.now_ms())).filter(|view| view.id == id))
}

/// What an operation is asked to do.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) action: OperationAction,
    /// The filter as it was written.
    pub(super) text: String,
    pub(super) filter: FailedFilter,
    /// How many are expected to match; `None`: only their number is asked for.
    pub(super) expect: Option<u64>,
}

/// Begins an operation, where plugins run.
///
/// # Errors
/// If the store is not open yet, or as many go on as may.
pub(super) fn begin(site: &Site, order: Order, who: &Who) -> Result<Arc<Operation>, Problem> {
    drop(site.admin()?);
    let began = Moment::of_ms(site.clock.now_ms()).map(Moment::rfc3339_ms).unwrap_or_default();
    let host = site.content().host.clone();
    let operation = site.operations.add(order.action, order.text.clone(), who.who.clone(), began, host)?;
    let work = Work { site: site.clone(), order, who: who.clone(), operation: Arc::clone(&operation) };
    let handlers = site.handlers.clone();
    // A thread of its own: it waits for the store and for plugins, one after the other.
    site.handlers.spawn_blocking(move || handlers.block_on(work.run()));
    Ok(operation)
}

struct Work {
    site: Site,
    order: Order,
    who: Who,
    operation: Arc<Operation>,
}

impl Work {
    async fn run(self) {
        let ended = {
            let mut carried_out = std::pin::pin!(self.carry_out());
            loop {
                tokio::select! {
                    ended = &mut carried_out => break ended,
                    () = tokio::time::sleep(TOLD) => self.put_on_record().await,
                }
            }
        };
        let mut view = self.operation.view.borrow().clone();
        match ended {
            Ok(state) => view.state = state,
            Err(error) => (view.state, view.error) = (OperationState::Failed, Some(error.to_string())),
        }
        // Before it is over for those who look. What changed nothing is no change.
        if view.done > 0 || self.order.expect.is_some() && view.state != OperationState::Changed {
            self.keep(&view).await;
        }
        self.change(|shown| (shown.state, shown.error) = (view.state, view.error));
        self.put_on_record().await;
    }

    /// Writes how far it is, for other processes. A store that is away is told of by the operation itself.
    async fn put_on_record(&self) {
        let Ok(store) = self.site.admin() else { return };
        let view = self.operation.view.borrow().clone();
        let content = self.site.content();
        let filter = content.redactor.hide(&view.filter).into_owned();
        let view = view.with_filter(filter);
        drop(store.run(KeepOperation { id: view.id.clone(), record: view.record(self.site.clock.now_ms()) }).await);
    }

    async fn carry_out(&self) -> Result<OperationState, AdminError> {
        let Ok(store) = self.site.admin() else { return Ok(OperationState::Stopped) };
        let Order { action, filter, expect, .. } = &self.order;
        let brake = &self.operation.brake;
        let found = failed_search::count(&store, filter, brake, |found| {
            self.heed();
            self.change(|view| view.matching = found);
        })
        .await?;
        self.change(|view| view.matching = found);
        let Some(expected) = expect else { return Ok(OperationState::Counted) };
        if brake.is_pulled() {
            return Ok(OperationState::Stopped);
        }
        if found.abs_diff(*expected) > expected / 20 {
            return Ok(OperationState::Changed);
        }
        self.change(|view| view.state = OperationState::Running);
        match action {
            OperationAction::Remove => {
                failed_search::remove(&store, filter, brake, |removed| {
                    self.heed();
                    self.change(|view| view.done = removed);
                })
                .await?;
            }
            OperationAction::Retry => {
                let content = self.site.content();
                let selection = RetrySelection { filter, unknown: false, queue: None };
                let each = |outcome| {
                    self.heed();
                    self.change(|view| view.count(outcome));
                };
                failed_retry::retry_all(&store, &content.registry, &self.site.plugins, selection, brake, each).await?;
            }
        }
        Ok(if brake.is_pulled() { OperationState::Stopped } else { OperationState::Done })
    }

    /// A daemon that ends stops what it does.
    fn heed(&self) {
        if self.site.standing.stage() == Stage::Draining {
            self.operation.brake.pull();
        }
    }

    fn change(&self, change: impl FnOnce(&mut OperationView)) {
        self.operation.view.send_modify(change);
    }

    /// Writes down what came of it.
    async fn keep(&self, view: &OperationView) {
        let Ok(store) = self.site.admin() else { return };
        let outcome = match view.state {
            OperationState::Failed => AuditOutcome::Failed,
            _ if view.refused > 0 => AuditOutcome::Refused,
            _ => AuditOutcome::Done,
        };
        let what = format!("operation {} ended", view.id);
        let Who { who, from } = self.who.clone();
        let content = self.site.content();
        let redactor = &content.redactor;
        let entry = AuditEntry::new(self.site.clock.now_ms(), who, from, what, outcome)
            .request(redactor.hide(&view.filter).into_owned())
            .answered(redactor.hide(&serde_json::to_string(view).unwrap_or_default()).into_owned());
        if let Err(error) = audit::keep(&store, entry).await {
            let text = format!("http: an operation on failed jobs was not written to the audit: {error}");
            self.site.bus.emit(Event::Warning { text });
        }
    }
}
