//! What leaves the failed list, many in one step.

use bytes::Bytes;
use windlass::store::inspection::{FAILED_BATCH, FailedJob, FailedRecord, RemoveFailed, Retried, RetryFailed};
use windlass::store::queueing::When;

use crate::fixture::{Fixture, NOW_S};
use crate::inspect::fail;
use crate::look::{NOT_DELAYED, admit, delay, failed, job, jobs, lock, locks, queue, queued, take};
use crate::support::verbs::Verbs as _;

behaviours! {
    many_records_are_removed_wherever_they_stand_by_now,
    many_retries_are_judged_one_by_one,
    a_whole_batch_is_retried_in_order,
    a_mended_job_goes_in_place_of_the_failed_one,
    what_the_store_refuses_ends_the_step_before_it,
}

fn at(record: &Bytes, position: i64) -> FailedRecord {
    FailedRecord { record: record.clone(), position: Some(position) }
}

/// A job that goes back to this queue.
fn back(failed: FailedRecord, name: &str, payload: Bytes) -> FailedJob {
    FailedJob { failed, queue: queue(name), payload, admissions: Vec::new(), identity: None, mended: None }
}

async fn many_records_are_removed_wherever_they_stand_by_now(f: &Fixture) {
    let records = fail(f, &jobs(0..12)).await;
    let remove = async |records: Vec<FailedRecord>| f.store.run(RemoveFailed { records }).await.expect("remove");
    // Somebody removed two of the first since they were seen, and one that was meant.
    for gone in [0, 2, 5] {
        assert_eq!(f.store.remove_failed(&records[gone]).await.expect("remove_failed"), [true]);
    }
    let meant = [11, 8, 5, 4, 1].map(|n: usize| at(&records[n], i64::try_from(n).expect("small")));
    assert_eq!(remove(meant.to_vec()).await, [true, true, false, true, true], "from the end");
    let left = [3, 6, 7, 9, 10].map(|n: usize| records[n].clone());
    assert_eq!(failed(&f.store).await, left);
    let wrong = [at(&records[3], 400), at(&records[7], -1), at(&records[7], 0), (&records[9]).into()];
    assert_eq!(remove(wrong.to_vec()).await, [true, true, false, true], "positions only help");
    assert_eq!(failed(&f.store).await, [records[6].clone(), records[10].clone()]);
    assert_eq!(remove(Vec::new()).await, [false; 0]);
}

async fn many_retries_are_judged_one_by_one(f: &Fixture) {
    let records = fail(f, &[job(0), job(1), job(1), job(3), job(4)]).await;
    delay(&f.store, &job(3), When::At(NOW_S + 10)).await;
    let locked = vec![take(&lock(1), 60)];
    let job_of = |n: usize, payload, admissions| FailedJob {
        admissions,
        ..back(at(&records[n], i64::try_from(n).expect("small")), "q", payload)
    };
    let retries = vec![
        job_of(0, job(0), Vec::new()),
        job_of(0, job(0), Vec::new()),
        job_of(1, job(1), locked.clone()),
        job_of(2, job(1), locked),
        job_of(3, job(3), vec![take(&lock(3), 60), NOT_DELAYED]),
        FailedJob { queue: queue("fresh"), ..job_of(4, job(4), Vec::new()) },
    ];
    let refused = |plugin| Retried::Refused { plugin };
    let expected =
        [Retried::Yes, Retried::Gone, Retried::Yes, refused("QueueLock"), refused("DelayQueueLock"), Retried::Yes];
    assert_eq!(f.store.run(RetryFailed { jobs: retries }).await.expect("retry_failed"), expected);
    assert_eq!(failed(&f.store).await, records[2..4], "what is refused stays in its place");
    assert_eq!(queued(&f.store, "q").await, [job(0), job(1)]);
    assert_eq!(queued(&f.store, "fresh").await, [job(4)]);
    assert_eq!(locks(&f.store).await, [lock(1).as_str()]);
}

async fn a_whole_batch_is_retried_in_order(f: &Fixture) {
    let records = fail(f, &jobs(0..FAILED_BATCH + 2)).await;
    let retry = |(n, record): (usize, &Bytes)| back(record.into(), "q", job(n));
    let retries: Vec<FailedJob> = records.iter().take(FAILED_BATCH).enumerate().map(retry).collect();
    let outcomes = f.store.run(RetryFailed { jobs: retries.clone() }).await.expect("retry_failed");
    assert_eq!(outcomes, vec![Retried::Yes; FAILED_BATCH]);
    assert_eq!(queued(&f.store, "q").await, jobs(0..FAILED_BATCH));
    assert_eq!(failed(&f.store).await, records[FAILED_BATCH..]);
    let outcomes = f.store.run(RetryFailed { jobs: retries }).await.expect("retry_failed");
    assert_eq!(outcomes, vec![Retried::Gone; FAILED_BATCH]);
}

async fn what_the_store_refuses_ends_the_step_before_it(f: &Fixture) {
    let records = fail(f, &jobs(0..3)).await;
    f.plant_barred_queue("bad");
    let names = ["q", "bad", "q"];
    let retry = |from: usize| {
        let jobs = (from..3).map(|n| back((&records[n]).into(), names[n], job(n))).collect();
        f.store.run(RetryFailed { jobs })
    };
    assert_eq!(retry(0).await.expect("retry_failed"), [Retried::Yes]);
    assert_eq!(failed(&f.store).await, records[1..]);
    let error = retry(1).await.expect_err("its queue takes no job").to_string();
    assert!(error.contains("queue:bad") || error.contains("(closed)"), "{error}");
    assert_eq!((failed(&f.store).await.len(), queued(&f.store, "q").await), (2, vec![job(0)]));
    assert_eq!(retry(2).await.expect("retry_failed"), [Retried::Yes]);
    assert_eq!(failed(&f.store).await, records[1..2]);
}

async fn a_mended_job_goes_in_place_of_the_failed_one(f: &Fixture) {
    let records = fail(f, &jobs(0..3)).await;
    admit(&f.store, "busy", &job(7), &[take(&lock(7), 60)]).await;
    let mended = |n: usize, goes: usize, name: &str| FailedJob {
        mended: Some(job(goes)),
        admissions: vec![take(&lock(goes), 60)],
        ..back(at(&records[n], 0), name, job(n))
    };
    let retries = vec![mended(0, 5, "q"), mended(1, 7, "q"), mended(2, 6, "other")];
    let outcomes = f.store.run(RetryFailed { jobs: retries.clone() }).await.expect("retry_failed");
    assert_eq!(outcomes, [Retried::Yes, Retried::Refused { plugin: "QueueLock" }, Retried::Yes]);
    assert_eq!(failed(&f.store).await, records[1..2], "the refused one stays as it was");
    assert_eq!((queued(&f.store, "q").await, queued(&f.store, "other").await), (vec![job(5)], vec![job(6)]));
    let outcomes = f.store.run(RetryFailed { jobs: retries }).await.expect("retry_failed");
    assert_eq!(outcomes, [Retried::Gone, Retried::Refused { plugin: "QueueLock" }, Retried::Gone], "once");
    assert_eq!(queued(&f.store, "q").await, [job(5)]);
}
