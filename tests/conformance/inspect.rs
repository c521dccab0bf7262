//! The arrows for people, who look at the store and correct it.

use bytes::Bytes;
use windlass::job::Failure;
use windlass::store::delayed::DelayedCursor;
use windlass::store::effect::Verdict;
use windlass::store::inspection::{QueueLength, QueueLengths, QueuesFound, Retried};
use windlass::store::queueing::{Schedule, When};

use crate::enqueue::strange_payloads;
use crate::fixture::{Fixture, NOW_MS, NOW_S};
use crate::instance::Instance;
use crate::look::{
    NOT_DELAYED, counters, delay, delayed_at, failed, fill, job, jobs, lock, locks, queue, queued, seconds, take,
};
use crate::support::verbs::Verbs as _;

behaviours! {
    queues_are_listed_with_their_lengths,
    lengths_are_told_of_the_queues_that_are_asked_for,
    pages_count_as_redis_counts,
    a_deleted_queue_is_gone,
    jobs_are_deleted_by_their_bytes_as_redis_counts,
    failures_are_listed_oldest_first,
    a_failure_is_removed_by_its_bytes,
    all_failures_are_cleared,
    a_retry_moves_the_job,
    a_retry_happens_once,
    a_refused_retry_keeps_the_record,
    strange_failures_are_retried_unchanged,
    delayed_seconds_are_paged,
    stats_count_workers_apart,
    locks_are_listed_and_deleted,
    an_empty_store_reads_as_empty,
    the_store_describes_itself,
}

/// Puts failure records on the list as settlements do.
pub(crate) async fn fail(f: &Fixture, payloads: &[Bytes]) -> Vec<Bytes> {
    let mut instance = Instance::join(&f.store, "failing", payloads.len()).await;
    fill(&f.store, "failing", payloads).await;
    let claims = instance.claim(&["failing"], &(1..=payloads.len()).collect::<Vec<_>>()).await;
    let records: Vec<Bytes> = claims.iter().map(|one| one.failure()).collect();
    assert_eq!(instance.settle(claims.iter().map(|one| one.ends(one.failed())).collect()).await, [0_usize; 0]);
    f.store.leave(&instance.record).await.expect("leave");
    f.store.delete_queue(&queue("failing")).await.expect("delete_queue");
    records
}

async fn queues_are_listed_with_their_lengths(f: &Fixture) {
    for (name, count) in [("math", 2), ("Zed", 1), ("alpha", 3)] {
        fill(&f.store, name, &jobs(0..count)).await;
    }
    let mut instance = Instance::join(&f.store, "a", 1).await;
    instance.claim_one("Zed").await;
    let length = |name: &str, length| QueueLength { queue: queue(name), length };
    let expected = [length("Zed", 0), length("alpha", 3), length("math", 2)];
    assert_eq!(f.store.queues().await.expect("queues").queues, expected);
}

async fn lengths_are_told_of_the_queues_that_are_asked_for(f: &Fixture) {
    for (name, count) in [("math", 2), ("a/b \"c\"", 3), ("other", 1)] {
        fill(&f.store, name, &jobs(0..count)).await;
    }
    let ask = |names: &[&str]| QueueLengths { queues: names.iter().map(|name| queue(name)).collect() };
    let lengths = f.store.run(ask(&["a/b \"c\"", "nothing", "math", "math"])).await.expect("queue_lengths");
    assert_eq!(lengths, [3, 0, 2, 2]);
    assert_eq!(f.store.run(ask(&[])).await.expect("queue_lengths"), [0_u64; 0]);
    let many: Vec<String> = (0..500).map(|number| format!("q{number}")).collect();
    fill(&f.store, "q499", &jobs(0..4)).await;
    let lengths = f.store.run(ask(&many.iter().map(String::as_str).collect::<Vec<_>>())).await.expect("queue_lengths");
    assert_eq!((lengths.len(), lengths[499], lengths.iter().sum::<u64>()), (500, 4, 4));
}

async fn pages_count_as_redis_counts(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..10)).await;
    for n in 0..10 {
        delay(&f.store, &job(n), When::At(NOW_S + 1)).await;
    }
    let records = fail(f, &jobs(0..10)).await;
    let pages = [
        (0, -1, 0..10),
        (0, 0, 0..1),
        (2, 4, 2..5),
        (-3, -1, 7..10),
        (-3, -2, 7..9),
        (8, 100, 8..10),
        (-100, 1, 0..2),
        (5, 4, 0..0),
        (10, 20, 0..0),
        (-1, 0, 0..0),
        (0, -11, 0..0),
        (i64::MIN, i64::MAX, 0..10),
        (i64::MAX, i64::MAX, 0..0),
    ];
    for (start, stop, expected) in pages {
        let page = format!("{start} to {stop}");
        assert_eq!(f.store.queued(&queue("q"), start, stop).await.expect(&page), jobs(expected.clone()), "{page}");
        let delayed = f.store.delayed_at(NOW_S + 1, start, stop).await.expect(&page);
        assert_eq!(delayed, jobs(expected.clone()), "{page}");
        assert_eq!(f.store.failed(start, stop).await.expect(&page), records[expected], "{page}");
    }
}

async fn a_deleted_queue_is_gone(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..3)).await;
    fill(&f.store, "p", &jobs(5..6)).await;
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 3);
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 0);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("p")]);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(instance.claim(&["q", "p"], &[1, 2]).await.len(), 1);
    fill(&f.store, "q", &jobs(7..8)).await;
    assert_eq!(queued(&f.store, "q").await, [job(7)], "the name may be used again");
}

async fn failures_are_listed_oldest_first(f: &Fixture) {
    let records = fail(f, &jobs(0..5)).await;
    assert_eq!(failed(&f.store).await, records);
    assert_eq!(f.store.failed_count().await.expect("failed_count"), 5);
}

async fn a_failure_is_removed_by_its_bytes(f: &Fixture) {
    let records = fail(f, &[job(0), job(1), job(0), job(0)]).await;
    // Records of equal bytes: the same worker failed the same job at the same time.
    let twins = {
        let mut instance = Instance::join(&f.store, "t", 2).await;
        fill(&f.store, "t", &jobs(8..10)).await;
        let claims = instance.claim(&["t"], &[1, 2]).await;
        let record = claims[0].failure();
        let ends = claims.iter().map(|one| one.ends(Verdict::Failed { record: record.clone() })).collect();
        assert_eq!(instance.settle(ends).await, [0_usize; 0]);
        record
    };
    assert_eq!(f.store.remove_failed(&records[2]).await.expect("remove_failed"), [true]);
    assert_eq!(f.store.remove_failed(&records[2]).await.expect("remove_failed"), [false]);
    assert_eq!(f.store.remove_failed(&Bytes::from_static(b"{}")).await.expect("remove_failed"), [false]);
    assert_eq!(f.store.remove_failed(&twins).await.expect("remove_failed"), [true], "one of the two");
    let left = [&records[0], &records[1], &records[3], &twins].map(Bytes::clone);
    assert_eq!(failed(&f.store).await, left);
}

async fn all_failures_are_cleared(f: &Fixture) {
    fail(f, &jobs(0..4)).await;
    assert_eq!(f.store.clear_failed().await.expect("clear_failed"), 4);
    assert_eq!(f.store.clear_failed().await.expect("clear_failed"), 0);
    assert_eq!(f.store.failed_count().await.expect("failed_count"), 0);
    assert_eq!(counters(&f.store).await, (0, 4), "what happened stays counted");
}

async fn a_retry_moves_the_job(f: &Fixture) {
    let records = fail(f, &jobs(0..3)).await;
    fill(&f.store, "q", &jobs(9..10)).await;
    let retried = f.store.retry_failed(&records[1], &queue("q"), &job(1), &[take(&lock(1), 60)], None).await;
    assert_eq!(retried.expect("retry_failed"), [Retried::Yes]);
    assert_eq!(failed(&f.store).await, [&records[0], &records[2]]);
    assert_eq!(queued(&f.store, "q").await, [job(9), job(1)]);
    assert_eq!(locks(&f.store).await, [lock(1).as_str()]);
    let retried = f.store.retry_failed(&records[0], &queue("fresh"), &job(0), &[], None).await;
    assert_eq!(retried.expect("retry_failed"), [Retried::Yes]);
    assert!(f.store.queue_names().await.expect("queue_names").contains(&queue("fresh")));
}

async fn a_retry_happens_once(f: &Fixture) {
    let records = fail(f, &jobs(0..20)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, records) = (f.handle().await, records.clone());
        tasks.spawn(async move {
            let mut yes = 0;
            for (n, record) in records.iter().enumerate() {
                let retried = store.retry_failed(record, &queue("q"), &job(n), &[], None).await.expect("retry_failed");
                assert_ne!(retried, [Retried::Refused { plugin: "QueueLock" }]);
                yes += usize::from(retried == [Retried::Yes]);
            }
            yes
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 20);
    let mut all = queued(&f.store, "q").await;
    all.sort();
    let mut expected = jobs(0..20);
    expected.sort();
    assert_eq!(all, expected);
    let retried = f.store.retry_failed(&records[0], &queue("q"), &job(0), &[take(&lock(1), 60)], None).await;
    assert_eq!(retried.expect("retry_failed"), [Retried::Gone]);
    assert_eq!(locks(&f.store).await, [""; 0], "what is gone takes no lock");
}

async fn a_refused_retry_keeps_the_record(f: &Fixture) {
    let records = fail(f, &jobs(0..1)).await;
    f.plant_lock(&lock(1), "true");
    delay(&f.store, &job(0), When::At(NOW_S + 10)).await;
    for (second, plugin) in [(take(&lock(1), 60), "QueueLock"), (NOT_DELAYED, "DelayQueueLock")] {
        let admissions = [take(&lock(2), 60), second];
        let retried = f.store.retry_failed(&records[0], &queue("q"), &job(0), &admissions, None).await;
        assert_eq!(retried.expect("retry_failed"), [Retried::Refused { plugin }]);
    }
    assert_eq!(failed(&f.store).await, records);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(locks(&f.store).await, [lock(1).as_str()], "nothing was taken on the way");
}

async fn strange_failures_are_retried_unchanged(f: &Fixture) {
    let strange = strange_payloads();
    let records = fail(f, &strange).await;
    assert_eq!(failed(&f.store).await, records);
    for (record, payload) in records.iter().zip(&strange) {
        let retried = f.store.retry_failed(record, &queue("q"), payload, &[], None).await.expect("retry_failed");
        assert_eq!(retried, [Retried::Yes]);
    }
    assert_eq!(queued(&f.store, "q").await, strange);
    assert_eq!(f.store.failed_count().await.expect("failed_count"), 0);
}

async fn delayed_seconds_are_paged(f: &Fixture) {
    let schedules: Vec<Schedule> = (0..100_usize)
        .map(|n| Schedule { payload: job(n), when: When::At(NOW_S + (n as i64 * 37) % 100 - 50) })
        .collect();
    f.store.schedule(&schedules).await.expect("schedule");
    delay(&f.store, &job(500), When::At(NOW_S + 3)).await;
    let (mut next, mut all) = (Some(DelayedCursor::first()), Vec::new());
    while let Some(from) = next {
        let page = f.store.delayed_seconds(from, 7).await.expect("delayed_seconds");
        assert!(page.seconds.len() <= 7);
        assert!(page.seconds.iter().all(|one| one.due_s == one.second));
        all.extend(page.seconds.iter().map(|one| (one.second, one.length)));
        next = page.next;
    }
    let expected: Vec<_> = (-50..50).map(|n| (NOW_S + n, if n == 3 { 2 } else { 1 })).collect();
    assert_eq!(all, expected, "ascending, each once");
    let from = f.store.delayed_seconds(DelayedCursor::at(NOW_S + 48), 9).await.expect("delayed_seconds");
    assert_eq!(from.seconds.iter().map(|one| one.second).collect::<Vec<_>>(), [NOW_S + 48, NOW_S + 49]);
    assert_eq!(f.store.delayed_seconds(DelayedCursor::first(), 0).await.expect("delayed_seconds").seconds, []);
}

async fn stats_count_workers_apart(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..6)).await;
    for n in 0..3 {
        let claims = instance.claim(&["q"], &[1, 2]).await;
        let ends = vec![
            claims[0].ends(Verdict::Done),
            claims[1].ends(if n == 0 { Verdict::Done } else { claims[1].failed() }),
        ];
        assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    }
    let mut stats = f.handle().await.stats().await.expect("stats");
    stats.workers.sort();
    assert_eq!((stats.processed, stats.failed), (4, 2));
    assert_eq!(stats.workers, [("host-windlass:a+1".to_owned(), 3, 0), ("host-windlass:a+2".to_owned(), 1, 2)]);
}

async fn locks_are_listed_and_deleted(f: &Fixture) {
    f.plant_lock(&lock(1), "true");
    f.plant_lock(&crate::look::job_lock(2), "12:x");
    assert_eq!(locks(&f.store).await, ["lock:add:q:[1]", "workerslock:add:q:[2]"]);
    assert!(f.store.delete_lock("lock:add:q:[1]").await.expect("delete_lock"));
    assert!(!f.store.delete_lock("lock:add:q:[1]").await.expect("delete_lock"));
    assert_eq!(locks(&f.store).await, ["workerslock:add:q:[2]"]);
}

async fn an_empty_store_reads_as_empty(f: &Fixture) {
    let store = &f.store;
    assert_eq!(store.queues().await.expect("queues"), QueuesFound::default());
    assert_eq!(store.queue_names().await.expect("queue_names"), []);
    assert_eq!(queued(store, "none").await.len() + failed(store).await.len(), 0);
    assert_eq!(store.stats().await.expect("stats"), windlass::store::inspection::Stats::default());
    assert_eq!(seconds(store).await, []);
    assert_eq!(delayed_at(store, NOW_S).await.len(), 0);
    assert_eq!(store.scheduled_at(&job(1)).await.expect("scheduled_at"), [0_i64; 0]);
    assert_eq!(store.delete_delayed(&job(1)).await.expect("delete_delayed"), [0_i64; 0]);
    assert_eq!(store.registered().await.expect("registered"), []);
    assert_eq!(store.working(&[]).await.expect("working"), []);
    assert_eq!(store.periodic(&[]).await.expect("periodic"), (Vec::new(), Vec::new()));
    let record = Failure::new("Error", "x").record("w", "q", b"{}", NOW_MS);
    assert_eq!(store.remove_failed(&record).await.expect("remove_failed"), [false]);
    assert_eq!(store.retry_failed(&record, &queue("q"), &job(1), &[], None).await.expect("retry"), [Retried::Gone]);
    assert_eq!(store.queue_names().await.expect("queue_names"), [], "looking makes nothing");
}

async fn the_store_describes_itself(f: &Fixture) {
    let text = f.store.describe();
    assert!(text.starts_with("redis") || text.starts_with("sqlite:"), "{text}");
}

async fn jobs_are_deleted_by_their_bytes_as_redis_counts(f: &Fixture) {
    let all = [1, 2, 1, 3, 1, 1].map(job);
    fill(&f.store, "q", &all).await;
    fill(&f.store, "other", &[job(1)]).await;
    let delete = |n, count| {
        let (queue, payload) = (queue("q"), job(n));
        async move { f.store.delete_jobs(&queue, &payload, count).await.expect("delete_jobs") }
    };
    assert_eq!(delete(9, 0).await, 0);
    assert_eq!(delete(1, 1).await, 1);
    assert_eq!(queued(&f.store, "q").await, [2, 1, 3, 1, 1].map(job));
    assert_eq!(delete(1, -2).await, 2);
    assert_eq!(queued(&f.store, "q").await, [2, 1, 3].map(job));
    assert_eq!(delete(1, 0).await, 1);
    assert_eq!(delete(2, 7).await, 1);
    assert_eq!(queued(&f.store, "q").await, [job(3)]);
    assert_eq!(queued(&f.store, "other").await, [job(1)]);
}
