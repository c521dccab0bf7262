//! Jobs deleted from their queue by content.

use bytes::Bytes;
use windlass::job::{LockKey, TaskName};
use windlass::store::inspection::{DeleteJobs, JobsToDelete, QueueEnd};
use windlass::store::instance::InstanceRecord;
use windlass::store::periodic::Stop;
use windlass::store::queueing::Enqueued;

use crate::fixture::Fixture;
use crate::instance::Instance;
use crate::look::{admit, fill, job, jobs, lock, queue, queued, refused, take};
use crate::support::verbs::Verbs as _;

behaviours! {
    jobs_are_deleted_from_either_end,
    many_different_jobs_are_deleted_and_the_rest_keeps_its_order,
    bytes_decide_which_jobs_are_deleted,
    a_job_is_either_claimed_or_deleted,
    a_queue_lock_ends_with_the_job_that_is_deleted,
    a_queue_lock_outlives_a_deletion_that_finds_no_job,
}

fn to_delete(payload: &Bytes, count: impl Into<Option<u64>>) -> JobsToDelete {
    JobsToDelete { payload: payload.clone(), count: count.into(), locks: Vec::new() }
}

async fn delete(f: &Fixture, name: &str, to_delete: &[JobsToDelete], from: QueueEnd) -> u64 {
    f.store.delete_each(&queue(name), to_delete, from).await.expect("delete_each")
}

/// The jobs' numbers, in order.
async fn numbers(f: &Fixture) -> Vec<usize> {
    let number = |one: &Bytes| (0..1000).find(|n| job(*n) == one).expect("a numbered job");
    queued(&f.store, "q").await.iter().map(number).collect()
}

async fn jobs_are_deleted_from_either_end(f: &Fixture) {
    let order = [1, 2, 1, 3, 1, 2, 1].map(job);
    let cases: [(Option<u64>, QueueEnd, u64, &[usize]); 8] = [
        (None, QueueEnd::Head, 4, &[2, 3, 2]),
        (None, QueueEnd::Tail, 4, &[2, 3, 2]),
        (Some(1), QueueEnd::Head, 1, &[2, 1, 3, 1, 2, 1]),
        (Some(3), QueueEnd::Head, 3, &[2, 3, 2, 1]),
        (Some(1), QueueEnd::Tail, 1, &[1, 2, 1, 3, 1, 2]),
        (Some(3), QueueEnd::Tail, 3, &[1, 2, 3, 2]),
        (Some(9), QueueEnd::Tail, 4, &[2, 3, 2]),
        (Some(0), QueueEnd::Head, 0, &[1, 2, 1, 3, 1, 2, 1]),
    ];
    for (count, from, deleted, left) in cases {
        fill(&f.store, "q", &order).await;
        assert_eq!(delete(f, "q", &[to_delete(&job(1), count)], from).await, deleted, "{count:?} {from:?}");
        assert_eq!(numbers(f).await, left, "{count:?} {from:?}");
        f.store.delete_queue(&queue("q")).await.expect("delete_queue");
    }
    assert_eq!(delete(f, "none", &[to_delete(&job(1), None)], QueueEnd::Head).await, 0);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [], "looking makes nothing");
}

async fn many_different_jobs_are_deleted_and_the_rest_keeps_its_order(f: &Fixture) {
    // Twice 0 to 29.
    let twice = [jobs(0..30), jobs(0..30)].concat();
    for from in [QueueEnd::Head, QueueEnd::Tail] {
        fill(&f.store, "q", &twice).await;
        // Of 0 and 1 one each, 5 none, 6 to 29 all, the others stay.
        let mut meant =
            vec![to_delete(&job(0), 1), to_delete(&job(1), 1), to_delete(&job(5), 0), to_delete(&job(77), 3)];
        meant.extend(jobs(6..30).iter().map(|job| to_delete(job, None)));
        assert_eq!(delete(f, "q", &meant, from).await, 2 + 48);
        let expected = match from {
            QueueEnd::Head => vec![2, 3, 4, 5, 0, 1, 2, 3, 4, 5],
            QueueEnd::Tail => vec![0, 1, 2, 3, 4, 5, 2, 3, 4, 5],
        };
        assert_eq!(numbers(f).await, expected, "{from:?}");
        let all: Vec<_> = jobs(0..6).iter().map(|job| to_delete(job, None)).collect();
        assert_eq!(delete(f, "q", &all, from).await, 10);
        assert_eq!(numbers(f).await, [0_usize; 0]);
    }
    fill(&f.store, "q", &jobs(1..2)).await;
    assert_eq!(numbers(f).await, [1], "the queue may be used again");
}

async fn bytes_decide_which_jobs_are_deleted(f: &Fixture) {
    let spellings: Vec<Bytes> = [
        &br#"{"class":"a","args":[1]}"#[..],
        br#"{"class":"a","args":[1.0]}"#,
        br#"{"class": "a","args":[1]}"#,
        b"{bad",
        b"\xff\xfe",
        b"",
    ]
    .map(Bytes::from_static)
    .to_vec();
    for one in 0..spellings.len() {
        fill(&f.store, "q", &spellings).await;
        assert_eq!(delete(f, "q", &[to_delete(&spellings[one], None)], QueueEnd::Head).await, 1);
        let left: Vec<_> = spellings.iter().filter(|other| **other != spellings[one]).cloned().collect();
        assert_eq!(queued(&f.store, "q").await, left);
        let rest: Vec<_> = left.iter().map(|job| to_delete(job, None)).collect();
        assert_eq!(delete(f, "q", &rest, QueueEnd::Head).await, 5);
    }
}

async fn a_job_is_either_claimed_or_deleted(f: &Fixture) {
    let all = jobs(0..200);
    fill(&f.store, "q", &all).await;
    let store = f.handle().await;
    let meant: Vec<Vec<JobsToDelete>> =
        all.chunks(10).map(|chunk| chunk.iter().map(|job| to_delete(job, None)).collect()).collect();
    let deleting = tokio::spawn(async move {
        let mut deleted = 0;
        for step in meant.iter().rev() {
            deleted += store.delete_each(&queue("q"), step, QueueEnd::Head).await.expect("delete_each");
        }
        deleted
    });
    let mut instance = Instance::join(&f.store, "a", 200).await;
    let mut claimed = 0;
    for slot in 1..=200 {
        claimed += instance.claim(&["q"], &[slot]).await.len() as u64;
    }
    let deleted = deleting.await.expect("the deletion must end");
    assert_eq!(claimed + deleted, 200, "{claimed} claimed, {deleted} deleted");
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

/// Jobs that hold locks: the second one under a key that its task chose.
async fn locked(f: &Fixture, count: usize) -> Vec<LockKey> {
    let chosen = format!("chosen:{}", InstanceRecord::new_id());
    let key = |n| if n == 1 { LockKey::Verbatim(chosen.clone()) } else { lock(n) };
    for n in 0..count {
        assert_eq!(admit(&f.store, "q", &job(n), &[take(&key(n), 60)]).await, Enqueued::Yes);
        assert_eq!(admit(&f.store, "q", &job(n), &[take(&key(n), 60)]).await, refused("QueueLock"));
    }
    (0..count).map(key).collect()
}

async fn a_queue_lock_ends_with_the_job_that_is_deleted(f: &Fixture) {
    // A few are deleted one by one, many page by page.
    for count in [2, 7] {
        let locks = locked(f, count).await;
        let one = |(n, lock): (usize, &LockKey)| JobsToDelete { locks: vec![lock.clone()], ..to_delete(&job(n), None) };
        let all: Vec<_> = locks.iter().enumerate().map(one).collect();
        assert_eq!(delete(f, "q", &all[1..], QueueEnd::Tail).await, count as u64 - 1);
        for (n, lock) in locks.iter().enumerate() {
            let expected = if n == 0 { refused("QueueLock") } else { Enqueued::Yes };
            assert_eq!(admit(&f.store, "q", &job(n), &[take(lock, 60)]).await, expected, "{n} of {count}");
        }
        let delete = DeleteJobs { queue: queue("q"), payload: job(0), count: 0, locks: vec![locks[0].clone()] };
        assert_eq!(f.store.run(delete).await.expect("delete_jobs"), 1);
        assert_eq!(admit(&f.store, "q", &job(0), &[take(&locks[0], 60)]).await, Enqueued::Yes);
        // The tick of a periodic task that is stopped.
        let task = TaskName::new("t").expect("a name");
        let stop = Stop { task, queue: queue("q"), forms: jobs(0..count), locks: locks.clone() };
        assert_eq!(f.store.run(stop).await.expect("stop"), count as u64);
        assert_eq!(f.store.locks().await.expect("locks").locks, []);
    }
}

async fn a_queue_lock_outlives_a_deletion_that_finds_no_job(f: &Fixture) {
    let locks = locked(f, 1).await;
    let doom = |n| JobsToDelete { locks: locks.clone(), ..to_delete(&job(n), None) };
    assert_eq!(delete(f, "q", &[doom(8)], QueueEnd::Head).await, 0);
    let many: Vec<_> = (8..20).map(doom).collect();
    assert_eq!(delete(f, "q", &many, QueueEnd::Head).await, 0);
    let delete = DeleteJobs { queue: queue("q"), payload: job(9), count: 0, locks: locks.clone() };
    assert_eq!(f.store.run(delete).await.expect("delete_jobs"), 0);
    let task = TaskName::new("t").expect("a name");
    let stop = Stop { task, queue: queue("q"), forms: vec![job(9)], locks: locks.clone() };
    assert_eq!(f.store.run(stop).await.expect("stop"), 0);
    assert_eq!(admit(&f.store, "q", &job(0), &[take(&locks[0], 60)]).await, refused("QueueLock"));
}
