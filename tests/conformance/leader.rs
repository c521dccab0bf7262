//! Leadership: one holder at a time. It is renewed, ends by the clock, and only its holder resigns it.

use std::sync::Arc;

use windlass::event::Bus;
use windlass::store::faults::{Fault, Faults};
use windlass::store::instance::{Oversee, Overseen};
use windlass::store::queueing::When;
use windlass::store::scheduling::Leadership::{self, Duties, Scheduler};
use windlass::store::scheduling::{Lead, Promotion};

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
    who_oversees_takes_another_leadership_along,
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
    let oversee = async |owner: &str| {
        let Overseen { leads, also, instances } = f.store.oversee(owner, 60_000).await.expect("oversee");
        assert_eq!(also, None, "it was not asked for");
        (leads, instances)
    };
    assert_eq!(oversee("one").await, (true, Vec::new()));
    let (a, b) = (Instance::join(&f.store, "a", 1).await, Instance::join(&f.store, "b", 2).await);
    let all = f.store.instances().await.expect("instances");
    assert_eq!(all.iter().map(|state| &state.record).collect::<Vec<_>>(), [&a.record, &b.record]);
    f.pass(40);
    assert_eq!(oversee("one").await, (true, all.clone()), "and renews");
    f.pass(40);
    assert_eq!(oversee("two").await, (false, all));
    assert_eq!((leader(f, Duties).await.as_deref(), leader(f, Scheduler).await), (Some("one"), None));
}

async fn who_oversees_takes_another_leadership_along(f: &Fixture) {
    let oversee = async |owner: &str, also: &str, ttl_ms: u64| {
        let also = Some(Lead { which: Scheduler, owner: also.to_owned(), ttl_ms });
        let oversee = Oversee { owner: owner.to_owned(), ttl_ms: 60_000, alone: None, also };
        let overseen = f.store.run(oversee).await.expect("oversee");
        (overseen.leads, overseen.also)
    };
    assert_eq!(oversee("one", "two", 300).await, (true, Some(true)), "both are free");
    assert_eq!(oversee("three", "two", 60_000).await, (false, Some(true)), "each by itself");
    assert_eq!(oversee("one", "one", 60_000).await, (true, Some(false)));
    assert_eq!((leader(f, Duties).await.as_deref(), leader(f, Scheduler).await.as_deref()), (Some("one"), Some("two")));
    assert_eq!(oversee("one", "two", 300).await, (true, Some(true)), "for a shorter time");
    assert!(f.store.oversee("one", 60_000).await.expect("oversee").leads, "which does not renew the other");
    until("the end of the term", async || lead(f, Scheduler, "four").await).await;
    assert_eq!(oversee("one", "two", 60_000).await, (true, Some(false)));
}

/// On Redis: whatever another program wrote in place of the second lock does not keep anybody from overseeing.
#[tokio::test]
async fn a_leadership_that_cannot_be_taken_along_leaves_the_duties_alone() {
    let f = Fixture::redis().await;
    f.redis_command(&["RPUSH", &f.key("resque_scheduler_leader_lock"), "x"]);
    let also = Some(Lead { which: Scheduler, owner: "one".to_owned(), ttl_ms: 60_000 });
    let oversee = Oversee { owner: "one".to_owned(), ttl_ms: 60_000, alone: None, also };
    let overseen = f.store.run(oversee).await.expect("oversee");
    assert_eq!((overseen.leads, overseen.also), (true, None));
    let refused = f.store.lead(Scheduler, "one", 60_000).await.expect_err("it is a list");
    assert!(refused.to_string().contains("resque_scheduler_leader_lock"), "{refused}");
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
