//! Leadership: one holder at a time. It is renewed, ends by the clock, and only its holder resigns it.

use std::sync::Arc;

use windlass::event::Bus;
use windlass::store::faults::{Fault, Faults};
use windlass::store::queueing::When;
use windlass::store::scheduling::Leadership::{self, Duties, Scheduler};
use windlass::store::scheduling::Promotion;

use crate::fixture::{Fixture, NOW_S, until};
use crate::instance::Instance;
use crate::support::verbs::Verbs as _;

behaviours! {
    one_leads_at_a_time,
    the_two_leaderships_are_independent,
    a_leader_renews,
    a_leadership_ends_by_the_clock,
    only_the_holder_resigns,
    one_of_many_wins,
    who_oversees_leads_the_duties_and_sees_everybody,
}

async fn lead(f: &Fixture, which: Leadership, owner: &str) -> bool {
    f.store.lead(which, owner, 60_000).await.expect("lead")
}

async fn leader(f: &Fixture, which: Leadership) -> Option<String> {
    f.store.leader(which).await.expect("leader")
}

async fn one_leads_at_a_time(f: &Fixture) {
    for which in [Scheduler, Duties] {
        assert_eq!(leader(f, which).await, None);
        assert!(lead(f, which, "host:1").await);
        assert!(!lead(f, which, "host:2").await);
        assert!(!f.handle().await.lead(which, "host:", 60_000).await.expect("lead"), "a prefix is another name");
        assert_eq!(leader(f, which).await.as_deref(), Some("host:1"));
    }
}

async fn the_two_leaderships_are_independent(f: &Fixture) {
    assert!(lead(f, Scheduler, "one").await);
    assert!(lead(f, Duties, "two").await);
    f.store.resign(Scheduler, "one").await.expect("resign");
    assert_eq!((leader(f, Scheduler).await, leader(f, Duties).await.as_deref()), (None, Some("two")));
}

async fn who_oversees_leads_the_duties_and_sees_everybody(f: &Fixture) {
    assert_eq!(f.store.oversee("one", 60_000).await.expect("oversee"), (true, Vec::new()));
    let (a, b) = (Instance::join(&f.store, "a", 1).await, Instance::join(&f.store, "b", 2).await);
    let all = f.store.instances().await.expect("instances");
    assert_eq!(all.iter().map(|state| &state.record).collect::<Vec<_>>(), [&a.record, &b.record]);
    f.pass(40);
    assert_eq!(f.store.oversee("one", 60_000).await.expect("oversee"), (true, all.clone()), "and renews");
    f.pass(40);
    assert_eq!(f.store.oversee("two", 60_000).await.expect("oversee"), (false, all));
    assert_eq!((leader(f, Duties).await.as_deref(), leader(f, Scheduler).await), (Some("one"), None));
}

async fn a_leader_renews(f: &Fixture) {
    for which in [Scheduler, Duties] {
        assert!(f.store.lead(which, "one", 60_000).await.expect("lead"));
        for _ in 0..3 {
            f.pass(40);
            assert!(lead(f, which, "one").await);
        }
        assert!(!lead(f, which, "two").await, "two minutes after the first term began");
    }
}

async fn a_leadership_ends_by_the_clock(f: &Fixture) {
    for which in [Scheduler, Duties] {
        assert!(f.store.lead(which, "one", 300).await.expect("lead"));
        assert!(!lead(f, which, "two").await);
        f.pass(1);
        until("the end of the term", async || lead(f, which, "two").await).await;
        assert_eq!(leader(f, which).await.as_deref(), Some("two"));
        assert!(!lead(f, which, "one").await, "who lost it does not get it back by asking");
    }
}

async fn only_the_holder_resigns(f: &Fixture) {
    for which in [Scheduler, Duties] {
        f.store.resign(which, "nobody").await.expect("resign");
        assert!(lead(f, which, "one").await);
        f.store.resign(which, "two").await.expect("resign");
        assert_eq!(leader(f, which).await.as_deref(), Some("one"));
        f.store.resign(which, "one").await.expect("resign");
        assert_eq!(leader(f, which).await, None);
        assert!(lead(f, which, "two").await);
    }
}

async fn one_of_many_wins(f: &Fixture) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..12 {
        let store = f.handle().await;
        tasks.spawn(async move { store.lead(Duties, &format!("host:{n}"), 60_000).await.expect("lead") });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn a_leader_whose_steps_fail_for_a_while_is_told_once() {
    let f = Fixture::sqlite().await;
    let mut scheduler = crate::scheduler::Scheduler::of(&f, "host", "").await;
    let faults = Arc::new(Faults::default());
    (0..3).for_each(|_| faults.next::<Promotion>(Fault::Full));
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    scheduler.context.bus = bus;
    scheduler.context.store = f.store.layered(Arc::clone(&faults) as _).narrow();
    crate::look::delay(&f.store, &crate::look::job(1), When::At(NOW_S)).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let promoted = async {
        until("the job is promoted", async || f.store.due(1, &[]).await.expect("due").second.is_none()).await;
        stop.send_replace(true);
    };
    tokio::join!(windlass::scheduler::promote::run(scheduler.context, stopped), promoted);
    assert!(faults.are_spent());
    let told = std::iter::from_fn(|| listeners[0].try_next())
        .filter(|event| format!("{event:?}").contains("scheduler leader"));
    assert_eq!(told.count(), 1);
}

/// Each look succeeds, and each promotion is refused.
#[tokio::test]
async fn a_promotion_that_is_refused_again_and_again_is_told_once_and_tried_less_often() {
    let f = Fixture::sqlite().await;
    let mut scheduler = crate::scheduler::Scheduler::of(&f, "host", "").await;
    let faults = Arc::new(Faults::default());
    (0..4).for_each(|_| faults.next::<Promotion>(Fault::WrongType));
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    scheduler.context.bus = bus;
    scheduler.context.store = f.store.layered(Arc::clone(&faults) as _).narrow();
    crate::look::delay(&f.store, &crate::look::job(1), When::At(NOW_S)).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let began = tokio::time::Instant::now();
    let promoted = async {
        until("the job is promoted", async || f.store.due(1, &[]).await.expect("due").second.is_none()).await;
        stop.send_replace(true);
    };
    tokio::join!(windlass::scheduler::promote::run(scheduler.context, stopped), promoted);
    assert!(faults.are_spent());
    // 100, 200, 400 and 800 ms, each shortened by a quarter at most.
    assert!(began.elapsed() >= std::time::Duration::from_millis(1_100), "{:?}", began.elapsed());
    let told = std::iter::from_fn(|| listeners[0].try_next());
    let told: Vec<String> =
        told.map(|event| format!("{event:?}")).filter(|event| event.contains("the scheduler: failed to")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}
