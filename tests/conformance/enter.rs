//! enter: working -> taken, put back, or dropped, as the gates say.

use windlass::job::LockKey;
use windlass::store::effect::{Busy, Gate, Verdict};
use windlass::store::queueing::{Enqueued, Entered, Exchange};

use crate::fixture::{Fixture, NOW_S, until};
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{
    admit, counters, delayed_at, fill, gate, job, job_lock, jobs, lock, locks, promote_all, queued, seconds, take,
};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    a_job_without_gates_is_taken,
    queue_lock_is_freed_no_matter_who_took_it,
    what_is_no_lock_is_not_freed_as_one,
    job_lock_names_its_claim,
    a_busy_lock_puts_back,
    put_back_is_never_deduplicated_and_keeps_identity,
    a_busy_lock_drops,
    a_drop_writes_the_next_tick,
    a_refusal_undoes_the_locks_taken_before,
    a_refusal_does_not_undo_the_locks_of_others,
    entering_twice_changes_nothing,
    a_lock_that_ran_out_is_free,
    a_lock_that_became_anothers_is_not_freed,
    a_lost_claim_enters_nothing,
    enters_of_one_call_see_each_other,
    all_three_parts_of_a_call_are_applied,
    a_lock_settled_in_the_same_call_is_free,
}

async fn two(f: &Fixture, instance: &mut Instance) -> (Claimed, Claimed) {
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(claims.len(), 2);
    let second = claims.remove(1);
    (claims.remove(0), second)
}

async fn a_job_without_gates_is_taken(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, _) = two(f, &mut instance).await;
    assert_eq!(instance.enter(&one, &[]).await, Entered::Taken);
    assert_eq!(instance.working().await.len(), 2);
}

async fn queue_lock_is_freed_no_matter_who_took_it(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let admissions = [take(&lock(1), 60)];
    assert_eq!(admit(&f.store, "q", &job(1), &admissions).await, Enqueued::Yes);
    let claim = instance.claim_one("q").await;
    assert_eq!(locks(&f.store).await, [lock(1).as_str()], "claiming frees nothing");
    f.plant_lock(&lock(2), "true");
    let gates = [1, 2, 3].map(|n| Gate::FreeLock { key: lock(n) });
    assert_eq!(instance.enter(&claim, &gates).await, Entered::Taken);
    assert_eq!(locks(&f.store).await, [""; 0]);
    assert_eq!(admit(&f.store, "q", &job(1), &admissions).await, Enqueued::Yes, "another may be enqueued meanwhile");
}

async fn what_is_no_lock_is_not_freed_as_one(f: &Fixture) {
    fill(&f.store, "kept", &jobs(5..8)).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    let gates = [Gate::FreeLock { key: LockKey::Namespaced("queue:kept".to_owned()) }];
    assert_eq!(instance.enter(&claim, &gates).await, Entered::Taken);
    assert_eq!(queued(&f.store, "kept").await, jobs(5..8));
    assert!(!f.store.delete_lock("queue:kept").await.expect("delete_lock"));
    assert_eq!(queued(&f.store, "kept").await, jobs(5..8));
}

async fn job_lock_names_its_claim(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, _) = two(f, &mut instance).await;
    assert_eq!(instance.enter(&one, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    let held = f.store.locks().await.expect("locks").locks;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].key, job_lock(1).as_str());
    assert_eq!(held[0].value, format!("{}:{}", NOW_S + 60, one.claim.token));
    assert!(held[0].ttl_ms.is_some_and(|ttl| ttl > 50_000 && ttl <= 61_000), "{:?}", held[0].ttl_ms);
}

async fn a_busy_lock_puts_back(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let gates = [gate(&job_lock(1), 1001)];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    assert_eq!(instance.enter(&two, &gates).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(delayed_at(&f.store, NOW_S + 2).await, [job(1)], "1001 ms are two seconds: never early");
    assert_eq!(instance.working().await.len(), 1, "the claim is over");
    assert_eq!(instance.settle(vec![two.ends(Verdict::Done)]).await, [0], "and cannot be settled");
    assert_eq!(counters(&f.store).await, (0, 0));
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()], "the holder's lock stays");
}

async fn put_back_is_never_deduplicated_and_keeps_identity(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &[job(0), job(0), job(0), job(0)]).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    let gates = [gate(&job_lock(1), 1000)];
    assert_eq!(instance.enter(&claims[0], &gates).await, Entered::Taken);
    for claim in &claims[1..] {
        assert_eq!(instance.enter(claim, &gates).await, Entered::PutBack { plugin: "JobLock" });
    }
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(0), job(0), job(0)]);
    f.pass(1);
    assert_eq!(promote_all(&f.store, "q", 250).await, 3);
    let again = instance.claim(&["q"], &[2, 3, 4]).await;
    let mut ids: Vec<_> = again.iter().map(|one| one.claim.identity.id.clone()).collect();
    ids.sort();
    let mut expected: Vec<_> = claims[1..].iter().map(|one| one.claim.identity.id.clone()).collect();
    expected.sort();
    assert_eq!(ids, expected, "each is still who it was");
}

async fn a_busy_lock_drops(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    f.plant_lock(&lock(1), "true");
    let busy = Busy::Drop { free: vec![lock(1)], tick: None, retry: None };
    let gates = [Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy }];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    assert_eq!(instance.enter(&two, &gates).await, Entered::Dropped { plugin: "JobLock" });
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()], "its QueueLock is free, the holder's lock is not");
    assert_eq!(instance.working().await.len(), 1);
    assert_eq!(seconds(&f.store).await, []);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(counters(&f.store).await, (0, 0));
}

async fn a_drop_writes_the_next_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let busy = Busy::Drop { free: Vec::new(), tick: Some(tick(30)), retry: None };
    let gates = [Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy }];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    assert_eq!(seconds(&f.store).await, [], "who is let in ticks at its end");
    assert_eq!(instance.enter(&two, &gates).await, Entered::Dropped { plugin: "JobLock" });
    assert_eq!(delayed_at(&f.store, NOW_S + 30).await, [tick(30).payload]);
}

async fn a_refusal_undoes_the_locks_taken_before(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    assert_eq!(instance.enter(&one, &[gate(&job_lock(2), 1000)]).await, Entered::Taken);
    let gates = [gate(&job_lock(1), 1000), gate(&job_lock(2), 1000), gate(&job_lock(3), 1000)];
    assert_eq!(instance.enter(&two, &gates).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(locks(&f.store).await, [job_lock(2).as_str()]);
}

async fn a_refusal_does_not_undo_the_locks_of_others(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    f.plant_lock(&job_lock(9), "true");
    assert_eq!(instance.enter(&one, &[gate(&job_lock(9), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(instance.enter(&two, &[gate(&job_lock(9), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(locks(&f.store).await, [job_lock(9).as_str()]);
}

async fn entering_twice_changes_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let gates = [gate(&job_lock(1), 1000), gate(&job_lock(2), 1000)];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    let before =
        f.store.locks().await.expect("locks").locks.into_iter().map(|lock| (lock.key, lock.value)).collect::<Vec<_>>();
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken, "a lock that carries the claim counts as taken");
    let after =
        f.store.locks().await.expect("locks").locks.into_iter().map(|lock| (lock.key, lock.value)).collect::<Vec<_>>();
    assert_eq!(after, before);
    assert_eq!(instance.enter(&two, &gates).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(instance.enter(&two, &gates).await, Entered::Lost, "what was put back is claimed no more");
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(1)]);
}

async fn a_lock_that_ran_out_is_free(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let busy = Busy::PutBack { delay_ms: 1000 };
    let brief = [Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 1, busy }];
    assert_eq!(instance.enter(&one, &brief).await, Entered::Taken);
    // It ends without freeing what it holds.
    instance.settle_one(&one, Verdict::Done).await;
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()]);
    f.pass(2);
    until("the end of the lock", async || locks(&f.store).await.is_empty()).await;
    assert_eq!(instance.enter(&two, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
}

async fn a_lock_that_became_anothers_is_not_freed(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    assert_eq!(instance.enter(&one, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    assert!(f.store.delete_lock(job_lock(1).as_str()).await.expect("delete_lock"));
    assert_eq!(instance.enter(&two, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    // The first ends at last. It must not free the lock, which another holds by now.
    let freeing = one.frees(Verdict::Done, &[job_lock(1)]);
    assert_eq!(instance.settle(vec![freeing]).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()]);
}

async fn a_lost_claim_enters_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    f.plant_lock(&lock(1), "true");
    let record = f.store.working(std::slice::from_ref(&one.worker)).await.expect("working").remove(0);
    assert!(f.store.force_clean(&one.worker, record.as_ref(), None, &[]).await.expect("force_clean"));
    let gates = [Gate::FreeLock { key: lock(1) }, gate(&job_lock(1), 1000)];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Lost);
    assert_eq!(locks(&f.store).await, [lock(1).as_str()], "nothing was freed, nothing was taken");
    assert_eq!(seconds(&f.store).await, []);
    assert_eq!(instance.enter(&two, &[]).await, Entered::Taken);
}

async fn enters_of_one_call_see_each_other(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let gates = [gate(&job_lock(1), 1000)];
    let exchange = Exchange { enters: vec![two.enters(&gates), one.enters(&gates)], ..instance.next() };
    assert_eq!(instance.send(&exchange).await.entered, [Entered::Taken, Entered::PutBack { plugin: "JobLock" }]);
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(0)]);
}

async fn all_three_parts_of_a_call_are_applied(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    fill(&f.store, "q", &jobs(5..6)).await;
    let gates = [gate(&job_lock(1), 1000)];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    // A caller cannot foresee the refusal; its other requests must still be served.
    let settlements = vec![one.frees(Verdict::Done, &[])];
    let exchange = Exchange { settlements, enters: vec![two.enters(&gates)], ..instance.next_claim(&["q"], &[1]) };
    let exchanged = instance.send(&exchange).await;
    assert_eq!(exchanged.entered, [Entered::PutBack { plugin: "JobLock" }], "the lock was not among those freed");
    assert_eq!(claimed(&exchange, &exchanged)[0].claim.payload, job(5));
}

async fn a_lock_settled_in_the_same_call_is_free(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let (one, two) = two(f, &mut instance).await;
    let gates = [gate(&job_lock(1), 1000)];
    assert_eq!(instance.enter(&one, &gates).await, Entered::Taken);
    let settlements = vec![one.frees(Verdict::Done, &[job_lock(1)])];
    let exchange = Exchange { settlements, enters: vec![two.enters(&gates)], ..instance.next() };
    assert_eq!(instance.send(&exchange).await.entered, [Entered::Taken], "settlements are applied first");
}
