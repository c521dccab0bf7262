//! settle: working -> dropped, because a plugin refused before the run.

use windlass::store::effect::Verdict;
use windlass::store::queueing::Entered;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{counters, delayed, delayed_at, failed, fill, gate, job, job_lock, locks, queued};
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

behaviours! {
    a_vetoed_job_is_gone_without_a_trace,
    its_own_lock_is_free_and_that_of_others_stays,
    its_periodic_task_goes_on,
    a_lost_claim_vetoes_nothing,
    a_lost_reply_vetoes_once,
    among_others_it_moves_no_cursor,
}

async fn a_vetoed_job_is_gone_without_a_trace(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    instance.settle_one(&one, Verdict::Vetoed { retry: None }).await;
    assert_eq!(instance.working().await, []);
    assert_eq!(counters(&f.store).await, (0, 0));
    let workers = f.store.stats().await.expect("stats").workers;
    assert!(workers.iter().all(|(_, processed, failures)| (*processed, *failures) == (0, 0)), "{workers:?}");
    assert_eq!(queued(&f.store, "q").await.len() + failed(&f.store).await.len() + delayed(&f.store).await.len(), 0);
    // The worker is free for the next.
    fill(&f.store, "q", &[job(2)]).await;
    instance.claim_one("q").await;
}

async fn its_own_lock_is_free_and_that_of_others_stays(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(2)]).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    for (n, one) in claims.iter().enumerate() {
        assert_eq!(instance.enter(one, &[gate(&job_lock(n), 1000)]).await, Entered::Taken);
    }
    let veto = claims[0].frees(Verdict::Vetoed { retry: None }, &[job_lock(0), job_lock(1)]);
    assert_eq!(instance.settle(vec![veto]).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [job_lock(1).as_str()]);
}

async fn its_periodic_task_goes_on(f: &Fixture) {
    reconcile(f, 10).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    assert_eq!(instance.settle(vec![one.ticks(Verdict::Vetoed { retry: None }, &tick(10))]).await, [0_usize; 0]);
    assert_eq!(delayed_at(&f.store, NOW_S + 10).await, [tick(10).payload]);
    assert_eq!(counters(&f.store).await, (0, 0));
}

async fn a_lost_claim_vetoes_nothing(f: &Fixture) {
    fill(&f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    let record = instance.working().await.remove(0);
    assert!(f.store.force_clean(&one.worker, Some(&record), None, &[]).await.expect("force_clean"));
    assert_eq!(instance.settle(vec![one.ticks(Verdict::Vetoed { retry: None }, &tick(10))]).await, [0]);
    assert_eq!(delayed(&f.store).await.len(), 0);
}

async fn a_lost_reply_vetoes_once(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(2)]).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let one = instance.claim_one("q").await;
    let mut exchange = instance.next_claim(&["q"], &[1]);
    exchange.settlements = vec![one.ends(Verdict::Vetoed { retry: None })];
    let first = instance.send(&exchange).await;
    instance.reopen().await;
    let again = instance.send(&exchange).await;
    assert_eq!((again.lost, again.claims[0].token.clone()), (first.lost, first.claims[0].token.clone()));
    assert_eq!(instance.working().await.len(), 1, "the next job, and not the vetoed one");
}

async fn among_others_it_moves_no_cursor(f: &Fixture) {
    fill(&f.store, "q", &[job(1), job(2), job(3), job(4)]).await;
    let mut instance = Instance::join(&f.store, "a", 4).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    let ends = vec![
        claims[0].ends(claims[0].failed()),
        claims[1].frees(Verdict::Vetoed { retry: None }, &[job_lock(7)]),
        claims[2].ends(Verdict::Vetoed { retry: None }),
        claims[3].ends(claims[3].failed()),
    ];
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(failed(&f.store).await, [claims[0].failure(), claims[3].failure()]);
    assert_eq!((counters(&f.store).await, instance.working().await.len()), ((0, 2), 0));
}
