//! claim: queue -> working, for all idle workers in one call.

use windlass::job::{ClaimToken, Identity};
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Exchange, Exchanged};

use crate::enqueue::strange_payloads;
use crate::fixture::Fixture;
use crate::instance::{Instance, claimed, payloads};
use crate::look::{failed, fill, job, jobs, queue, queued};
use crate::support::verbs::Verbs as _;

behaviours! {
    priority_is_strict,
    one_call_claims_across_queues,
    fewer_jobs_than_workers_are_given_to_the_first,
    an_empty_store_gives_nothing,
    a_share_is_one_part_of_what_a_queue_holds,
    a_claim_is_on_record_at_once,
    a_claim_says_who_the_job_is,
    strange_payloads_come_back_byte_for_byte,
    strange_queue_names_work,
    a_worker_with_a_record_loses_no_job,
    workers_under_which_a_record_stands_are_named_and_the_others_get_the_jobs,
    a_duplicate_queue_claims_nothing_twice,
    many_workers_claim_in_one_call,
}

async fn priority_is_strict(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "low", &jobs(0..2)).await;
    fill(&f.store, "high", &jobs(10..12)).await;
    let claims = instance.claim(&["high", "low"], &[1]).await;
    assert_eq!(payloads(&claims), [job(10)]);
    fill(&f.store, "high", &jobs(12..13)).await;
    let claims = instance.claim(&["high", "low"], &[2, 3]).await;
    assert_eq!(payloads(&claims), [job(11), job(12)]);
    assert_eq!(queued(&f.store, "low").await.len(), 2, "no job of low while high has one");
}

async fn one_call_claims_across_queues(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "low", &jobs(0..5)).await;
    fill(&f.store, "high", &jobs(10..12)).await;
    let claims = instance.claim(&["high", "none", "low"], &[1, 2, 3, 4]).await;
    assert_eq!(payloads(&claims), [job(10), job(11), job(0), job(1)]);
    let from: Vec<&str> = claims.iter().map(|one| one.claim.queue.as_str()).collect();
    assert_eq!(from, ["high", "high", "low", "low"]);
    assert_eq!(queued(&f.store, "low").await, jobs(2..5));
}

async fn fewer_jobs_than_workers_are_given_to_the_first(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[4, 2, 5]).await;
    assert_eq!(payloads(&claims), jobs(0..2));
    let workers: Vec<_> = claims.iter().map(|one| one.worker.clone()).collect();
    assert_eq!(workers, [instance.worker(4), instance.worker(2)]);
    assert_eq!(instance.working().await.len(), 2);
}

async fn a_share_is_one_part_of_what_a_queue_holds(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 12).await;
    fill(&f.store, "high", &jobs(0..10)).await;
    fill(&f.store, "low", &jobs(20..21)).await;
    // One part of four, rounded up; and nothing of low while high has more, whose share it ever is.
    for (idle, expected) in [(vec![1, 2, 3, 4], jobs(0..3)), (vec![4, 5, 6], jobs(3..5)), (vec![6], jobs(5..6))] {
        let exchange = Exchange { share: 4, ..instance.next_claim(&["high", "low"], &idle) };
        let reply = instance.send(&exchange).await;
        assert_eq!(payloads(&claimed(&exchange, &reply)), expected);
    }
    let exchange = Exchange { share: 100, ..instance.next_claim(&["high", "low"], &[7, 8]) };
    assert_eq!(payloads(&claimed(&exchange, &instance.send(&exchange).await)), jobs(6..7));
    assert_eq!(payloads(&instance.claim(&["high", "low"], &[8, 9, 10]).await), jobs(7..10));
    // The last one of a queue is a whole share, and leaves others to take.
    let exchange = Exchange { share: 4, ..instance.next_claim(&["high", "low", "none"], &[11, 12]) };
    assert_eq!(payloads(&claimed(&exchange, &instance.send(&exchange).await)), jobs(20..21));
}

async fn an_empty_store_gives_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(instance.claim(&["q", "p"], &[1, 2]).await.len(), 0);
    assert_eq!(instance.claim(&[], &[1, 2]).await.len(), 0);
    fill(&f.store, "q", &jobs(0..1)).await;
    assert_eq!(instance.claim(&["q"], &[]).await.len(), 0);
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    assert_eq!(instance.working().await, []);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("q")], "claiming makes no queue known");
}

async fn a_claim_is_on_record_at_once(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(7..8)).await;
    let claim = instance.claim_one("q").await;
    let other = f.handle().await;
    let records = other.working(&[instance.worker(2), instance.worker(1)]).await.expect("working");
    assert_eq!(records[0], None);
    let record = records[1].as_ref().expect("the claim must be on record");
    assert_eq!(record.worker, claim.worker);
    assert_eq!(record.claim.as_ref(), Some(&claim.claim.token));
    assert_eq!(record.queue, Some(queue("q")));
    assert_eq!(record.payload, Some(job(7)));
    assert_eq!(record.run_at.as_deref(), Some("2027-01-15T08:00:00.000Z"));
    assert_eq!(record.identity.as_ref(), Some(&claim.claim.identity));
    // What node-resque and resque-web read must be there for a JSON reader, payload as an object.
    let json: serde_json::Value = serde_json::from_slice(&record.raw).expect("a record must be JSON");
    assert_eq!(json["worker"], claim.worker.name());
    assert_eq!(json["queue"], "q");
    assert_eq!(json["payload"]["class"], "add");
    let registered = other.registered().await.expect("registered");
    let one = registered.iter().find(|one| one.worker == claim.worker).expect("registered");
    assert_eq!(one.working.as_ref(), Some(record));
}

async fn a_claim_says_who_the_job_is(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let exchange = instance.next_claim(&["q"], &[2, 3, 1]);
    let exchanged = instance.send(&exchange).await;
    for (n, claim) in exchanged.claims.iter().enumerate() {
        assert_eq!(claim.index, n);
        assert_eq!(claim.token, ClaimToken::new("a", 0, exchange.sequence, n));
        assert_eq!(claim.identity, Identity::first(&claim.token));
    }
    assert_eq!(exchanged.claims.len(), 3);
}

async fn strange_payloads_come_back_byte_for_byte(f: &Fixture) {
    let strange = strange_payloads();
    let mut instance = Instance::join(&f.store, "a", strange.len()).await;
    fill(&f.store, "q", &strange).await;
    let numbers: Vec<usize> = (1..=strange.len()).collect();
    let claims = instance.claim(&["q"], &numbers).await;
    assert_eq!(payloads(&claims), strange);
    let records = instance.working().await;
    assert_eq!(records.len(), strange.len());
    for (record, payload) in records.iter().zip(&strange) {
        assert_eq!(
            record.payload.as_ref(),
            Some(payload),
            "{:?}",
            String::from_utf8_lossy(&record.raw[..200.min(record.raw.len())])
        );
    }
    // Back to the queue, claimed again, and failed: the bytes outlive every arrow.
    let back = claims.iter().rev().map(|one| one.ends(one.requeued())).collect();
    assert_eq!(instance.settle(back).await, [0_usize; 0]);
    assert_eq!(queued(&f.store, "q").await, strange);
    let claims = instance.claim(&["q"], &numbers).await;
    assert_eq!(payloads(&claims), strange);
    assert!(claims.iter().all(|one| one.claim.identity.redelivered == 1), "each is known again");
    let ends = claims.iter().map(|one| one.ends(one.failed())).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(failed(&f.store).await.len(), strange.len());
    assert_eq!(instance.working().await, []);
}

async fn strange_queue_names_work(f: &Fixture) {
    let names = ["a:b", "ü", "q\"uote", "a,\"payload\":b", "back\\slash", "{tag}", "*", "with blank", "%s"];
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (n, name) in names.into_iter().enumerate() {
        fill(&f.store, name, &[job(n)]).await;
        let claim = instance.claim_one(name).await;
        assert_eq!((claim.claim.queue.as_str(), &claim.claim.payload), (name, &job(n)));
        let record = &instance.working().await[0];
        assert_eq!(record.queue, Some(queue(name)));
        assert_eq!(record.payload, Some(job(n)));
        instance.settle_one(&claim, claim.requeued()).await;
        assert_eq!(queued(&f.store, name).await, [job(n)]);
    }
}

/// It should never be asked for; if it is, the record that stands must not be written over.
async fn a_worker_with_a_record_loses_no_job(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    instance.claim_one("q").await;
    let exchange = instance.next_claim(&["q"], &[1]);
    assert_eq!(instance.send(&exchange).await.occupied, [0], "it is named");
    let mut seen = queued(&f.store, "q").await;
    seen.extend(instance.working().await.into_iter().filter_map(|record| record.payload));
    seen.sort();
    assert_eq!(seen, jobs(0..2));
}

async fn workers_under_which_a_record_stands_are_named_and_the_others_get_the_jobs(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    fill(&f.store, "q", &jobs(0..6)).await;
    let claims = instance.claim(&["q"], &[1, 2, 4]).await;
    let settlements = vec![claims[1].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2, 3, 4, 5]) };
    let exchanged = instance.send(&exchange).await;
    // Worker 2 is free, because its claim ended in the same step.
    let taken: Vec<usize> = exchanged.claims.iter().map(|claim| claim.index).collect();
    assert_eq!((taken, exchanged.occupied), (vec![1, 2, 4], vec![0, 3]));
    assert_eq!(payloads(&claimed(&exchange, &Exchanged { occupied: Vec::new(), ..exchanged })), jobs(3..6));
}

async fn a_duplicate_queue_claims_nothing_twice(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q", "q"], &[1, 2, 3, 4]).await;
    assert_eq!(payloads(&claims), jobs(0..3));
}

async fn many_workers_claim_in_one_call(f: &Fixture) {
    let count = 500;
    let mut instance = Instance::join(&f.store, "a", count).await;
    fill(&f.store, "q", &jobs(0..count + 1)).await;
    let exchange: Exchange = instance.next_claim(&["q"], &(1..=count).collect::<Vec<_>>());
    let exchanged = instance.send(&exchange).await;
    let claims = claimed(&exchange, &exchanged);
    assert_eq!(payloads(&claims), jobs(0..count));
    assert_eq!(instance.working().await.len(), count);
    assert_eq!(queued(&f.store, "q").await, [job(count)]);
}
