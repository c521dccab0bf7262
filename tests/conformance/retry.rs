//! Retry: failed attempts are counted and repeated in the step that ends them.

use bytes::Bytes;
use windlass::store::effect::{Admission, Retry, RetryKeys, Verdict};
use windlass::store::inspection::Retried;
use windlass::store::periodic::Reconciled;
use windlass::store::queueing::{Enqueued, Repeated, When};
use windlass::store::workers::WorkerLock;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{
    admit, counters, delay, delayed, delayed_at, failed, fill, job, job_lock, promote_all, queue, queued, refused,
};
use crate::support::verbs::Verbs as _;
use crate::tick::{entry, reconcile, tick};

behaviours! {
    attempts_are_repeated_until_they_are_used_up,
    each_wait_has_its_turn_and_the_last_repeats,
    success_forgets_the_attempts_before,
    equal_jobs_share_their_attempts_and_none_is_lost,
    a_counter_that_is_no_whole_number_counts_as_none,
    a_failure_that_is_cleared_ends_as_processed,
    a_lost_claim_counts_no_attempt,
    a_lost_reply_counts_an_attempt_once,
    who_a_job_is_stays_with_it,
    a_tick_that_is_repeated_writes_the_next_one_at_its_end,
    locks_of_a_force_cleaned_claim_are_freed,
    a_retry_by_hand_passes_the_next_tick_and_no_attempt,
}

fn keys() -> RetryKeys {
    RetryKeys { counter: "resque-retry:a:1".into(), failure: "failure-resque-retry:a:1".into() }
}

fn attempted(one: &Claimed, attempts: u32, delays_ms: &[u64]) -> Verdict {
    Verdict::Attempted(Box::new(Retry {
        keys: keys(),
        last_error: Bytes::from_static(b"{}"),
        attempts,
        delays_ms: delays_ms.to_vec(),
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    }))
}

/// Claims the job, fails it, and returns what the store decided.
async fn fail(instance: &mut Instance, attempts: u32, delays_ms: &[u64]) -> Option<Repeated> {
    let one = instance.claim_one("q").await;
    let mut exchange = instance.next();
    exchange.settlements = vec![one.ends(attempted(&one, attempts, delays_ms))];
    let reply = instance.send(&exchange).await;
    assert_eq!(reply.lost, [0_usize; 0]);
    reply.repeated.first().copied()
}

async fn next_attempt(f: &Fixture, seconds: i64) {
    f.pass(seconds);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1, "one is due");
}

async fn attempts_are_repeated_until_they_are_used_up(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let repeated = |left| Some(Repeated { index: 0, left, delay_ms: 1000 });
    assert_eq!(fail(&mut instance, 3, &[1000]).await, repeated(2));
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(1)]);
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((0, 1), 0));
    next_attempt(f, 1).await;
    assert_eq!(fail(&mut instance, 3, &[1000]).await, repeated(1));
    next_attempt(f, 1).await;
    assert_eq!(fail(&mut instance, 3, &[1000]).await, None);
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((0, 3), 1));
    assert_eq!(delayed(&f.store).await.len(), 0);
    // A later job starts with its first attempt.
    fill(&f.store, "q", &[job(1)]).await;
    assert_eq!(fail(&mut instance, 3, &[1000]).await, repeated(2));
}

async fn each_wait_has_its_turn_and_the_last_repeats(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (left, delay_ms) in [(4, 0), (3, 5000), (2, 9000), (1, 9000)] {
        let repeated = fail(&mut instance, 5, &[0, 5000, 9000]).await;
        assert_eq!(repeated, Some(Repeated { index: 0, left, delay_ms }));
        next_attempt(f, i64::try_from(delay_ms).unwrap_or(0) / 1000).await;
    }
}

async fn success_forgets_the_attempts_before(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert!(fail(&mut instance, 2, &[1000]).await.is_some());
    next_attempt(f, 1).await;
    let one = instance.claim_one("q").await;
    instance.settle_one(&one, Verdict::DoneAtLast { keys: keys() }).await;
    assert_eq!(counters(&f.store).await, (1, 1));
    fill(&f.store, "q", &[job(1)]).await;
    assert!(fail(&mut instance, 2, &[1000]).await.is_some(), "its first attempt again");
}

async fn equal_jobs_share_their_attempts_and_none_is_lost(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let mut exchange = instance.next();
    exchange.settlements = claims.iter().map(|one| one.ends(attempted(one, 3, &[1000]))).collect();
    let reply = instance.send(&exchange).await;
    let left: Vec<_> = reply.repeated.iter().map(|repeated| (repeated.index, repeated.left)).collect();
    assert_eq!(left, [(0, 2), (1, 1)]);
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(1), job(1)]);
    assert_eq!(failed(&f.store).await.len(), 0);
}

async fn a_counter_that_is_no_whole_number_counts_as_none(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for value in ["", "x", "1.5", " 1", "+1", "1e1", "-7", "\u{ff11}"] {
        fill(&f.store, "q", &[job(1)]).await;
        f.plant_attempts(&keys().counter, value);
        let repeated = fail(&mut instance, 3, &[1000]).await;
        assert_eq!(repeated.map(|repeated| repeated.left), Some(2), "{value:?}");
        assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed").len(), 1);
    }
    // One that is too large has none left.
    fill(&f.store, "q", &[job(1)]).await;
    f.plant_attempts(&keys().counter, "99999999999999999999999999");
    assert_eq!(fail(&mut instance, 3, &[1000]).await, None);
    assert_eq!(failed(&f.store).await.len(), 1);
}

async fn a_failure_that_is_cleared_ends_as_processed(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    let Verdict::Attempted(retry) = attempted(&one, 1, &[1000]) else { unreachable!("it was just made") };
    instance.settle_one(&one, Verdict::Attempted(Box::new(Retry { last: None, ..*retry }))).await;
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((1, 0), 0));
    assert_eq!(instance.working().await, []);
}

async fn a_lost_claim_counts_no_attempt(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    let record = instance.working().await.remove(0);
    assert!(f.store.force_clean(&one.worker, Some(&record), None, &[]).await.expect("force_clean"));
    assert_eq!(instance.settle(vec![one.ends(attempted(&one, 2, &[1000]))]).await, [0]);
    assert_eq!(counters(&f.store).await, (0, 0));
    assert_eq!(delayed(&f.store).await.len(), 0);
    f.store.register(&instance.record.id, &instance.record.workers()).await.expect("register");
    fill(&f.store, "q", &[job(1)]).await;
    assert!(fail(&mut instance, 2, &[1000]).await.is_some(), "its first attempt");
}

async fn a_lost_reply_counts_an_attempt_once(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    let mut exchange = instance.next();
    exchange.settlements = vec![one.ends(attempted(&one, 9, &[1000]))];
    let first = instance.send(&exchange).await;
    instance.reopen().await;
    let again = instance.send(&exchange).await;
    assert_eq!((again.repeated, again.lost), (first.repeated.clone(), first.lost));
    assert_eq!(first.repeated, [Repeated { index: 0, left: 8, delay_ms: 1000 }]);
    assert_eq!((counters(&f.store).await, delayed(&f.store).await.len()), ((0, 1), 1));
}

async fn who_a_job_is_stays_with_it(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    instance.settle_one(&one, attempted(&one, 2, &[1000])).await;
    next_attempt(f, 1).await;
    let again = instance.claim_one("q").await;
    assert_eq!(again.claim.identity, one.claim.identity.next_attempt());
    assert_eq!(again.claim.identity.attempt, 2);
}

async fn a_tick_that_is_repeated_writes_the_next_one_at_its_end(f: &Fixture) {
    assert_eq!(reconcile(f, 10).await, Reconciled::Seeded);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for _ in 0..2 {
        let one = instance.claim_one("q").await;
        let settlement = one.ticks(attempted(&one, 3, &[4000]), &tick(10));
        assert_eq!(instance.settle(vec![settlement]).await, [0_usize; 0]);
        assert_eq!(delayed(&f.store).await, [tick(10).payload], "the repetition and nothing else");
        f.pass(2);
        assert_eq!(reconcile(f, 10).await, Reconciled::Fine, "it is not nowhere");
        next_attempt(f, 2).await;
    }
    let one = instance.claim_one("q").await;
    assert_eq!(instance.settle(vec![one.ticks(attempted(&one, 3, &[4000]), &tick(10))]).await, [0_usize; 0]);
    assert_eq!(failed(&f.store).await.len(), 1);
    // The repetition was found where a tick was looked for, and the period counts from it.
    assert_eq!(delayed_at(&f.store, NOW_S + 18).await, [tick(10).payload]);
    assert_eq!(entry(f).await.expect("entry").due_s, NOW_S + 18);
    assert_eq!(delayed(&f.store).await.len(), 1);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn locks_of_a_force_cleaned_claim_are_freed(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(2)]).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    for (n, one) in claims.iter().enumerate() {
        instance.enter(one, &[crate::look::gate(&job_lock(n), 1000)]).await;
    }
    let record = instance.working().await.remove(0);
    let both = [0, 1].map(|n| WorkerLock { key: job_lock(n), value: None });
    assert!(f.store.force_clean(&claims[0].worker, Some(&record), None, &both).await.expect("force_clean"));
    let locks = crate::look::locks(&f.store).await;
    assert_eq!(locks, [job_lock(1).as_str()], "the other claim's stays");
}

async fn a_retry_by_hand_passes_the_next_tick_and_no_attempt(f: &Fixture) {
    let admission = [Admission::NotRepeating { plugin: "DelayQueueLock", keys: keys() }];
    let retry = async |record: &Bytes| {
        f.store.retry_failed(record, &queue("q"), &job(1), &admission, None).await.expect("retry_failed")
    };
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1), job(1)]).await;
    for _ in 0..2 {
        let one = instance.claim_one("q").await;
        instance.settle_one(&one, one.failed()).await;
    }
    let records = failed(&f.store).await;
    delay(&f.store, &job(1), When::At(NOW_S + 3600)).await;
    assert_eq!(retry(&records[0]).await, [Retried::Yes], "the next tick waits");
    assert_eq!((queued(&f.store, "q").await, delayed(&f.store).await), (vec![job(1)], vec![job(1)]));
    assert_eq!(failed(&f.store).await, records[1..]);
    assert!(fail(&mut instance, 3, &[1000]).await.is_some());
    assert_eq!(retry(&records[1]).await, [Retried::Refused { plugin: "DelayQueueLock" }], "an attempt waits");
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, refused("DelayQueueLock"));
    assert_eq!((failed(&f.store).await.len(), queued(&f.store, "q").await.len()), (1, 0));
    // The counter alone is a leftover.
    f.store.delete_delayed(&job(1)).await.expect("delete_delayed");
    f.plant_attempts(&keys().counter, "0");
    assert_eq!(retry(&records[1]).await, [Retried::Yes]);
    f.plant_attempts(&keys().counter, "0");
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, Enqueued::Yes);
}
