//! A clock that is set while leaderships and locks are held. This concerns SQLite alone, because Redis expires keys itself.

use windlass::store::effect::{Busy, Gate};
use windlass::store::instance::{Extend, LockRenewal};
use windlass::store::queueing::{Enqueued, Entered};
use windlass::store::scheduling::Leadership::{Duties, Scheduler};

use crate::fixture::{Fixture, until};
use crate::instance::Instance;
use crate::look::{admit, fill, gate, job, job_lock, jobs, lock, locks, refused, take};
use crate::support::verbs::Verbs as _;

const TWO_HOURS_S: i64 = 7200;
const THIRTY_DAYS_S: i64 = 30 * 86_400;

#[tokio::test]
async fn a_leader_from_before_the_clock_was_set_back_is_succeeded() {
    let f = Fixture::sqlite().await;
    for which in [Scheduler, Duties] {
        assert!(f.store.lead(which, "before", 300).await.expect("lead"));
        f.pass(-TWO_HOURS_S);
        assert_eq!(f.store.leader(which).await.expect("leader"), None, "its end lies further ahead than its term");
        until("the end of the term", async || f.store.lead(which, "after", 60_000).await.expect("lead")).await;
        assert_eq!(f.store.leader(which).await.expect("leader").as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn a_leader_that_renews_stays_leader_when_the_clock_is_set() {
    let f = Fixture::sqlite().await;
    let other = f.handle().await;
    assert!(f.store.lead(Duties, "one", 60_000).await.expect("lead"));
    assert!(!other.lead(Duties, "two", 60_000).await.expect("lead"));
    f.pass(THIRTY_DAYS_S);
    assert!(!other.lead(Duties, "two", 60_000).await.expect("lead"), "no instance has seen it stand still");
    assert!(f.store.lead(Duties, "one", 60_000).await.expect("lead"));
}

#[tokio::test]
async fn a_running_job_keeps_its_lock_when_the_clock_is_set_forward() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    f.pass(THIRTY_DAYS_S);
    // The beat of another instance must not remove it either.
    let other = Instance::join(&f.handle().await, "b", 1).await;
    other.extend().await;
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()]);
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(1), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    let renewal = LockRenewal { key: job_lock(1), claim: claims[0].claim.token.clone(), ttl_s: 60 };
    let (record, workers) = (instance.record.clone(), instance.record.workers());
    let extend = Extend { pinged: Vec::new(), record, publish: true, census: false, workers, locks: vec![renewal] };
    let extended = f.store.extend(&extend).await.expect("extend");
    assert_eq!(extended.lost_locks, [0_usize; 0]);
    let held = f.store.locks().await.expect("locks");
    assert_eq!(held[0].ttl_ms, Some(60_000), "it is renewed by the new time");
}

#[tokio::test]
async fn a_queue_lock_from_before_the_clock_was_set_back_is_cut_to_its_length() {
    let f = Fixture::sqlite().await;
    let admission = [take(&lock(1), 60)];
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, Enqueued::Yes);
    f.pass(-TWO_HOURS_S);
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, refused("QueueLock"), "it is not freed too early");
    f.pass(62);
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, Enqueued::Yes, "and not held for two hours");
}

#[tokio::test]
async fn a_leaked_job_lock_from_before_the_clock_was_set_back_is_cut_to_its_length() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let busy = Busy::PutBack { delay_ms: 1000 };
    let gates = [Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy }];
    assert_eq!(instance.enter(&claims[0], &gates).await, Entered::Taken);
    instance.settle_one(&claims[0], windlass::store::effect::Verdict::Done).await;
    f.pass(-TWO_HOURS_S);
    assert_eq!(instance.enter(&claims[1], &gates).await, Entered::PutBack { plugin: "JobLock" });
    f.pass(61);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &gates).await, Entered::Taken);
}
