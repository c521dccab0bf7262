//! Wakers: they are told of every change.

use std::sync::Arc;

use tokio::time::{Duration, timeout};
use windlass::config::element::queues::{QueuePatterns, ResolvedQueues};
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::handle::Waker;
use windlass::store::inspection::{FindQueue, Pause, QueueLength, Queues};
use windlass::store::queueing::{QueueNames, When};
use windlass::store::scheduling::Leadership;
use windlass::store::wake::{ArmedState, FEW_QUEUES, Watch};

use crate::fixture::{Fixture, NOW_MS, NOW_S, soon};
use crate::instance::Instance;
use crate::look::{delay, fill, job, jobs, promote_all, push, queue};
use crate::support::verbs::Verbs as _;
use windlass::store::role::Whole;

behaviours! {
    arming_tells_what_stands,
    a_push_wakes,
    a_push_by_the_same_process_wakes,
    a_change_between_arming_and_waiting_is_not_missed,
    an_unwatched_change_is_not_needed,
    a_new_queue_wakes,
    of_very_many_queues_all_are_found_and_few_are_held,
    of_very_many_watched_queues_those_with_jobs_are_named,
    an_earlier_delayed_job_wakes,
    a_queue_that_is_new_wakes_who_watches_the_names,
    a_promotion_wakes,
    a_requeued_job_wakes,
    a_freed_leadership_wakes,
    arming_again_replaces,
    many_pushes_are_all_noticed,
    two_wakers_are_both_woken,
}

fn queues(names: &[&str]) -> Watch {
    Watch { queues: names.iter().map(|name| queue(name)).collect(), ..Watch::default() }
}

async fn waker(store: &Store<Whole>) -> Waker {
    store.waker().await.expect("waker")
}

async fn arm(waker: &Waker, watch: &Watch) -> ArmedState {
    waker.arm(watch).await.expect("arm")
}

fn all() -> Arc<QueuePatterns> {
    Arc::new(QueuePatterns::all())
}

fn found(names: &[&str]) -> Arc<ResolvedQueues> {
    Arc::new(ResolvedQueues::of(names.iter().map(|name| queue(name)).collect()))
}

async fn woken(waker: &Waker) {
    soon("the wake", waker.woken()).await;
}

async fn arming_tells_what_stands(f: &Fixture) {
    let waker = waker(&f.store).await;
    let watch = Watch {
        queues: vec![queue("q"), queue("p")],
        patterns: Some(all()),
        names: true,
        delayed: true,
        leaderships: vec![Leadership::Scheduler, Leadership::Duties],
        wishes_for: Some("a".into()),
        poll: None,
    };
    let expected = ArmedState {
        busy: Vec::new(),
        ready: false,
        resolved: Some(found(&[])),
        next_due_s: None,
        now_ms: NOW_MS,
        leadership_free: true,
        wishes: false,
        polled: false,
    };
    assert_eq!(arm(&waker, &watch).await, expected);
    fill(&f.store, "p", &jobs(0..1)).await;
    fill(&f.store, "Zed", &jobs(0..1)).await;
    delay(&f.store, &job(1), When::At(NOW_S + 9)).await;
    delay(&f.store, &job(1), When::At(NOW_S + 8)).await;
    assert!(f.store.lead(Leadership::Scheduler, "one", 60_000).await.expect("lead"));
    assert!(arm(&waker, &watch).await.leadership_free, "one of the two is");
    assert!(f.store.lead(Leadership::Duties, "one", 60_000).await.expect("lead"));
    let expected = ArmedState {
        busy: Vec::new(),
        ready: true,
        resolved: Some(found(&["Zed", "p"])),
        next_due_s: Some(NOW_S + 8),
        now_ms: NOW_MS,
        leadership_free: false,
        wishes: false,
        polled: false,
    };
    assert_eq!(arm(&waker, &watch).await, expected);
    let seen = arm(&waker, &queues(&["q"])).await;
    let expected = ArmedState { now_ms: NOW_MS, ..ArmedState::default() };
    assert_eq!(seen, expected, "what was not asked for is not told");
}

async fn a_push_wakes(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    for round in 0..5 {
        assert!(!arm(&waker, &queues(&["p", "q"])).await.ready);
        fill(&other, "q", &jobs(round..round + 1)).await;
        woken(&waker).await;
        assert!(arm(&waker, &queues(&["p", "q"])).await.ready);
        other.delete_queue(&queue("q")).await.expect("delete_queue");
    }
}

async fn a_queue_that_is_new_wakes_who_watches_the_names(f: &Fixture) {
    let waker = waker(&f.store).await;
    let watch = Watch { names: true, ..queues(&["q"]) };
    for name in ["r", "s"] {
        // Also a second look that reads no names again.
        assert!(!arm(&waker, &watch).await.ready);
        assert!(!arm(&waker, &watch).await.ready);
        fill(&f.store, name, &jobs(0..1)).await;
        woken(&waker).await;
    }
}

async fn a_push_by_the_same_process_wakes(f: &Fixture) {
    let waker = waker(&f.store).await;
    arm(&waker, &queues(&["q"])).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    woken(&waker).await;
}

async fn a_change_between_arming_and_waiting_is_not_missed(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    arm(&waker, &queues(&["q"])).await;
    fill(&other, "q", &jobs(0..1)).await;
    // All effects of the change have arrived before the waiting begins.
    for _ in 0..20 {
        other.queue_names().await.expect("queue_names");
    }
    woken(&waker).await;
}

/// It may wake, but need not; the pool then looks and arms again. The store must be unharmed.
async fn an_unwatched_change_is_not_needed(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    arm(&waker, &queues(&["q"])).await;
    fill(&other, "else", &jobs(0..1)).await;
    timeout(Duration::from_millis(50), waker.woken()).await.ok();
    assert!(!arm(&waker, &queues(&["q"])).await.ready);
    fill(&other, "q", &jobs(0..1)).await;
    woken(&waker).await;
}

async fn a_new_queue_wakes(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    fill(&f.store, "old", &jobs(0..1)).await;
    let watch = Watch { patterns: Some(all()), ..Watch::default() };
    assert_eq!(arm(&waker, &watch).await.resolved, Some(found(&["old"])));
    fill(&other, "new", &jobs(0..1)).await;
    woken(&waker).await;
    assert_eq!(arm(&waker, &watch).await.resolved, Some(found(&["new", "old"])));
}

async fn of_very_many_watched_queues_those_with_jobs_are_named(f: &Fixture) {
    let waker = waker(&f.store).await;
    let names: Vec<String> = (0..FEW_QUEUES + 100).map(|n| format!("w{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in ["w0900", "w0003", "w1050"] {
        fill(&f.store, name, &jobs(0..2)).await;
    }
    f.store.run(Pause { queue: Some(queue("w0900")) }).await.expect("pause");
    let many = arm(&waker, &queues(&names)).await;
    assert_eq!(
        (many.ready, many.busy),
        (true, ["w0003", "w1050"].map(queue).to_vec()),
        "in order, and none that is paused"
    );
    let few = arm(&waker, &queues(&names[..FEW_QUEUES])).await;
    assert_eq!((few.ready, few.busy), (true, Vec::new()), "each claim looks at all of them");
    assert_eq!(arm(&waker, &queues(&names[4..900])).await.busy, Vec::new());
}

async fn of_very_many_queues_all_are_found_and_few_are_held(f: &Fixture) {
    let waker = waker(&f.store).await;
    let names: Vec<_> = (0..3_000).map(|n| format!("q{n:04}")).collect();
    for some in names.chunks(500) {
        f.store.enqueue(&some.iter().map(|name| push(name, &job(0), &[])).collect::<Vec<_>>()).await.expect("enqueue");
    }
    let some = QueuePatterns::new(vec!["*9".to_owned(), "!q0*".to_owned()]).expect("patterns");
    let watch = Watch { patterns: Some(Arc::new(some)), ..Watch::default() };
    for _ in 0..2 {
        let resolved = arm(&waker, &watch).await.resolved.expect("the queues");
        assert_eq!(resolved.queues.len(), 200);
        assert_eq!((&resolved.queues[0], resolved.left_out), (&queue("q1009"), 0));
    }
    let first = f.store.run(Queues { limit: 2, first: Vec::new() }).await.expect("queues").queues;
    assert_eq!(
        first.iter().map(|one| (one.queue.as_str(), one.length)).collect::<Vec<_>>(),
        [("q0000", 1), ("q0001", 1)]
    );
    assert_eq!(f.store.run(QueueNames { limit: 1 }).await.expect("queue_names"), [queue("q0000")]);
    assert_eq!(f.store.queue_names().await.expect("queue_names").len(), names.len());
    let find = |name: &str| FindQueue { queue: queue(name) };
    let length = |found: Option<QueueLength>| found.map(|found| found.length);
    assert_eq!(length(f.store.run(find("q2999")).await.expect("find_queue")), Some(1));
    assert_eq!(length(f.store.run(find("q3000")).await.expect("find_queue")), None);
    // A change is seen, whatever is held.
    fill(&f.store, "q9999", &jobs(0..1)).await;
    woken(&waker).await;
    let is_seen = async {
        while arm(&waker, &watch).await.resolved.expect("the queues").queues.len() < 201 {
            woken(&waker).await;
        }
    };
    soon("the new queue", is_seen).await;
}

async fn an_earlier_delayed_job_wakes(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    let watch = Watch { delayed: true, ..Watch::default() };
    for (n, ahead) in [3600, 60, 5].into_iter().enumerate() {
        arm(&waker, &watch).await;
        delay(&other, &job(n), When::In(ahead * 1000)).await;
        woken(&waker).await;
        assert_eq!(arm(&waker, &watch).await.next_due_s, Some(NOW_S + ahead));
    }
}

async fn a_promotion_wakes(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    arm(&waker, &queues(&["q"])).await;
    assert_eq!(promote_all(&other, "q", 10).await, 1);
    woken(&waker).await;
}

async fn a_requeued_job_wakes(f: &Fixture) {
    let waker = waker(&f.store).await;
    let mut instance = Instance::join(&f.handle().await, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    arm(&waker, &queues(&["q"])).await;
    instance.settle_one(&claim, claim.requeued()).await;
    woken(&waker).await;
    // And a job whose delay is the earliest.
    let claim = instance.claim_one("q").await;
    arm(&waker, &Watch { delayed: true, ..Watch::default() }).await;
    instance.settle_one(&claim, claim.retried(5000)).await;
    woken(&waker).await;
    assert_eq!(f.store.due(1, &[]).await.expect("due").second, Some(NOW_S + 5));
    fill(&f.store, "q", &jobs(1..2)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
}

async fn a_freed_leadership_wakes(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    for which in [Leadership::Scheduler, Leadership::Duties] {
        assert!(other.lead(which, "one", 60_000).await.expect("lead"));
        let watch = Watch { leaderships: vec![which], ..Watch::default() };
        assert!(!arm(&waker, &watch).await.leadership_free);
        other.resign(which, "one").await.expect("resign");
        woken(&waker).await;
        assert!(arm(&waker, &watch).await.leadership_free);
    }
}

async fn arming_again_replaces(f: &Fixture) {
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    arm(&waker, &queues(&["p"])).await;
    arm(&waker, &queues(&["q"])).await;
    fill(&other, "q", &jobs(0..1)).await;
    woken(&waker).await;
}

async fn many_pushes_are_all_noticed(f: &Fixture) {
    let count = 300;
    let (waker, other) = (waker(&f.store).await, f.handle().await);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let pushing = tokio::spawn(async move {
        for n in 0..count {
            fill(&other, "q", &[job(n)]).await;
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let mut taken = 0;
    let taking = async {
        while taken < count {
            if !arm(&waker, &queues(&["q"])).await.ready {
                waker.woken().await;
            }
            for claim in instance.claim(&["q"], &[1]).await {
                instance.settle_one(&claim, Verdict::Done).await;
                taken += 1;
            }
        }
    };
    soon("the end of all jobs, by waking alone", taking).await;
    pushing.await.expect("pusher");
}

async fn two_wakers_are_both_woken(f: &Fixture) {
    let other = f.handle().await;
    let (one, two) = (waker(&f.store).await, waker(&other).await);
    arm(&one, &queues(&["q"])).await;
    arm(&two, &queues(&["q"])).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    tokio::join!(woken(&one), woken(&two));
}
