//! Queues, seconds and lists that are longer than what one step looks at: each step is bounded, and the sum is right.

use bytes::Bytes;
use windlass::store::effect::Verdict;
use windlass::store::inspection::{JobsToDelete, QueueEnd};
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::queueing::When;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{delay, failed, fill, job, queue, queued};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    a_long_queue_is_deleted,
    equal_jobs_are_deleted_from_either_end_of_a_long_queue,
    a_copy_is_found_wherever_it_stands_on_a_long_queue,
    a_task_is_stopped_and_withdrawn_from_a_long_queue,
    a_long_failed_list_is_cleared,
    a_job_that_is_delayed_to_many_seconds_is_deleted,
}

/// More than one step of any engine looks at.
const MANY: usize = 5500;

fn form() -> Bytes {
    Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#)
}

fn look(purpose: Purpose) -> Reconcile {
    Reconcile {
        tick: tick(30),
        forms: vec![form()],
        queue_lock: None,
        job_lock: None,
        grace_s: 3,
        workers: Vec::new(),
        purpose,
        stale_due_s: None,
        silent: Vec::new(),
    }
}

/// Many jobs, with others between them at some places.
async fn crowd(f: &Fixture, others: &[usize], other: &Bytes) {
    let jobs: Vec<Bytes> = (0..MANY).map(|n| if others.contains(&n) { other.clone() } else { job(n) }).collect();
    for some in jobs.chunks(1000) {
        fill(&f.store, "q", some).await;
    }
}

async fn a_long_queue_is_deleted(f: &Fixture) {
    crowd(f, &[], &job(0)).await;
    fill(&f.store, "other", &[job(1)]).await;
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), MANY as u64);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("other")]);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 0);
}

async fn equal_jobs_are_deleted_from_either_end_of_a_long_queue(f: &Fixture) {
    let places = [0, 1, 2600, 5300, MANY - 1];
    let other = job(9999);
    let standing = |queued: Vec<Bytes>| -> Vec<usize> {
        queued.iter().enumerate().filter(|(_, one)| **one == other).map(|(n, _)| n).collect()
    };
    crowd(f, &places, &other).await;
    let delete = async |count| f.store.delete_jobs(&queue("q"), &other, count).await.expect("delete_jobs");
    assert_eq!(delete(2).await, 2);
    assert_eq!(standing(queued(&f.store, "q").await), [2598, 5298, MANY - 3]);
    assert_eq!(delete(-2).await, 2);
    assert_eq!(standing(queued(&f.store, "q").await), [2598]);
    let to_delete =
        [JobsToDelete { payload: other.clone(), count: Some(5) }, JobsToDelete { payload: job(3000), count: None }];
    assert_eq!(f.store.delete_each(&queue("q"), &to_delete, QueueEnd::Tail).await.expect("delete_each"), 2);
    assert_eq!(delete(0).await, 0);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 6);
}

async fn a_copy_is_found_wherever_it_stands_on_a_long_queue(f: &Fixture) {
    for place in [0, 2700, MANY - 1] {
        let f = &f.sibling().await;
        crowd(f, &[place], &form()).await;
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Seeded);
        f.pass(100);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Fine, "at {place}");
        assert_eq!(f.store.reconcile(&look(Purpose::Run)).await.expect("reconcile"), Reconciled::Waits, "at {place}");
        assert_eq!(queued(&f.store, "q").await.len(), MANY, "at {place}");
        assert_eq!(f.store.delete_jobs(&queue("q"), &form(), 0).await.expect("delete_jobs"), 1);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Restored);
        assert_eq!(f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile"), Reconciled::Fine, "once");
    }
}

async fn a_task_is_stopped_and_withdrawn_from_a_long_queue(f: &Fixture) {
    crowd(f, &[4, 2700], &form()).await;
    let tick = tick(30);
    assert_eq!(f.store.stop(&tick.task, &queue("q"), &[form()]).await.expect("stop"), 2);
    assert!(f.store.periodic(&[]).await.expect("periodic").0[0].stopped);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 2);
    fill(&f.store, "q", &[form()]).await;
    f.store.withdraw(&tick.task, &queue("q"), &[form()]).await.expect("withdraw");
    assert_eq!(f.store.periodic(&[]).await.expect("periodic").0, []);
    assert_eq!(queued(&f.store, "q").await.len(), MANY - 2);
}

async fn a_long_failed_list_is_cleared(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 50).await;
    let numbers: Vec<usize> = (1..=50).collect();
    let record = Bytes::from_static(b"{}");
    for _ in 0..50 {
        fill(&f.store, "q", &(0..50).map(job).collect::<Vec<_>>()).await;
        let claims = instance.claim(&["q"], &numbers).await;
        let end = |claim: &crate::instance::Claimed| claim.ends(Verdict::Failed { record: record.clone() });
        instance.settle(claims.iter().map(end).collect()).await;
    }
    assert_eq!(f.store.clear_failed().await.expect("clear_failed"), 2500);
    assert_eq!(failed(&f.store).await.len(), 0);
}

async fn a_job_that_is_delayed_to_many_seconds_is_deleted(f: &Fixture) {
    for second in 0..1200 {
        delay(&f.store, &job(1), When::At(NOW_S + second)).await;
    }
    delay(&f.store, &job(2), When::At(NOW_S)).await;
    let seconds: Vec<i64> = (NOW_S..NOW_S + 1200).collect();
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), seconds);
    assert_eq!(f.store.delayed_seconds(0, 10).await.expect("delayed_seconds").len(), 1);
}
