//! Short helpers to fill a store and to look at it, through the contract only.

use crate::support::verbs::Verbs as _;
use bytes::Bytes;
use windlass::event::Listener;
use windlass::job::{LockKey, QueueName};
use windlass::store::Store;
use windlass::store::delayed::DelayedCursor;
use windlass::store::effect::{Admission, Busy, Gate};
use windlass::store::queueing::{Enqueue, Enqueued, Schedule, Scheduled, When};
use windlass::store::role::Whole;
use windlass::store::scheduling::{Promote, PromoteTo, Promoted, Promotion};
use windlass::store::unreadable::{CountUnreadable, RecordKind};

/// A queue's name.
pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a test's queue must have a lawful name")
}

/// The `n`th job of queue `q`, as node-resque would write it.
pub(crate) fn job(n: usize) -> Bytes {
    Bytes::from(format!(r#"{{"class":"add","queue":"q","args":[{n}]}}"#))
}

/// Several jobs.
pub(crate) fn jobs(numbers: std::ops::Range<usize>) -> Vec<Bytes> {
    numbers.map(job).collect()
}

/// The QueueLock that tests use, numbered.
pub(crate) fn lock(n: usize) -> LockKey {
    LockKey::Namespaced(format!("lock:add:q:[{n}]"))
}

/// A JobLock, numbered.
pub(crate) fn job_lock(n: usize) -> LockKey {
    LockKey::Namespaced(format!("workerslock:add:q:[{n}]"))
}

/// QueueLock's condition.
pub(crate) fn take(key: &LockKey, ttl_s: u64) -> Admission {
    Admission::TakeLock { plugin: "QueueLock", key: key.clone(), ttl_s }
}

/// DelayQueueLock's condition.
pub(crate) const NOT_DELAYED: Admission = Admission::NotDelayed { plugin: "DelayQueueLock" };

/// JobLock's gate, which delays while another holds the lock.
pub(crate) fn gate(key: &LockKey, delay_ms: u64) -> Gate {
    Gate::TakeLock { plugin: "JobLock", key: key.clone(), ttl_s: 60, busy: Busy::PutBack { delay_ms } }
}

/// A job for the end of a queue.
pub(crate) fn push(name: &str, payload: &Bytes, admissions: &[Admission]) -> Enqueue {
    Enqueue { queue: queue(name), payload: payload.clone(), front: false, admissions: admissions.to_vec() }
}

/// Enqueues jobs without conditions.
pub(crate) async fn fill(store: &Store<Whole>, name: &str, jobs: &[Bytes]) {
    let jobs: Vec<Enqueue> = jobs.iter().map(|job| push(name, job, &[])).collect();
    let enqueued = store.enqueue(&jobs).await.expect("enqueue");
    assert!(enqueued.len() == jobs.len() && enqueued.iter().all(|one| *one == Enqueued::Yes));
}

/// Enqueues one job under conditions.
pub(crate) async fn admit(store: &Store<Whole>, name: &str, payload: &Bytes, admissions: &[Admission]) -> Enqueued {
    let mut enqueued = store.enqueue(&[push(name, payload, admissions)]).await.expect("enqueue");
    assert_eq!(enqueued.len(), 1);
    enqueued.remove(0)
}

/// What a refusal by this plugin looks like.
pub(crate) fn refused(plugin: &'static str) -> Enqueued {
    Enqueued::Refused { plugin }
}

/// Delays one job.
pub(crate) async fn delay(store: &Store<Whole>, payload: &Bytes, when: When) -> Scheduled {
    let schedule = Schedule { payload: payload.clone(), when };
    store.schedule(&[schedule]).await.expect("schedule")[0]
}

/// All jobs of a queue.
pub(crate) async fn queued(store: &Store<Whole>, name: &str) -> Vec<Bytes> {
    store.queued(&queue(name), 0, -1).await.expect("queued")
}

/// All jobs delayed until a second.
pub(crate) async fn delayed_at(store: &Store<Whole>, second: i64) -> Vec<Bytes> {
    store.delayed_at(second, 0, -1).await.expect("delayed_at")
}

/// All delayed seconds with their lengths.
pub(crate) async fn seconds(store: &Store<Whole>) -> Vec<(i64, u64)> {
    let seconds = store.delayed_seconds(DelayedCursor::first(), 10_000).await.expect("delayed_seconds").seconds;
    seconds.iter().map(|one| (one.second, one.length)).collect()
}

/// All delayed jobs, the earliest first.
pub(crate) async fn delayed(store: &Store<Whole>) -> Vec<Bytes> {
    let mut jobs = Vec::new();
    for (second, _) in seconds(store).await {
        jobs.extend(delayed_at(store, second).await);
    }
    jobs
}

/// All failure records.
pub(crate) async fn failed(store: &Store<Whole>) -> Vec<Bytes> {
    store.failed(0, -1).await.expect("failed")
}

/// Processed and failed, as counted.
pub(crate) async fn counters(store: &Store<Whole>) -> (u64, u64) {
    let stats = store.stats().await.expect("stats");
    (stats.processed, stats.failed)
}

/// The keys of the locks held.
pub(crate) async fn locks(store: &Store<Whole>) -> Vec<String> {
    let mut keys: Vec<String> = store.locks().await.expect("locks").locks.into_iter().map(|lock| lock.key).collect();
    keys.sort();
    keys
}

/// Moves everything due to queue `to`, in batches of `limit`, as a scheduler does; tells how many.
pub(crate) async fn promote_all(store: &Store<Whole>, to: &str, limit: usize) -> usize {
    let (mut moved, mut idle) = (0, 0);
    // Another promoter or a deletion may come between; but not for ever.
    while idle < 1000 {
        let due = store.due(limit, &[]).await.expect("due");
        if !due.is_due() {
            return moved;
        }
        let second = due.second.expect("what is due must have a second");
        match store.promote(&promotion(to, second, &due.jobs)).await.expect("promote") {
            Promoted::Moved(0) => idle += 1,
            Promoted::Moved(n) => (moved, idle) = (moved + n, 0),
            Promoted::Refused { by, .. } => panic!("a queue takes no jobs: {by}"),
            Promoted::Early { now_ms } => panic!("{second} was read as due, and it is {now_ms}"),
            Promoted::RubyLeads => panic!("resque-scheduler is not there"),
            Promoted::NotLeader => panic!("nobody was asked to lead"),
        }
    }
    panic!("what is due must be moved at last");
}

/// A promotion of these jobs without a leader.
pub(crate) fn promotion(to: &str, second: i64, jobs: &[Bytes]) -> Promotion {
    let to = |payload: &Bytes| Promote {
        payload: payload.clone(),
        long: None,
        to: PromoteTo::Queue { queue: queue(to), lock: None },
    };
    Promotion { leader: None, ruby: None, second, jobs: jobs.iter().map(to).collect() }
}

/// Asserts that exactly these subjects were reported, each by one warning.
pub(crate) fn assert_named_once(listener: &Listener, subjects: &[&str]) {
    let told: Vec<String> = std::iter::from_fn(|| listener.try_next()).map(|event| format!("{event:?}")).collect();
    for subject in subjects {
        assert_eq!(told.iter().filter(|text| text.contains(subject)).count(), 1, "{subject}: {told:?}");
    }
    assert_eq!(told.len(), subjects.len(), "{told:?}");
}

/// How many records of each kind cannot be read.
pub(crate) async fn unreadable(store: &Store<Whole>) -> Vec<(RecordKind, u64)> {
    let counts = store.run(CountUnreadable).await.expect("count_unreadable");
    counts.into_iter().map(|one| (one.kind, one.count)).collect()
}
