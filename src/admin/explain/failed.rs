//! Why a job failed, and whether a retry would run.

use super::answer::Explanation;
use super::cause::{Cause, Finding};
use super::fleet::Fleet;
use super::queue;
use crate::admin::error::AdminError;
use crate::admin::failed::{self as list, FailedView, SHOWN_ID};
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;
use crate::text::shell;

/// Explains a failed job, by its id or position in the failed list.
///
/// # Errors
/// Fails for digits that begin several ids, and when the store cannot be reached.
pub async fn failed(store: &Store<Admin>, registry: &Registry, address: &str) -> Result<Explanation, AdminError> {
    let subject = format!("failed job {address}");
    let found = match list::find(store, address).await {
        Ok(found) => found,
        Err(AdminError::NotFailed(_)) => {
            let text = "it is not on the failed list: it was retried or removed, or the id is another one";
            return Ok(Explanation::not_found(subject, Finding::tells(Cause::Gone, text).command("windlass failed")));
        }
        Err(error) => return Err(error),
    };
    let view = FailedView::of(found.position, &found.record);
    let mut findings = vec![finding(&view)];
    let fleet = Fleet::read(store).await?;
    if let (Some(class), Some(place)) = (&view.class, &view.queue) {
        let place = QueueName::as_stored(place);
        findings.extend(queue::unknown(registry, &fleet, &place, class).map(|one| Finding { blocks: false, ..one }));
        let hindered = queue::judge(&fleet, &place, 0);
        findings.extend(hindered.into_iter().filter(|one| one.blocks).map(|one| Finding {
            blocks: false,
            text: format!("a retry would wait: {}", one.text),
            ..one
        }));
    }
    Ok(Explanation::of(subject, findings))
}

/// How a job failed.
pub(super) fn finding(view: &FailedView) -> Finding {
    let class = view.class.as_deref().unwrap_or("the job");
    let error = [view.exception.as_deref(), view.error.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let attempt = view.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!(" at attempt {attempt}"));
    let last = view.backtrace.last().map(|line| format!(" ({line})")).unwrap_or_default();
    let text = format!("{class} failed{}: {error}{last}", attempt.unwrap_or_default());
    let id = view.id.get(..SHOWN_ID).unwrap_or(&view.id);
    Finding {
        since: view.failed_at.clone(),
        ..Finding::blocks(Cause::Failed, text)
            .command(shell::command("failed retry", &[id]))
            .fact("failed_id", view.id.as_str())
    }
}
