//! Why a job failed, and whether a retry would run.

use super::answer::Explanation;
use super::cause::{Cause, Finding};
use super::class;
use super::fleet::Fleet;
use super::here::Here;
use super::queue;
use crate::admin::error::AdminError;
use crate::admin::failed::{FailedView, SHOWN_ID};
use crate::admin::{failed_page, failed_search};
use crate::job::{QueueName, output_end};
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;
use crate::text::clean::named;
use crate::text::shell;

/// The queue of tasks that name none.
const DEFAULT_QUEUE: &str = "default";

/// How many of the newest failures are looked at, as on a page of them: what explains must answer soon, however long the
/// list is.
pub(super) const LOOKED_AT: u64 = failed_page::MOST as u64;

/// Explains a failed job, by its position in the failed list, or by its id or that of the job if it is among the newest.
///
/// # Errors
/// Fails if several are meant, and when the store cannot be reached.
pub async fn failed(store: &Store<Admin>, here: Here<'_>, address: &str) -> Result<Explanation, AdminError> {
    let subject = format!("failed job {address}");
    let found = match failed_search::find_among_newest(store, address, LOOKED_AT).await {
        Ok(found) => found,
        Err(AdminError::NotFailed(_)) => {
            let count = store.run(FailedCount).await?;
            if count > LOOKED_AT {
                let text = format!(
                    "it is not among the newest {LOOKED_AT} failed jobs, and the other {} were not looked at; if it is one of \
                     them, `failed show` tells its position, by which it can be explained",
                    count - LOOKED_AT
                );
                let finding = Finding::tells(Cause::PartlyRead, text);
                return Ok(Explanation::not_found(subject, finding.command(shell::command("failed show", &[address]))));
            }
            let text = "it is not on the failed list: it was retried or removed, or the id is another one";
            return Ok(Explanation::not_found(subject, Finding::tells(Cause::Gone, text).command("windlass failed")));
        }
        Err(error) => return Err(error),
    };
    let view = FailedView::of(found.position, &found.record);
    let mut findings = vec![finding(here, &view)];
    let fleet = Box::pin(Fleet::read(store)).await?;
    if let (Some(class), Some(place)) = (&view.class, view.queue.as_ref().filter(|queue| !queue.is_empty())) {
        let place = QueueName::as_stored(place);
        let obstacles = class::obstacles(here, &fleet, &place, class);
        findings.extend(obstacles.into_iter().map(|one| Finding { blocks: false, ..one }));
        let hindered = queue::judge(&fleet, &place, 0);
        findings.extend(hindered.into_iter().filter(|one| one.blocks).map(|one| Finding {
            blocks: false,
            text: format!("a retry would wait: {}", one.text),
            ..one
        }));
    }
    findings.extend(fleet.unread);
    Ok(Explanation::of(subject, findings))
}

/// How a job failed.
pub(super) fn finding(here: Here<'_>, view: &FailedView) -> Finding {
    let class = view.class.as_deref().unwrap_or("the job");
    let error = [view.exception.as_deref(), view.error.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let attempt = view.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!(" at attempt {attempt}"));
    let said = last_words(view).map(|line| format!(" ({line})")).unwrap_or_default();
    let whole = view.backtrace.last().filter(|line| output_end::is_place(line));
    let whole = whole.map(|place| format!("; {place}")).unwrap_or_default();
    let text = format!("{class} failed{}: {error}{said}{whole}", attempt.unwrap_or_default(), class = named(&class));
    let id = view.id.get(..SHOWN_ID).unwrap_or(&view.id);
    // Other programs may enqueue jobs that name no queue. A retry needs one.
    let names_queue = view.queue.as_ref().is_some_and(|queue| !queue.is_empty());
    let (text, retry) = if names_queue {
        (text, "failed retry".to_owned())
    } else {
        let known = here.registry.get(class).map(|task| task.queue.as_str());
        let queue = known.unwrap_or(DEFAULT_QUEUE);
        let text = format!("{text}; it names no queue, so that a retry must");
        (text, shell::with_value("failed retry --queue", queue))
    };
    Finding {
        since: view.failed_at.clone(),
        ..Finding::blocks(Cause::Failed, text)
            .command(shell::command(&retry, &[id]))
            .fact("failed_id", view.id.as_str())
    }
}

/// The line by which the job itself tells best why it failed: the last one of stderr, else of stdout. What other programs
/// keep there are stacks, whose last line is the farthest from the error.
fn last_words(view: &FailedView) -> Option<&str> {
    view.job_id.as_ref()?;
    let is_said = |line: &&str| !line.trim().is_empty();
    output_end::last_of_stderr(&view.backtrace).or_else(|| output_end::written(&view.backtrace).filter(is_said).last())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::super::answer::State;
    use super::*;
    use crate::admin::failed::id;
    use crate::admin::failed_search::{FailedFilter, among_newest, find_among_newest};
    use crate::store::StoreError;
    use crate::store::failed_part::{FailedPart, FailedSide, ReadFailed};
    use crate::store::layer::{AnyArrow, AnyReply, Layer, Next};

    const ALL: i64 = 1_000_000;

    /// A long list of records without a date; counts how many were read.
    #[derive(Default)]
    struct LongList(AtomicU64);

    fn record(position: i64) -> Bytes {
        format!("record {position}").into()
    }

    #[async_trait]
    impl Layer for LongList {
        async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
            if arrow.get::<FailedCount>().is_some() {
                return Ok(AnyReply::to::<FailedCount>(ALL.unsigned_abs()));
            }
            let Some(ReadFailed { side: FailedSide::Before(end), most }) = arrow.get() else {
                return next.pass(arrow).await;
            };
            let records: Vec<Bytes> = (0..*end).rev().take(*most).map(record).collect();
            self.0.fetch_add(records.len() as u64, Ordering::Relaxed);
            Ok(AnyReply::to::<ReadFailed>(FailedPart { position: end - 1, records }))
        }
    }

    #[test]
    fn a_job_that_names_no_queue_is_retried_on_one_that_the_command_names() {
        let registry = crate::task::Registry::default();
        let told = |record: &str| finding(Here::of(&registry), &FailedView::of(0, record.as_bytes())).command;
        for queue in ["", r#","queue":"""#] {
            let record = format!(r#"{{"payload":{{"class":"Add","args":[5,6]}},"error":"e"{queue}}}"#);
            let retry = told(&record).expect("a command");
            assert!(retry.starts_with("windlass failed retry --queue default "), "{retry}");
        }
        let retry = told(r#"{"payload":{"class":"Add","args":[]},"error":"e","queue":"math"}"#).expect("a command");
        assert!(retry.starts_with("windlass failed retry ") && !retry.contains("--queue"), "{retry}");
    }

    #[tokio::test]
    async fn of_a_long_list_the_newest_are_looked_at_and_no_more() {
        let list = Arc::new(LongList::default());
        let store: Store<Admin> = Store::without_engine("test").layered(Arc::clone(&list) as _).narrow();
        let bound = LOOKED_AT + 250;
        let read = || list.0.swap(0, Ordering::Relaxed);
        let last = ALL - i64::try_from(LOOKED_AT).unwrap();
        for (position, is_found) in [(ALL - 1, true), (last, true), (last - 1, false), (0, false)] {
            let found = find_among_newest(&store, &id(&record(position)), LOOKED_AT).await;
            assert_eq!(found.ok().map(|found| found.position), is_found.then_some(position));
            assert!(read() <= bound);
        }
        let address = id(&record(0));
        let told = failed(&store, Here::of(&crate::task::Registry::default()), &address).await.unwrap();
        assert_eq!(told.state, State::NotFound);
        let [finding] = &told.findings[..] else { panic!("{told:?}") };
        assert_eq!(finding.cause, Cause::PartlyRead);
        assert!(finding.text.contains("newest 2000 failed jobs, and the other 998000 were not looked at"), "{told:?}");
        assert_eq!(finding.command.as_deref(), Some(&*format!("windlass failed show {address}")));
        assert!(read() <= bound);
        let filter = FailedFilter { since_ms: Some(0), ..FailedFilter::default() };
        let (page, cut) = among_newest(&store, &filter, 100, LOOKED_AT).await.unwrap();
        assert!(page.failed.is_empty() && cut && read() <= bound);
    }
}
