//! settle: working -> done, failed, delayed or back to its queue.

use windlass::job::Identity;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Entered, Exchange, When};

use crate::fixture::{Fixture, NOW_MS, NOW_S};
use crate::instance::{Claimed, Instance, claimed, payloads};
use crate::look::{
    counters, delay, delayed_at, failed, fill, gate, job, job_lock, jobs, locks, promote_all, queued, seconds,
};
use crate::support::verbs::Verbs as _;

behaviours! {
    done_is_counted_and_forgotten,
    failed_goes_to_the_end_of_the_failed_list,
    delayed_is_never_early_and_never_deduplicated,
    requeued_goes_to_the_head,
    several_requeued_keep_their_order,
    a_lost_claim_settles_nothing,
    a_settled_claim_cannot_be_settled_again,
    only_the_lost_of_a_batch_are_lost,
    locks_are_freed_by_their_owner_alone,
    an_identity_survives_until_the_next_claim,
    an_identity_survives_a_delay,
    an_identity_belongs_to_one_job,
    equal_jobs_carry_one_identity_each,
    a_job_that_ends_leaves_no_identity,
    a_worker_settles_and_claims_in_one_call,
    a_requeued_job_can_be_claimed_in_the_same_call,
}

async fn claims(f: &Fixture, instance: &mut Instance, count: usize) -> Vec<Claimed> {
    fill(&f.store, "q", &jobs(0..count)).await;
    let claims = instance.claim(&["q"], &(1..=count).collect::<Vec<_>>()).await;
    assert_eq!(payloads(&claims), jobs(0..count));
    claims
}

async fn done_is_counted_and_forgotten(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let ends = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(instance.working().await, []);
    assert_eq!(counters(&f.store).await, (2, 0));
    assert_eq!(queued(&f.store, "q").await.len() + failed(&f.store).await.len(), 0);
    let mut workers = f.store.stats().await.expect("stats").workers;
    workers.sort();
    assert_eq!(workers, [("host-windlass:a+1".to_owned(), 1, 0), ("host-windlass:a+2".to_owned(), 1, 0)]);
}

async fn failed_goes_to_the_end_of_the_failed_list(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    let claims = claims(f, &mut instance, 3).await;
    for n in [1, 0, 2] {
        instance.settle_one(&claims[n], claims[n].failed()).await;
    }
    let records = [&claims[1], &claims[0], &claims[2]].map(Claimed::failure);
    assert_eq!(failed(&f.store).await, records);
    assert_eq!(counters(&f.store).await, (0, 3), "a failure is not processed, as node-resque counts");
    let workers = f.store.stats().await.expect("stats").workers;
    assert!(workers.contains(&("host-windlass:a+2".to_owned(), 0, 1)), "{workers:?}");
    assert_eq!(instance.working().await, []);
}

async fn delayed_is_never_early_and_never_deduplicated(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &[job(0), job(0), job(0), job(0)]).await;
    delay(&f.store, &job(0), When::At(NOW_S + 2)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    let delays = [1001, 2000, 0, 1];
    let ends = claims.iter().zip(delays).map(|(one, delay_ms)| one.ends(one.retried(delay_ms))).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(seconds(&f.store).await, [(NOW_S, 1), (NOW_S + 1, 1), (NOW_S + 2, 3)]);
    assert_eq!(delayed_at(&f.store, NOW_S + 2).await, [job(0), job(0), job(0)]);
    assert_eq!(counters(&f.store).await, (0, 0), "what is put off is not counted");
    assert_eq!(instance.working().await, []);
    f.clock.set(NOW_MS + 2999);
    assert_eq!(promote_all(&f.store, "q", 250).await, 5, "none of the equal jobs is lost");
    assert_eq!(queued(&f.store, "q").await.len(), 5);
}

async fn requeued_goes_to_the_head(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.requeued()).await;
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    assert_eq!(counters(&f.store).await, (0, 0));
    assert_eq!(instance.working().await, []);
}

async fn several_requeued_keep_their_order(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    let claims = claims(f, &mut instance, 4).await;
    fill(&f.store, "q", &jobs(4..5)).await;
    let back = claims.iter().rev().map(|one| one.ends(one.requeued())).collect();
    assert_eq!(instance.settle(back).await, [0_usize; 0]);
    assert_eq!(queued(&f.store, "q").await, jobs(0..5));
}

async fn a_lost_claim_settles_nothing(f: &Fixture) {
    for round in 0..4 {
        let mut instance = Instance::join(&f.store, &format!("a{round}"), 1).await;
        fill(&f.store, "q", &jobs(0..1)).await;
        let claim = instance.claim_one("q").await;
        let record = instance.working().await.remove(0);
        assert!(f.store.force_clean(&claim.worker, Some(&record), None, &[]).await.expect("force_clean"));
        let verdict = [Verdict::Done, claim.failed(), claim.retried(1000), claim.requeued()][round].clone();
        let before = counters(&f.store).await;
        assert_eq!(instance.settle(vec![claim.ends(verdict)]).await, [0]);
        assert_eq!(counters(&f.store).await, before);
        assert_eq!(queued(&f.store, "q").await.len() + failed(&f.store).await.len(), 0);
        assert_eq!(seconds(&f.store).await, []);
    }
}

async fn a_settled_claim_cannot_be_settled_again(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let first = instance.claim_one("q").await;
    instance.settle_one(&first, Verdict::Done).await;
    assert_eq!(instance.settle(vec![first.ends(first.requeued())]).await, [0]);
    // Now another claim stands under the same worker.
    let second = instance.claim_one("q").await;
    assert_eq!(instance.settle(vec![first.ends(Verdict::Done)]).await, [0]);
    assert_eq!(instance.working().await[0].claim.as_ref(), Some(&second.claim.token));
    assert_eq!(counters(&f.store).await, (1, 0));
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    // Twice within one call.
    assert_eq!(instance.settle(vec![second.ends(Verdict::Done), second.ends(Verdict::Done)]).await, [1]);
    assert_eq!(counters(&f.store).await, (2, 0));
}

async fn only_the_lost_of_a_batch_are_lost(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    let claims = claims(f, &mut instance, 4).await;
    for n in [1, 3] {
        let record = f.store.working(&[claims[n].worker.clone()]).await.expect("working").remove(0);
        assert!(f.store.force_clean(&claims[n].worker, record.as_ref(), None, &[]).await.expect("force_clean"));
    }
    let ends = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
    assert_eq!(instance.settle(ends).await, [1, 3]);
    assert_eq!(counters(&f.store).await.0, 2);
}

async fn locks_are_freed_by_their_owner_alone(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let key = job_lock(1);
    assert_eq!(instance.enter(&claims[0], &[gate(&key, 1000)]).await, Entered::Taken);
    let freeing = claims[1].frees(Verdict::Done, std::slice::from_ref(&key));
    assert_eq!(instance.settle(vec![freeing]).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [key.as_str()], "another's lock stays");
    f.plant_lock(&job_lock(2), &(NOW_S + 60).to_string());
    let freeing = claims[0].frees(Verdict::Done, &[key, job_lock(2), job_lock(3)]);
    assert_eq!(instance.settle(vec![freeing]).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [job_lock(2).as_str()], "one's own is freed, a stranger's stays");
}

async fn an_identity_survives_until_the_next_claim(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let first = instance.claim_one("q").await;
    instance.settle_one(&first, first.requeued()).await;
    let mut other = Instance::join(&f.handle().await, "b", 1).await;
    let second = other.claim_one("q").await;
    assert_eq!(second.claim.identity, first.claim.identity.redelivered());
    assert_ne!(second.claim.token, first.claim.token);
    let record = other.working().await.remove(0);
    assert_eq!(record.identity.as_ref(), Some(&second.claim.identity), "it is on record as well");
    let later = Verdict::Requeued { identity: second.claim.identity.redelivered().put_off() };
    other.settle_one(&second, later).await;
    let third = instance.claim_one("q").await;
    let expected = Identity { redelivered: 2, later: 1, ..first.claim.identity.clone() };
    assert_eq!(third.claim.identity, expected);
}

async fn an_identity_survives_a_delay(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let first = instance.claim_one("q").await;
    instance.settle_one(&first, first.retried(5000)).await;
    f.pass(5);
    assert_eq!(promote_all(&f.store, "q", 250).await, 1);
    let second = instance.claim_one("q").await;
    assert_eq!(second.claim.identity, Identity { attempt: 2, ..first.claim.identity.clone() });
}

async fn an_identity_belongs_to_one_job(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let first = instance.claim_one("q").await;
    instance.settle_one(&first, first.requeued()).await;
    // The same bytes in another queue and other bytes in the same queue are other jobs.
    fill(&f.store, "other", &jobs(0..1)).await;
    fill(&f.store, "q", &jobs(1..2)).await;
    let claims = instance.claim(&["other", "q"], &[1, 2, 3]).await;
    let redelivered: Vec<u32> = claims.iter().map(|one| one.claim.identity.redelivered).collect();
    assert_eq!(redelivered, [0, 1, 0]);
    assert_eq!(claims[1].claim.identity.id, first.claim.identity.id);
}

async fn equal_jobs_carry_one_identity_each(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &[job(0), job(0), job(0)]).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let back = claims[..2].iter().rev().map(|one| one.ends(one.requeued())).collect();
    assert_eq!(instance.settle(back).await, [0_usize; 0]);
    instance.settle_one(&claims[2], Verdict::Done).await;
    fill(&f.store, "q", &[job(0)]).await;
    let again = instance.claim(&["q"], &[1, 2, 3]).await;
    let mut ids: Vec<_> =
        again.iter().map(|one| (one.claim.identity.redelivered, one.claim.identity.id.to_string())).collect();
    ids.sort();
    let mut expected: Vec<_> = claims[..2].iter().map(|one| (1, one.claim.identity.id.to_string())).collect();
    // Which of the three equal jobs is the new one cannot be told, only that one of them is.
    let fresh = again.iter().find(|one| one.claim.identity.redelivered == 0).expect("one is new");
    assert_eq!(fresh.claim.identity, Identity::first(&fresh.claim.token));
    expected.push((0, fresh.claim.token.to_string()));
    expected.sort();
    assert_eq!(ids, expected);
}

async fn a_job_that_ends_leaves_no_identity(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for end in 0..2 {
        fill(&f.store, "q", &jobs(0..1)).await;
        let first = instance.claim_one("q").await;
        assert_eq!(first.claim.identity, Identity::first(&first.claim.token), "round {end}");
        instance.settle_one(&first, first.requeued()).await;
        let second = instance.claim_one("q").await;
        let verdict = if end == 0 { Verdict::Done } else { second.failed() };
        instance.settle_one(&second, verdict).await;
    }
    fill(&f.store, "q", &jobs(0..1)).await;
    let fresh = instance.claim_one("q").await;
    assert_eq!(fresh.claim.identity, Identity::first(&fresh.claim.token));
}

async fn a_worker_settles_and_claims_in_one_call(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..6)).await;
    let mut claims = instance.claim(&["q"], &[1, 2]).await;
    for round in 1..3 {
        let settlements = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
        let exchanged = instance.send(&exchange).await;
        assert_eq!(exchanged.lost, [0_usize; 0]);
        claims = claimed(&exchange, &exchanged);
        assert_eq!(payloads(&claims), jobs(2 * round..2 * round + 2));
        assert_eq!(instance.working().await.len(), 2);
    }
    let settlements = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
    assert_eq!(instance.send(&exchange).await.claims.len(), 0);
    assert_eq!(counters(&f.store).await, (6, 0));
    assert_eq!(instance.working().await, []);
}

async fn a_requeued_job_can_be_claimed_in_the_same_call(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let first = instance.claim_one("q").await;
    let exchange = Exchange { settlements: vec![first.ends(first.requeued())], ..instance.next_claim(&["q"], &[1]) };
    let exchanged = instance.send(&exchange).await;
    let again = claimed(&exchange, &exchanged);
    assert_eq!(payloads(&again), [job(0)]);
    assert_eq!(again[0].claim.identity, first.claim.identity.redelivered());
    assert_eq!(instance.working().await.len(), 1);
}
