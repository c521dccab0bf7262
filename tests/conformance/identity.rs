//! The identity of a job ends with the job and not earlier, in every arrow that deletes a job and after a retry by hand.
//!
//! Longer than 400 lines because every arrow that ends a job is a behaviour of its own.

use bytes::Bytes;
use windlass::job::{Identity, TaskName};
use windlass::store::effect::{Busy, Gate, Retry, RetryKeys, Verdict};
use windlass::store::inspection::{JobsToDelete, QueueEnd, Retried};
use windlass::store::queueing::Entered;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{delayed_at, failed, fill, gate, job, job_lock, promote_all, queue, queued};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_deleted_delayed_job_takes_its_identity_along,
    a_job_deleted_from_its_queue_takes_its_identity_along,
    a_deleted_queue_takes_identities_along_but_not_those_of_delayed_jobs,
    a_stopped_task_takes_the_identity_of_its_tick_along,
    of_equal_jobs_those_that_stay_stay_who_they_are,
    a_new_job_is_not_taken_for_an_equal_one_that_is_delayed,
    a_job_retried_by_hand_is_who_it_was,
    attempts_end_with_their_job,
    a_dropped_job_leaves_the_attempts_of_its_twin,
}

/// Requeues the one job of queue `q`; returns its identity.
async fn give_back(instance: &mut Instance) -> Identity {
    let one = instance.claim_one("q").await;
    let identity = one.claim.identity.redelivered();
    instance.settle_one(&one, Verdict::Requeued { identity: identity.clone() }).await;
    identity
}

/// Delays the one job of queue `q` by so many seconds; returns its identity.
async fn put_off(instance: &mut Instance, seconds: u64) -> Identity {
    let one = instance.claim_one("q").await;
    let identity = one.claim.identity.put_off();
    instance.settle_one(&one, Verdict::Delayed { delay_ms: seconds * 1000, identity: identity.clone() }).await;
    identity
}

/// The next job of queue `q` must be one that nobody ran before.
async fn is_new(f: &Fixture, instance: &mut Instance, number: usize) {
    fill(&f.store, "q", &[job(number)]).await;
    let one = instance.claim_one("q").await;
    assert_eq!(one.claim.identity, Identity::first(&one.claim.token));
    instance.settle_one(&one, Verdict::Done).await;
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn a_deleted_delayed_job_takes_its_identity_along(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    put_off(&mut instance, 5).await;
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), [NOW_S + 5]);
    is_new(f, &mut instance, 1).await;
    f.pass(10);
    is_new(f, &mut instance, 1).await;
}

async fn a_job_deleted_from_its_queue_takes_its_identity_along(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for count in [0, 1, -1] {
        fill(&f.store, "q", &[job(1)]).await;
        give_back(&mut instance).await;
        assert_eq!(f.store.delete_jobs(&queue("q"), &job(1), count).await.expect("delete_jobs"), 1);
        is_new(f, &mut instance, 1).await;
    }
    // One of few different jobs, and one of many.
    for (others, from) in [(1, QueueEnd::Head), (1, QueueEnd::Tail), (9, QueueEnd::Head), (9, QueueEnd::Tail)] {
        for count in [None, Some(1)] {
            fill(&f.store, "q", &[job(1)]).await;
            give_back(&mut instance).await;
            let doom = |number| JobsToDelete { payload: job(number), count, locks: Vec::new() };
            let to_delete: Vec<JobsToDelete> = (1..=others).map(doom).collect();
            assert_eq!(f.store.delete_each(&queue("q"), &to_delete, from).await.expect("delete_each"), 1);
            is_new(f, &mut instance, 1).await;
        }
    }
}

async fn a_deleted_queue_takes_identities_along_but_not_those_of_delayed_jobs(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(2)]).await;
    let later = put_off(&mut instance, 60).await;
    fill(&f.store, "q", &[job(1)]).await;
    // Deleted and given back and deleted within one second.
    for _ in 0..3 {
        give_back(&mut instance).await;
        assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 1);
        is_new(f, &mut instance, 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        let again = give_back(&mut instance).await;
        let one = instance.claim_one("q").await;
        assert_eq!(one.claim.identity, again, "who was given back after it is known");
        instance.settle_one(&one, Verdict::Done).await;
        fill(&f.store, "q", &[job(1)]).await;
    }
    f.store.delete_queue(&queue("q")).await.expect("delete_queue");
    f.pass(60);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(instance.claim_one("q").await.claim.identity, later);
}

async fn a_stopped_task_takes_the_identity_of_its_tick_along(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let task = TaskName::new("add").expect("a lawful name");
    for withdraws in [false, true] {
        for delays in [false, true] {
            fill(&f.store, "q", &[job(1)]).await;
            if delays {
                put_off(&mut instance, 5).await;
            } else {
                give_back(&mut instance).await;
            }
            if withdraws {
                f.store.withdraw(&task, &queue("q"), &[job(0), job(1)]).await.expect("withdraw");
            } else {
                assert_eq!(f.store.stop(&task, &queue("q"), &[job(0), job(1)]).await.expect("stop"), 1);
            }
            is_new(f, &mut instance, 1).await;
            f.pass(10);
            is_new(f, &mut instance, 1).await;
        }
    }
}

async fn of_equal_jobs_those_that_stay_stay_who_they_are(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    let later = put_off(&mut instance, 60).await;
    fill(&f.store, "q", &[job(1)]).await;
    give_back(&mut instance).await;
    assert_eq!(f.store.delete_jobs(&queue("q"), &job(1), 0).await.expect("delete_jobs"), 1);
    is_new(f, &mut instance, 1).await;
    f.pass(60);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    let one = instance.claim_one("q").await;
    assert_eq!(one.claim.identity, later, "the delayed one was not deleted");
    instance.settle_one(&one, Verdict::Done).await;
    // The other way round, and of two delayed ones.
    fill(&f.store, "q", &[job(1)]).await;
    put_off(&mut instance, 60).await;
    fill(&f.store, "q", &[job(1)]).await;
    put_off(&mut instance, 70).await;
    fill(&f.store, "q", &[job(1)]).await;
    let given = give_back(&mut instance).await;
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed").len(), 2);
    let one = instance.claim_one("q").await;
    assert_eq!(one.claim.identity, given);
    instance.settle_one(&one, Verdict::Done).await;
    is_new(f, &mut instance, 1).await;
}

async fn a_new_job_is_not_taken_for_an_equal_one_that_is_delayed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    let later = put_off(&mut instance, 60).await;
    is_new(f, &mut instance, 1).await;
    // Promoted by hand, its identity is the same.
    f.pass(60);
    let jobs = delayed_at(&f.store, NOW_S + 60).await;
    let promotion = crate::look::promotion("q", NOW_S + 60, &jobs);
    f.store.promote(&promotion).await.expect("promote");
    assert_eq!(instance.claim_one("q").await.claim.identity, later);
}

async fn a_job_retried_by_hand_is_who_it_was(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    let one = instance.claim_one("q").await;
    instance.settle_one(&one, one.failed()).await;
    let record = failed(&f.store).await.remove(0);
    let who = one.claim.identity.retried_by_hand();
    let retried = f.store.retry_failed(&record, &queue("q"), &job(1), &[], Some(&who)).await;
    assert_eq!(retried.expect("retry_failed"), [Retried::Yes]);
    let again = instance.claim_one("q").await;
    assert_eq!((&again.claim.identity.id, again.claim.identity.attempt), (&one.claim.identity.id, 2));
    instance.settle_one(&again, Verdict::Done).await;
    is_new(f, &mut instance, 1).await;
}

fn keys() -> RetryKeys {
    RetryKeys::of_job(&job(1)).expect("it is a job")
}

fn attempted(one: &Claimed) -> Verdict {
    Verdict::Attempted(Box::new(Retry {
        keys: keys(),
        last_error: Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![1000],
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    }))
}

/// How many attempts are left after the next failure; the job is then delayed by a second.
async fn left(instance: &mut Instance) -> Option<u32> {
    let one = instance.claim_one("q").await;
    let mut exchange = instance.next();
    exchange.settlements = vec![one.ends(attempted(&one))];
    instance.send(&exchange).await.repeated.first().map(|repeated| repeated.left)
}

async fn attempts_end_with_their_job(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let back = async || {
        f.pass(1);
        assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    };
    // After each kind of end, a new job has all its attempts.
    for end in 0..8 {
        fill(&f.store, "q", &[job(1)]).await;
        assert_eq!(left(&mut instance).await, Some(2), "before end {end}");
        match end {
            0 => assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed").len(), 1),
            1 => {
                back().await;
                assert_eq!(f.store.delete_jobs(&queue("q"), &job(1), 0).await.expect("delete_jobs"), 1);
            }
            2 => {
                back().await;
                let to_delete = [JobsToDelete { payload: job(1), count: None, locks: Vec::new() }];
                assert_eq!(f.store.delete_each(&queue("q"), &to_delete, QueueEnd::Head).await.expect("delete_each"), 1);
            }
            3 => {
                let task = TaskName::new("add").expect("a lawful name");
                assert_eq!(f.store.stop(&task, &queue("q"), &[job(1)]).await.expect("stop"), 1);
            }
            4 => {
                back().await;
                let one = instance.claim_one("q").await;
                instance.settle_one(&one, Verdict::Vetoed { retry: Some(keys()) }).await;
            }
            5 => {
                back().await;
                let one = instance.claim_one("q").await;
                let record = instance.working().await.remove(0);
                let cleaned = f.store.force_clean(&one.worker, Some(&record), Some(&one.failure()), &[]).await;
                assert!(cleaned.expect("force_clean"));
                f.store.register("a", std::slice::from_ref(&one.worker)).await.expect("register");
            }
            6 => {
                // The job ends, no matter how many attempts are left.
                back().await;
                let one = instance.claim_one("q").await;
                let Verdict::Attempted(retry) = attempted(&one) else { unreachable!("it was just made") };
                let last = Verdict::Attempted(Box::new(Retry { attempts: 0, ..*retry }));
                instance.settle_one(&one, last).await;
            }
            _ => {
                back().await;
                let one = instance.claim_one("q").await;
                instance.settle_one(&one, one.failed()).await;
                let record = failed(&f.store).await.pop().expect("it failed");
                let retried = f.store.retry_failed(&record, &queue("q"), &job(1), &[], None).await;
                assert_eq!(retried.expect("retry_failed"), [Retried::Yes]);
                assert_eq!(left(&mut instance).await, Some(2), "retried by hand");
                f.store.delete_delayed(&job(1)).await.expect("delete_delayed");
            }
        }
    }
}

async fn a_dropped_job_leaves_the_attempts_of_its_twin(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    for own in [false, true] {
        fill(&f.store, "q", &[job(1), job(1)]).await;
        let claims = instance.claim(&["q"], &[1, 2]).await;
        assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
        let busy = Busy::Drop { free: Vec::new(), tick: None, retry: own.then(keys) };
        let drop = Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy };
        f.store.delete_delayed(&job(1)).await.expect("delete_delayed");
        fill(&f.store, "q", &[job(1)]).await;
        let mut other = Instance::join(&f.store, if own { "b" } else { "c" }, 1).await;
        assert_eq!(left(&mut other).await, Some(2));
        assert_eq!(instance.enter(&claims[1], &[drop]).await, Entered::Dropped { plugin: "JobLock" });
        f.pass(1);
        assert_eq!(promote_all(&f.store, "q", 10).await, 1);
        assert_eq!(left(&mut other).await, Some(if own { 2 } else { 1 }));
        f.store.delete_delayed(&job(1)).await.expect("delete_delayed");
        instance.settle(vec![claims[0].frees(Verdict::Done, &[job_lock(1)])]).await;
    }
}

/// What other programs take on Redis.
mod foreign {
    use windlass::store::scheduling::PromoteTo;

    use super::*;
    use crate::look::delayed;

    /// A whole walk.
    async fn sweep(f: &Fixture) {
        let mut cursor = 0;
        loop {
            cursor = f.store.sweep_identities(cursor).await.expect("sweep_identities");
            if cursor == 0 {
                return;
            }
        }
    }

    fn entries(f: &Fixture) -> Vec<String> {
        f.redis_command(&["HKEYS", &f.key("windlass:identity")]).texts()
    }

    #[tokio::test]
    async fn what_another_program_took_is_swept() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        give_back(&mut instance).await;
        f.redis_command(&["LPOP", &f.key("queue:q")]);
        sweep(f).await;
        assert_eq!(entries(f).len(), 1, "a job that was due a moment ago may be on its way");
        f.pass(61);
        sweep(f).await;
        assert_eq!(entries(f), Vec::<String>::new());
        is_new(f, &mut instance, 1).await;
        // Deleted by node-resque, which leaves the schedule's entry and the stamps.
        fill(&f.store, "q", &[job(1)]).await;
        put_off(&mut instance, 500).await;
        let list = f.key(&format!("delayed:{}", NOW_S + 61 + 500));
        f.redis_command(&[b"LREM", list.as_bytes(), b"0", &job(1)[..]]);
        sweep(f).await;
        assert_eq!(f.redis_command(&["KEYS", &f.key("windlass:identity*")]).texts(), Vec::<String>::new());
        is_new(f, &mut instance, 1).await;
    }

    #[tokio::test]
    async fn a_job_is_known_again_in_the_bytes_of_the_one_who_promotes_it() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        let ours = r#"{"class":"add","queue":"q","args":["queue",{"queue":"q"}]}"#;
        let bare = r#"{"class":"add","args":["queue",{"queue":"q"}]}"#;
        let last = r#"{"class":"add","args":["queue",{"queue":"q"}],"queue":"q"}"#;
        for (put, promoted) in [(ours, bare), (last, ours), (last, bare), (bare, bare), (bare, last)] {
            fill(&f.store, "q", &[Bytes::from_static(put.as_bytes())]).await;
            let later = put_off(&mut instance, 5).await;
            f.pass(5);
            f.redis_command(&["DEL", &f.key("delayed_queue_schedule"), &f.key(&format!("delayed:{}", f.second()))]);
            f.redis_command(&["RPUSH", &f.key("queue:q"), promoted]);
            f.pass(100);
            sweep(f).await;
            let one = instance.claim_one("q").await;
            assert_eq!(one.claim.identity, later, "{put} as {promoted}");
            instance.settle_one(&one, Verdict::Done).await;
            assert_eq!(entries(f), Vec::<String>::new());
        }
        // A new job with other bytes is not mistaken for one that still exists.
        fill(&f.store, "q", &[Bytes::from_static(ours.as_bytes())]).await;
        let given = give_back(&mut instance).await;
        f.redis_command(&["LPUSH", &f.key("queue:q"), bare]);
        let new = instance.claim_one("q").await;
        assert_eq!(new.claim.identity, Identity::first(&new.claim.token));
        instance.settle_one(&new, Verdict::Done).await;
        assert_eq!(instance.claim_one("q").await.claim.identity, given);
    }

    #[tokio::test]
    async fn what_stands_is_not_swept() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        let later = put_off(&mut instance, 500).await;
        fill(&f.store, "q", &[job(1)]).await;
        let given = give_back(&mut instance).await;
        // More than one look goes through.
        fill(&f.store, "q", &(2..2000).map(job).collect::<Vec<_>>()).await;
        for _ in 0..3 {
            f.pass(100);
            sweep(f).await;
        }
        let one = instance.claim_one("q").await;
        assert_eq!(one.claim.identity, given);
        instance.settle_one(&one, Verdict::Done).await;
        f.store.delete_queue(&queue("q")).await.expect("delete_queue");
        sweep(f).await;
        f.pass(300);
        sweep(f).await;
        assert_eq!(delayed(&f.store).await.len(), 1, "overdue, and not promoted yet");
        assert_eq!(promote_all(&f.store, "q", 10).await, 1);
        sweep(f).await;
        let one = instance.claim_one("q").await;
        assert_eq!(one.claim.identity.id, later.id);
    }

    #[tokio::test]
    async fn a_job_that_promotion_puts_off_stays_who_it_is() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        let later = put_off(&mut instance, 5).await;
        f.pass(5);
        let mut promotion = crate::look::promotion("q", f.second(), &[job(1)]);
        promotion.jobs[0].to = PromoteTo::Later { wait_ms: 300_000 };
        f.store.promote(&promotion).await.expect("promote");
        f.pass(200);
        sweep(f).await;
        f.pass(100);
        assert_eq!(promote_all(&f.store, "q", 10).await, 1);
        sweep(f).await;
        assert_eq!(instance.claim_one("q").await.claim.identity, later);
    }

    #[tokio::test]
    async fn a_claim_looks_up_only_what_its_queue_has() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        fill(&f.store, "q", &[job(1)]).await;
        give_back(&mut instance).await;
        fill(&f.store, "other", &(0..50).map(job).collect::<Vec<_>>()).await;
        let mut busy = Instance::join(&f.store, "b", 50).await;
        let numbers: Vec<usize> = (1..=50).collect();
        let calls = |command: &str| {
            let info = f.redis_command(&["INFO", "commandstats"]).texts().join("");
            let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|line| line.split(',').next()).map_or(0_u64, |count| count.parse().expect("a number"))
        };
        // All tests of this process share the server, so the test only checks that there is no request for each job.
        let before = calls("hmget");
        assert_eq!(busy.claim(&["other"], &numbers).await.len(), 50);
        assert!(calls("hmget") - before < 50);
    }

    #[tokio::test]
    async fn entries_of_an_earlier_version_are_found_and_swept() {
        let f = &Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        let field = [b"q\n".to_vec(), job(1).to_vec()].concat();
        let line = format!("old-0-1-2 3 1 0 {}", NOW_S + 2_592_000);
        let place = f.key("windlass:identity");
        let plant = || {
            f.redis_command(&[b"HSET".to_vec(), place.clone().into_bytes(), field.clone(), line.clone().into_bytes()])
        };
        plant();
        fill(&f.store, "q", &[job(1)]).await;
        let one = instance.claim_one("q").await;
        assert_eq!(one.claim.identity.encode(), "old-0-1-2 3 1 0");
        instance.settle_one(&one, Verdict::Done).await;
        plant();
        f.pass(100);
        sweep(f).await;
        assert_eq!(entries(f), Vec::<String>::new());
        is_new(f, &mut instance, 1).await;
    }
}
