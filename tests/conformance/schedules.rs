//! fire: each occurrence of a schedule fires once, no matter which instance is fastest.

use bytes::Bytes;
use windlass::admin::schedules;
use windlass::scheduler::cron;
use windlass::scheduler::failures::Bulkheads;
use windlass::store::Store;
use windlass::store::queueing::{Enqueue, Enqueued};
use windlass::store::role::Admin;
use windlass::store::scheduling::{Fire, Fired};

use crate::clocks::TASKS;
use crate::fixture::{Fixture, NOW_S};
use crate::look::{job, lock, push, queue, queued, take};
use crate::scheduler::Scheduler;
use crate::support::verbs::Verbs as _;

behaviours! {
    an_occurrence_is_enqueued_and_remembered,
    of_two_that_fire_one_is_faster,
    a_repetition_after_a_lost_reply_enqueues_nothing,
    a_new_schedule_is_only_remembered,
    a_refused_job_is_not_enqueued_and_not_due_again,
    schedules_do_not_meet,
    a_stopped_schedule_enqueues_nothing_until_it_is_started,
}

fn fire(seen_s: Option<i64>, last_s: i64, enqueue: Option<Enqueue>) -> Fire {
    Fire { id: "report/daily".to_owned(), seen_s, last_s, job: enqueue }
}

fn a_job(n: usize) -> Option<Enqueue> {
    Some(push("q", &job(n), &[]))
}

async fn last(f: &Fixture) -> Option<i64> {
    f.store.last_fired(&["report/daily".to_owned()]).await.expect("last_fired")[0]
}

async fn an_occurrence_is_enqueued_and_remembered(f: &Fixture) {
    assert_eq!(last(f).await, None);
    for (seen, now, n) in [(None, NOW_S, 1), (Some(NOW_S), NOW_S + 60, 2)] {
        let fired = f.store.fire(&fire(seen, now, a_job(n))).await.expect("fire");
        assert_eq!(fired, Fired::Yes(Enqueued::Yes));
        assert_eq!(last(f).await, Some(now));
    }
    assert_eq!(queued(&f.store, "q").await, [job(1), job(2)]);
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("q")]);
}

async fn of_two_that_fire_one_is_faster(f: &Fixture) {
    let other = f.handle().await;
    for n in 0..20 {
        let seen = (n > 0).then(|| NOW_S + n - 1);
        let fire = fire(seen, NOW_S + n, a_job(1));
        let (one, two) = tokio::join!(f.store.fire(&fire), other.fire(&fire));
        let fired = [one.expect("fire"), two.expect("fire")];
        assert_eq!(fired.iter().filter(|fired| **fired == Fired::No).count(), 1, "{fired:?}");
    }
    assert_eq!(queued(&f.store, "q").await.len(), 20);
}

async fn a_repetition_after_a_lost_reply_enqueues_nothing(f: &Fixture) {
    let fire = fire(None, NOW_S, a_job(1));
    f.store.fire(&fire).await.expect("fire");
    assert_eq!(f.handle().await.fire(&fire).await.expect("fire"), Fired::No);
    assert_eq!(queued(&f.store, "q").await.len(), 1);
}

async fn a_new_schedule_is_only_remembered(f: &Fixture) {
    assert_eq!(f.store.fire(&fire(None, NOW_S, None)).await.expect("fire"), Fired::Yes(Enqueued::Yes));
    assert_eq!(last(f).await, Some(NOW_S));
    assert_eq!(f.store.queue_names().await.expect("queue_names"), []);
}

async fn a_refused_job_is_not_enqueued_and_not_due_again(f: &Fixture) {
    let locked = |n| Some(push("q", &job(n), &[take(&lock(1), 60)]));
    f.store.fire(&fire(None, NOW_S, locked(1))).await.expect("fire");
    let refused = f.store.fire(&fire(Some(NOW_S), NOW_S + 1, locked(1))).await.expect("fire");
    assert_eq!(refused, Fired::Yes(Enqueued::Refused { plugin: "QueueLock" }));
    assert_eq!(last(f).await, Some(NOW_S + 1));
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
}

async fn schedules_do_not_meet(f: &Fixture) {
    f.store.fire(&fire(None, NOW_S, None)).await.expect("fire");
    let other = Fire { id: "report/weekly".to_owned(), ..fire(None, NOW_S + 5, None) };
    f.store.fire(&other).await.expect("fire");
    let ids = ["report/weekly", "never", "report/daily"].map(str::to_owned);
    assert_eq!(f.store.last_fired(&ids).await.expect("last_fired"), [Some(NOW_S + 5), None, Some(NOW_S)]);
    assert_eq!(f.store.last_fired(&[]).await.expect("last_fired"), []);
    assert_eq!(queued(&f.store, "q").await, Vec::<Bytes>::new());
}

async fn a_stopped_schedule_enqueues_nothing_until_it_is_started(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", TASKS).await;
    let admin: Store<Admin> = f.handle().await.narrow();
    let registry = scheduler.context.registry();
    let one = schedules::find(&registry, "report").expect("it has one").expect("it has one");
    let mut bulkheads = Bulkheads::default();
    let mut look = async || {
        cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
        queued(&f.store, "q").await.len()
    };
    assert!(schedules::stop(&admin, one).await.expect("stop"), "also one that nobody has seen");
    assert!(!schedules::stop(&admin, one).await.expect("stop"), "it is stopped");
    assert_eq!(look().await, 0);
    f.pass(600);
    assert_eq!(look().await, 0);
    assert!(schedules::start(&admin, one).await.expect("start"));
    assert!(!schedules::start(&admin, one).await.expect("start"), "it goes on");
    assert_eq!(look().await, 0, "nothing of the time in which it was stopped");
    f.pass(60);
    assert_eq!(look().await, 1);
    assert!(schedules::stop(&admin, one).await.expect("stop"));
    schedules::run(&admin, one).await.expect("run");
    assert_eq!(look().await, 2, "it runs once, though it is stopped");
    f.pass(600);
    assert_eq!(look().await, 2);
    let listed = schedules::list(&admin, &registry).await.expect("list").remove(0);
    assert_eq!((listed.state, listed.due.is_none()), ("stopped", true));
    assert_eq!(scheduler.told(), [""; 0]);
}
