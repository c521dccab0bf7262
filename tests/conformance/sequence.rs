//! The sequence of exchanges: a repeated call applies nothing twice and gives the same reply.

use windlass::store::effect::Verdict;
use windlass::store::queueing::{Entered, Exchange, Exchanged};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::{Instance, claimed, payloads};
use crate::look::{counters, delayed_at, failed, fill, gate, job, job_lock, jobs, queued};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    a_repeated_claim_gives_the_same_claims,
    a_repeated_settlement_is_applied_once,
    a_repeated_enter_is_applied_once,
    a_repeated_mixed_exchange_gives_the_same_reply,
    a_repeated_claim_keeps_the_identity_it_gave,
    a_repeat_on_a_reopened_lane_is_a_repeat,
    an_older_exchange_changes_nothing,
    an_empty_exchange_counts,
    lanes_count_for_themselves,
    a_repeat_gives_back_strange_payloads,
    a_lane_that_cannot_be_read_ends_its_instance,
    a_number_that_somebody_wrote_holds_up_no_lane,
}

/// A reply as text, for comparison.
fn told(exchanged: &Exchanged) -> String {
    format!("{:?} {:?} {:?}", exchanged.lost, exchanged.entered, exchanged.claims)
}

/// Sends the exchange twice more, the second time over a new lane: each reply must be the first's.
async fn repeat(instance: &mut Instance, exchange: &Exchange, first: &Exchanged) {
    assert_eq!(told(&instance.send(exchange).await), told(first));
    instance.reopen().await;
    assert_eq!(told(&instance.send(exchange).await), told(first));
}

async fn a_repeated_claim_gives_the_same_claims(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let exchange = instance.next_claim(&["q"], &[3, 1, 2]);
    let first = instance.send(&exchange).await;
    assert_eq!(payloads(&claimed(&exchange, &first)), jobs(0..2));
    // Jobs that came meanwhile are for the next exchange.
    fill(&f.store, "q", &jobs(2..6)).await;
    repeat(&mut instance, &exchange, &first).await;
    assert_eq!(queued(&f.store, "q").await, jobs(2..6));
    assert_eq!(instance.working().await.len(), 2);
}

async fn a_repeated_settlement_is_applied_once(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 5).await;
    fill(&f.store, "q", &jobs(0..5)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4, 5]).await;
    let record = instance.working().await.remove(4);
    assert!(f.store.force_clean(&claims[4].worker, Some(&record), None, &[]).await.expect("force_clean"));
    let settlements = vec![
        claims[0].ends(Verdict::Done),
        claims[1].ends(claims[1].failed()),
        claims[2].ticks(claims[2].retried(7000), &tick(30)),
        claims[3].ends(claims[3].requeued()),
        claims[4].ends(Verdict::Done),
    ];
    let exchange = Exchange { settlements, ..instance.next() };
    let first = instance.send(&exchange).await;
    assert_eq!(first.lost, [4]);
    f.pass(2);
    repeat(&mut instance, &exchange, &first).await;
    assert_eq!(counters(&f.store).await, (1, 1));
    assert_eq!(failed(&f.store).await.len(), 1);
    assert_eq!(delayed_at(&f.store, NOW_S + 7).await, [job(2)]);
    assert_eq!(queued(&f.store, "q").await, [job(3)]);
}

async fn a_repeated_enter_is_applied_once(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let record = instance.working().await.remove(2);
    assert!(f.store.force_clean(&claims[2].worker, Some(&record), None, &[]).await.expect("force_clean"));
    let gates = [gate(&job_lock(1), 1000)];
    let exchange = Exchange { enters: claims.iter().map(|one| one.enters(&gates)).collect(), ..instance.next() };
    let first = instance.send(&exchange).await;
    assert_eq!(first.entered, [Entered::Taken, Entered::PutBack { plugin: "JobLock" }, Entered::Lost]);
    repeat(&mut instance, &exchange, &first).await;
    assert_eq!(delayed_at(&f.store, NOW_S + 1).await, [job(1)]);
}

async fn a_repeated_mixed_exchange_gives_the_same_reply(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &jobs(0..6)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let gates = [gate(&job_lock(1), 1000)];
    let exchange = Exchange {
        settlements: vec![claims[0].ends(Verdict::Done)],
        enters: vec![claims[1].enters(&gates), claims[2].enters(&gates)],
        ..instance.next_claim(&["q"], &[1, 4])
    };
    let first = instance.send(&exchange).await;
    assert_eq!(first.entered, [Entered::Taken, Entered::PutBack { plugin: "JobLock" }]);
    assert_eq!(payloads(&claimed(&exchange, &first)), jobs(3..5));
    repeat(&mut instance, &exchange, &first).await;
    assert_eq!(counters(&f.store).await, (1, 0));
    assert_eq!(queued(&f.store, "q").await, [job(5)]);
    assert_eq!(instance.working().await.len(), 3);
    // A reply to a repetition counts like the first reply.
    let exchange = Exchange {
        settlements: claimed(&exchange, &first).iter().map(|one| one.ends(Verdict::Done)).collect(),
        ..instance.next()
    };
    assert_eq!(instance.send(&exchange).await.lost, [0_usize; 0]);
    assert_eq!(counters(&f.store).await, (3, 0));
}

async fn a_repeated_claim_keeps_the_identity_it_gave(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.requeued()).await;
    let exchange = instance.next_claim(&["q"], &[1]);
    let first = instance.send(&exchange).await;
    assert_eq!(first.claims[0].identity, claim.claim.identity.redelivered());
    repeat(&mut instance, &exchange, &first).await;
}

async fn a_repeat_on_a_reopened_lane_is_a_repeat(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..4)).await;
    let exchange = instance.next_claim(&["q"], &[1, 2]);
    let first = instance.send(&exchange).await;
    instance.store = f.handle().await;
    instance.reopen().await;
    repeat(&mut instance, &exchange, &first).await;
    assert_eq!(queued(&f.store, "q").await, jobs(2..4));
}

async fn an_older_exchange_changes_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let old = instance.next_claim(&["q"], &[1]);
    let first = instance.send(&old).await;
    let claim = claimed(&old, &first).remove(0);
    let newer = Exchange { settlements: vec![claim.ends(Verdict::Done)], ..instance.next() };
    instance.send(&newer).await;
    // It may be refused or get nothing; it must not claim.
    if let Ok(exchanged) = instance.try_send(&old).await {
        assert_eq!(exchanged.claims.len(), 0, "what it once claimed is over");
    }
    assert_eq!(queued(&f.store, "q").await, jobs(1..3));
    assert_eq!(instance.working().await, []);
    assert_eq!(counters(&f.store).await, (1, 0));
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(payloads(&claims), jobs(1..3), "the lane goes on");
}

async fn an_empty_exchange_counts(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let empty = instance.next();
    let first = instance.send(&empty).await;
    repeat(&mut instance, &empty, &first).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    instance.claim_one("q").await;
}

async fn lanes_count_for_themselves(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let mut second = f.store.lane("a", 1).await.expect("lane");
    fill(&f.store, "q", &jobs(0..6)).await;
    let one = instance.next_claim(&["q"], &[1]);
    let told_one = instance.send(&one).await;
    let two = Exchange { idle: vec![instance.worker(2)], ..one.clone() };
    let told_two = second.exchange(&two).await.expect("exchange");
    assert_eq!(told_two.claims[0].payload, job(1), "the same number on another lane is another exchange");
    assert_ne!(told_two.claims[0].token, told_one.claims[0].token);
    repeat(&mut instance, &one, &told_one).await;
    assert_eq!(told(&second.exchange(&two).await.expect("exchange")), told(&told_two));
    assert_eq!(queued(&f.store, "q").await, jobs(2..6));
}

async fn a_repeat_gives_back_strange_payloads(f: &Fixture) {
    let strange = crate::enqueue::strange_payloads();
    let mut instance = Instance::join(&f.store, "a", strange.len()).await;
    fill(&f.store, "q", &strange).await;
    let exchange = instance.next_claim(&["q"], &(1..=strange.len()).collect::<Vec<_>>());
    let first = instance.send(&exchange).await;
    assert_eq!(payloads(&claimed(&exchange, &first)), strange);
    repeat(&mut instance, &exchange, &first).await;
}

async fn a_number_that_somebody_wrote_holds_up_no_lane(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    for number in ["9223372036854775807", "-5", "99", "soon"] {
        fill(&f.store, "q", &jobs(0..1)).await;
        let claim = instance.claim_one("q").await;
        fill(&f.store, "q", &jobs(1..2)).await;
        f.plant_lane("a", number);
        let settlements = vec![claim.ends(Verdict::Done)];
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[2]) };
        let first = instance.send(&exchange).await;
        if matches!(f.place, Place::Redis { .. }) {
            // A call may arrive late there, so that it is unknown what was applied.
            assert!(first.dead && first.claims.is_empty(), "{number}: {first:?}");
            return;
        }
        assert_eq!(payloads(&claimed(&exchange, &first)), jobs(1..2), "{number}");
        repeat(&mut instance, &exchange, &first).await;
        instance.settle_one(&claimed(&exchange, &first)[0], Verdict::Done).await;
        let empty = instance.next();
        instance.send(&empty).await;
    }
}

async fn a_lane_that_cannot_be_read_ends_its_instance(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1]).await;
    f.plant_lane("a", "soon");
    // Whether its next exchange was sent before is not known to a lane that was opened again.
    instance.reopen().await;
    let settlements = vec![claims[0].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[2]) };
    for _ in 0..2 {
        let told = instance.send(&exchange).await;
        assert!(told.dead && told.claims.is_empty(), "{told:?}");
        instance.reopen().await;
    }
    assert_eq!((counters(&f.store).await, queued(&f.store, "q").await), ((0, 0), jobs(1..3)));
    assert_eq!(instance.working().await.len(), 1, "its claim stays on record for recovery");
    // It joins again under a new id.
    let mut next = Instance::join(&f.store, "b", 2).await;
    assert_eq!(payloads(&next.claim(&["q"], &[1, 2]).await), jobs(1..3));
}
