//! Workers that another program removed, and the jobs in their working records.
//!
//! node-resque's force-clean removes a worker's membership and ping, puts the job it ran on the failed list, and leaves the
//! working record (it deletes `worker:<name>`, not `worker:<name>:<queues>`). It reads first and removes later, so that the
//! record may be of a job that was claimed in between or since, and that is not on the failed list. A record of the first
//! kind must be dropped, or its job would run twice; one of the second kind must not, or its job would be lost. The failure
//! record tells them apart.

use fred::interfaces::Resp3Frame as Frame;
use futures_util::FutureExt as _;

use super::connection::Connection;
use super::script::{Script, script};
use super::{members, reply};
use crate::job::ecma::{canonical, quote};
use crate::job::failure::STUCK_MARKER;
use crate::job::{FailureView, date};
use crate::store::error::StoreError;
use crate::store::working::WorkingRecord;

static STUCK_RECORDS: Script = script!("page", "announce", "stuck_records");

/// How many failure records one call looks at at most, so that it takes about a millisecond.
const PAGE: usize = 500;

/// How many of the newest are looked at at most; usually their dates end the search earlier.
const MOST: u64 = 1_000_000;

/// How far the clocks of the programs that write failures may be apart.
const SKEW_MS: i64 = 3_600_000;

/// JavaScript's dates have no milliseconds.
const DATE_STEP_MS: i64 = 1000;

/// For each of these records of removed workers: is its job on the failed list?
pub(super) async fn were_failed(connection: &Connection, records: &[WorkingRecord]) -> Result<Vec<bool>, StoreError> {
    let mut failed = vec![false; records.len()];
    // A record without a date proves nothing (below). None of the others was failed before its run began.
    let began = records.iter().filter_map(|record| date::parse(record.run_at.as_deref()?)).min();
    let Some(began) = began else { return Ok(failed) };
    let list = connection.keys().failed();
    let (mut past, mut tries) = (0, 0);
    loop {
        let mut call = connection.call();
        call.key(list.clone()).number(past).number(PAGE);
        call.text(&quote(STUCK_MARKER)).number(records.len());
        for record in records {
            call.text(&format!("\"worker\":{}", quote(record.worker.name())));
        }
        let mut found = reply::list(connection.run(&STUCK_RECORDS, call).await?)?.into_iter();
        let seen = reply::count(found.next().unwrap_or(Frame::Null))?;
        let oldest = reply::bytes(found.next().unwrap_or(Frame::Null))?;
        let oldest = oldest.and_then(|text| date::parse(std::str::from_utf8(&text).ok()?));
        let (mut positions, mut told) = (Vec::new(), Vec::new());
        while let (Some(position), Some(record)) = (found.next(), found.next()) {
            positions.push(reply::number(position)?);
            told.push(record);
        }
        let told = members::told(Frame::Array { data: told, attributes: None })?;
        // One that has left the list meanwhile is looked for once more with all others.
        let Some(found) = members::whole(connection, &list, positions.into_iter(), told).boxed().await? else {
            tries += 1;
            if tries >= members::TRIES {
                return Err(members::changes(&list));
            }
            continue;
        };
        (past, tries) = (seen, 0);
        for raw in found {
            let failure = FailureView::parse(&raw);
            for (failed, record) in failed.iter_mut().zip(records) {
                *failed = *failed || tells_of(&failure, record);
            }
        }
        let is_before = oldest.is_some_and(|oldest| oldest.saturating_add(SKEW_MS) < began);
        if past == 0 || past >= MOST || is_before || failed.iter().all(|failed| *failed) {
            return Ok(failed);
        }
    }
}

/// Does this failure tell of the job that this record stands for, rather than of another of its worker?
fn tells_of(failure: &FailureView, record: &WorkingRecord) -> bool {
    let written = |text: &Option<String>| text.as_deref().and_then(date::parse);
    // What cannot be read proves nothing.
    let (Some(run_at), Some(failed_at)) = (written(&record.run_at), written(&failure.failed_at)) else { return false };
    failure.is_stuck()
        && failure.worker.as_deref() == Some(record.worker.name())
        && failure.queue.as_deref() == record.queue.as_ref().map(|queue| queue.as_str())
        && failed_at + DATE_STEP_MS > run_at
        && is_same_job(failure.payload.as_deref(), record.payload.as_deref())
}

/// Are these the same job, where the first may have been read and written again by JavaScript?
fn is_same_job(copy: Option<&[u8]>, job: Option<&[u8]>) -> bool {
    let (Some(copy), Some(job)) = (copy, job) else { return false };
    let again = |bytes: &[u8]| canonical(&String::from_utf8_lossy(bytes));
    copy == job || again(job).is_ok_and(|job| again(copy).is_ok_and(|copy| copy == job))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::job::failure::js_date;
    use crate::job::{Failure, WorkerName};

    const RUN_AT_MS: i64 = 1_795_490_778_400;

    fn record(payload: &str) -> WorkingRecord {
        let raw = format!(
            r#"{{"claim":"00ff-0-1-0","worker":"h-windlass:7+1","run_at":"2026-11-24T03:26:18.400Z","queue":"math","payload":{payload}}}"#
        );
        WorkingRecord::parse(&WorkerName::parse("h-windlass:7+1:*"), Bytes::from(raw))
    }

    fn failure(worker: &str, queue: &str, payload: &str, ms: i64) -> FailureView {
        FailureView::parse(&Failure::stuck("h", ms).record(worker, queue, payload.as_bytes(), ms))
    }

    #[test]
    fn a_failure_tells_of_the_job_it_was_written_for() {
        let told = |failure: &FailureView| tells_of(failure, &record(r#"{"class":"a","args":[1.0,"\u00e9"]}"#));
        let job = r#"{"class":"a","args":[1,"é"]}"#;
        assert!(told(&failure("h-windlass:7+1", "math", job, RUN_AT_MS)), "as JavaScript writes it again");
        assert!(js_date(RUN_AT_MS).contains("03:26:18 "), "the same second counts, for there is nothing finer");
        assert!(!told(&failure("h-windlass:7+1", "math", job, RUN_AT_MS - 1000)), "of a job before it");
        assert!(!told(&failure("h-windlass:7+2", "math", job, RUN_AT_MS)), "of another worker");
        assert!(!told(&failure("h-windlass:7+1", "mail", job, RUN_AT_MS)), "from another queue");
        let other = r#"{"class":"a","args":[2,"é"]}"#;
        assert!(!told(&failure("h-windlass:7+1", "math", other, RUN_AT_MS)), "of another job");
    }

    #[test]
    fn an_ordinary_failure_or_one_that_cannot_be_read_proves_nothing() {
        let job = r#"{"class":"a","args":[]}"#;
        let ordinary = Failure::new("Error", "it broke").record("h-windlass:7+1", "math", job.as_bytes(), RUN_AT_MS);
        assert!(!tells_of(&FailureView::parse(&ordinary), &record(job)));
        let mut undated = failure("h-windlass:7+1", "math", job, RUN_AT_MS);
        undated.failed_at = Some("once".to_owned());
        assert!(!tells_of(&undated, &record(job)));
        assert!(!tells_of(&FailureView::parse(b"junk"), &record("not a job")));
    }
}
