//! Pauses: no exchange claims from a paused queue, and everything else continues.

use tokio::time::{Duration, timeout};
use windlass::store::Store;
use windlass::store::inspection::Paused;
use windlass::store::queueing::{Exchange, When};
use windlass::store::wake::Watch;

use crate::fixture::{Fixture, NOW_S, Place, soon};
use crate::instance::{Instance, payloads};
use crate::look::{delay, fill, job, jobs, promote_all, queue, queued};
use crate::support::verbs::Verbs as _;
use windlass::store::role::Whole;

behaviours! {
    a_paused_queue_is_passed_over,
    a_pause_of_everything_stops_all_claims,
    pausing_and_resuming_say_whether_they_changed_anything,
    what_is_paused_is_listed_in_order,
    settlements_and_claims_ride_together_through_a_pause,
    jobs_go_to_a_paused_queue,
    a_requeued_job_waits_in_its_paused_queue,
    a_pause_outlives_its_queue,
    a_repeated_exchange_gives_what_it_gave_before_the_pause,
    a_paused_queue_is_not_ready,
    resuming_wakes,
    resuming_everything_wakes,
    no_claim_comes_after_a_pause_has_returned,
}

async fn pause(f: &Fixture, name: Option<&str>) -> bool {
    f.store.pause(name.map(queue).as_ref()).await.expect("pause")
}

async fn resume(f: &Fixture, name: Option<&str>) -> bool {
    f.store.resume(name.map(queue).as_ref()).await.expect("resume")
}

fn queues(names: &[&str]) -> Watch {
    Watch { queues: names.iter().map(|name| queue(name)).collect(), ..Watch::default() }
}

async fn a_paused_queue_is_passed_over(f: &Fixture) {
    let mut instance = Instance::join(&f.handle().await, "a", 4).await;
    fill(&f.store, "high", &jobs(0..2)).await;
    fill(&f.store, "ü:\"p\"", &jobs(2..4)).await;
    fill(&f.store, "low", &jobs(4..6)).await;
    pause(f, Some("ü:\"p\"")).await;
    let order = ["high", "ü:\"p\"", "low"];
    let claims = instance.claim(&order, &[1, 2, 3]).await;
    assert_eq!(payloads(&claims), [job(0), job(1), job(4)]);
    pause(f, Some("low")).await;
    assert_eq!(instance.claim(&order, &[4]).await.len(), 0);
    resume(f, Some("ü:\"p\"")).await;
    assert_eq!(payloads(&instance.claim(&order, &[4]).await), [job(2)]);
}

async fn a_pause_of_everything_stops_all_claims(f: &Fixture) {
    let mut instance = Instance::join(&f.handle().await, "a", 3).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    fill(&f.store, "p", &jobs(2..3)).await;
    pause(f, None).await;
    assert_eq!(instance.claim(&["q", "p"], &[1, 2, 3]).await.len(), 0);
    pause(f, Some("p")).await;
    resume(f, None).await;
    assert_eq!(payloads(&instance.claim(&["p", "q"], &[1, 2, 3]).await), jobs(0..2));
}

async fn pausing_and_resuming_say_whether_they_changed_anything(f: &Fixture) {
    for name in [Some("q"), None] {
        assert!(!resume(f, name).await);
        assert!(pause(f, name).await);
        assert!(!pause(f, name).await);
        assert!(resume(f, name).await);
        assert!(!resume(f, name).await);
    }
}

async fn what_is_paused_is_listed_in_order(f: &Fixture) {
    assert_eq!(f.store.paused().await.expect("paused"), Paused::default());
    for name in ["math", "\u{ff21}", "\u{1f600}", "Zed"] {
        pause(f, Some(name)).await;
    }
    let expected: Vec<_> = ["Zed", "math", "\u{1f600}", "\u{ff21}"].map(queue).into();
    assert_eq!(f.store.paused().await.expect("paused"), Paused { all: false, queues: expected.clone() });
    pause(f, None).await;
    assert_eq!(f.store.paused().await.expect("paused"), Paused { all: true, queues: expected });
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [], "a pause makes no queue known");
}

async fn settlements_and_claims_ride_together_through_a_pause(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    pause(f, Some("q")).await;
    let settlements = claims.iter().map(|one| one.ends(one.failed())).collect();
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
    let exchanged = instance.send(&exchange).await;
    assert_eq!((exchanged.lost.len(), exchanged.claims.len()), (0, 0));
    assert_eq!(f.store.failed_count().await.expect("failed_count"), 2);
    assert_eq!(instance.working().await, [], "no record of an ended claim is left");
}

async fn jobs_go_to_a_paused_queue(f: &Fixture) {
    pause(f, Some("q")).await;
    pause(f, None).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(queued(&f.store, "q").await, jobs(0..2));
}

async fn a_requeued_job_waits_in_its_paused_queue(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claim = instance.claim_one("q").await;
    pause(f, Some("q")).await;
    instance.settle_one(&claim, claim.requeued()).await;
    assert_eq!(queued(&f.store, "q").await, jobs(0..2));
    assert_eq!(instance.claim(&["q"], &[1]).await.len(), 0);
    resume(f, Some("q")).await;
    let again = instance.claim_one("q").await;
    assert_eq!((again.claim.payload.clone(), again.claim.identity.redelivered), (job(0), 1));
}

async fn a_pause_outlives_its_queue(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    pause(f, Some("q")).await;
    assert_eq!(f.store.delete_queue(&queue("q")).await.expect("delete_queue"), 1);
    fill(&f.store, "q", &jobs(1..2)).await;
    assert_eq!(instance.claim(&["q"], &[1]).await.len(), 0);
    assert_eq!(f.store.paused().await.expect("paused").queues, [queue("q")]);
}

async fn a_repeated_exchange_gives_what_it_gave_before_the_pause(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let exchange = instance.next_claim(&["q"], &[1]);
    let first = instance.send(&exchange).await;
    pause(f, Some("q")).await;
    pause(f, None).await;
    let again = instance.send(&exchange).await;
    assert_eq!(first.claims[0].token, again.claims[0].token);
    assert_eq!(again.claims[0].payload, job(0));
}

async fn a_paused_queue_is_not_ready(f: &Fixture) {
    let waker = f.store.waker().await.expect("waker");
    let arm = async |watch: &Watch| waker.arm(watch).await.expect("arm").ready;
    fill(&f.store, "q", &jobs(0..1)).await;
    assert!(arm(&queues(&["p", "q"])).await);
    pause(f, Some("q")).await;
    assert!(!arm(&queues(&["p", "q"])).await);
    assert!(!arm(&queues(&["p", "q"])).await, "the next look does not find it ready either");
    fill(&f.store, "p", &jobs(1..2)).await;
    assert!(arm(&queues(&["p", "q"])).await);
    pause(f, None).await;
    assert!(!arm(&queues(&["p", "q"])).await);
    resume(f, None).await;
    assert!(arm(&queues(&["p", "q"])).await);
    assert!(!arm(&queues(&["q"])).await);
    resume(f, Some("q")).await;
    assert!(arm(&queues(&["q"])).await);
}

async fn wakes_when_resumed(f: &Fixture, name: Option<&str>) {
    let (waker, other) = (f.store.waker().await.expect("waker"), f.handle().await);
    fill(&other, "q", &jobs(0..1)).await;
    pause(f, name).await;
    assert!(!waker.arm(&queues(&["q"])).await.expect("arm").ready);
    // Before this look the waker did not know of the pause, so one push may still wake it.
    fill(&other, "q", &jobs(1..2)).await;
    timeout(Duration::from_millis(100), waker.woken()).await.ok();
    assert!(!waker.arm(&queues(&["q"])).await.expect("arm").ready);
    if matches!(f.place, Place::Redis { .. }) {
        // Redis does not report a push to a queue that is known to be paused.
        fill(&other, "q", &jobs(2..3)).await;
        assert!(timeout(Duration::from_millis(200), waker.woken()).await.is_err(), "a push to a paused queue wakes");
    }
    assert!(other.resume(name.map(queue).as_ref()).await.expect("resume"));
    soon("the wake", waker.woken()).await;
    assert!(waker.arm(&queues(&["q"])).await.expect("arm").ready);
}

async fn resuming_wakes(f: &Fixture) {
    wakes_when_resumed(f, Some("q")).await;
}

async fn resuming_everything_wakes(f: &Fixture) {
    wakes_when_resumed(f, None).await;
}

/// A pause at any moment between the claims of others: after it nothing more is claimed.
async fn no_claim_comes_after_a_pause_has_returned(f: &Fixture) {
    let count = 400;
    fill(&f.store, "q", &jobs(0..count)).await;
    let store: Store<Whole> = f.handle().await;
    let mut instance = Instance::join(&store, "a", count).await;
    let (told, begun) = tokio::sync::oneshot::channel();
    let claiming = tokio::spawn(async move {
        let mut told = Some(told);
        for number in 1..=count {
            if instance.claim(&["q"], &[number]).await.is_empty() {
                return number - 1;
            }
            if number > 3 {
                // Nobody listens any more after the first time.
                told.take().map(|told| told.send(()));
            }
        }
        count
    });
    begun.await.expect("claims must begin");
    pause(f, Some("q")).await;
    let left = queued(&f.store, "q").await.len();
    let claimed = claiming.await.expect("the claimer");
    assert_eq!(claimed + left, count, "what was there when the pause returned is there for good");
    assert_eq!(queued(&f.store, "q").await.len(), left);
}
