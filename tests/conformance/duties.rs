//! The scheduler's duties: each duty fails alone, no matter which instance did them before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use windlass::clock::ManualClock;
use windlass::event::{Bus, Event};
use windlass::job::failure::js_date;
use windlass::job::{FailureView, LockKey, RunEnd, WorkerName};
use windlass::scheduler::duties::Duties;
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::periodic::{CheckedTasks, reconcile};
use windlass::scheduler::recover::{duties_owner, recover};
use windlass::scheduler::{cron, stuck};
use windlass::store::faults::{Fault, Faults};
use windlass::store::inspection::RetryFailed;
use windlass::store::instance::Extend;
use windlass::store::queueing::When;
use windlass::store::scheduling::Leadership;

use crate::fixture::{Fixture, NOW_MS, NOW_S, until};
use crate::instance::Instance;
use crate::look::{delay, failed, fill, job, jobs, locks, promote_all, queued, seconds};
use crate::scheduler::Scheduler;
use crate::support::verbs::Verbs as _;

behaviours! {
    the_dead_are_recovered_and_the_duties_kept,
    schedules_go_by_the_stores_time_and_lead_nothing,
    a_tick_that_ran_a_second_early_is_not_moved,
}

const TASKS: &str = r#"
[[task]]
name = "bad"
description = "its queue is broken"
queue = "bad"
frequency = "30s"
[task.run]
builtin = "noop"

[[task]]
name = "good"
description = "it is as it should be"
queue = "good"
frequency = "30s"
[task.run]
builtin = "noop"
"#;

/// An instance of this machine whose process is gone, with these jobs of a queue in hand.
async fn gone(f: &Fixture, queue: &str, count: usize) -> Instance {
    let mut instance = Instance::join(&f.store, "gone", count).await;
    fill(&f.store, queue, &jobs(0..count)).await;
    assert_eq!(instance.claim(&[queue], &(1..=count).collect::<Vec<_>>()).await.len(), count);
    // The shortest lease: half of it must pass before the missing process counts.
    instance.record.lease_ms = 1000;
    let extend = Extend { publish: true, ..instance.extension() };
    f.store.extend(&extend).await.expect("extend");
    instance
}

async fn the_dead_are_recovered_and_the_duties_kept(f: &Fixture) {
    gone(f, "q", 3).await;
    let scheduler = Scheduler::of(f, "host", TASKS).await;
    let owner = duties_owner(&scheduler.context.name, &scheduler.context.host);
    let (leads, led) = watch::channel(false);
    let mut duties = Duties::new(&scheduler.context, &owner, leads);
    until("the jobs are back", async || {
        duties.round().await.expect("round");
        queued(&f.store, "q").await == jobs(0..3)
    })
    .await;
    assert_eq!((queued(&f.store, "good").await.len(), queued(&f.store, "bad").await.len()), (1, 1));
    assert_eq!(f.store.instances().await.expect("instances"), []);
    assert!(*led.borrow());
    assert_eq!(f.store.leader(Leadership::Duties).await.expect("leader"), Some(owner.clone()));
}

async fn schedules_go_by_the_stores_time_and_lead_nothing(f: &Fixture) {
    let tasks = r#"
name = "report"
description = "with arguments, each minute"
queue = "q"
[[schedule]]
cron = "* * * * *"
args = [1]
[run]
builtin = "noop"
"#;
    let mut scheduler = Scheduler::of(f, "a", tasks).await;
    // This machine's clock is an hour ahead.
    scheduler.context.clock = Arc::new(ManualClock::at(NOW_MS + 3_600_000));
    let mut bulkheads = Bulkheads::default();
    let wait = cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
    assert_eq!(wait.map(|next| next.wait), Some(Duration::from_secs(60 - (NOW_S % 60).unsigned_abs())));
    f.pass(59 - NOW_S % 60);
    cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
    assert_eq!(queued(&f.store, "q").await.len(), 0, "it is not time yet");
    f.pass(1);
    cron::run_once(&scheduler.context, &mut bulkheads, false).await.expect("look");
    assert_eq!(queued(&f.store, "q").await.len(), 0, "who does not lead is polite");
    cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    assert_eq!(f.store.leader(Leadership::Duties).await.expect("leader"), None, "that is for who does the duties");
}

/// node-resque's scheduler promotes up to a second early, so that the next tick is a period and a second away.
async fn a_tick_that_ran_a_second_early_is_not_moved(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", TASKS).await;
    let payload = |name: &str| bytes::Bytes::from(format!(r#"{{"class":"{name}","queue":"{name}","args":[{{}}]}}"#));
    delay(&f.store, &payload("good"), When::At(NOW_S + 31)).await;
    delay(&f.store, &payload("bad"), When::At(NOW_S + 32)).await;
    let mut bulkheads = Bulkheads::default();
    for _start in 0..2 {
        reconcile(&scheduler.context, &mut bulkheads, &mut CheckedTasks::default()).await.expect("reconcile");
    }
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1), (NOW_S + 31, 1)], "the other was of another cadence");
    assert_eq!(f.store.scheduled_at(&payload("good")).await.expect("scheduled_at"), [NOW_S + 31]);
}

#[tokio::test]
async fn a_task_whose_queue_is_broken_ends_no_other_duty() {
    let f = Fixture::redis().await;
    gone(&f, "q", 2).await;
    f.redis_command(&["SET", &f.key("queue:bad"), "x"]);
    let scheduler = Scheduler::of(&f, "host", TASKS).await;
    let owner = duties_owner(&scheduler.context.name, &scheduler.context.host);
    let (leads, led) = watch::channel(false);
    let mut duties = Duties::new(&scheduler.context, &owner, leads);
    duties.round().await.expect("round");
    assert_eq!(queued(&f.store, "good").await.len(), 1);
    let told = scheduler.told();
    let of_bad: Vec<_> = told.iter().filter(|line| line.contains("periodic task bad")).collect();
    assert!(of_bad.len() == 1 && of_bad[0].contains(&f.key("queue:bad")), "{told:?}");
    assert!(!*led.borrow(), "another may do better");
    assert_eq!(f.store.leader(Leadership::Duties).await.expect("leader"), None);
    until("recovery goes on", async || {
        duties.round().await.expect("round");
        queued(&f.store, "q").await == jobs(0..2)
    })
    .await;
    assert!(!scheduler.told().iter().any(|line| line.contains("periodic task bad")), "it was told once");
}

#[tokio::test]
async fn a_job_that_its_queue_does_not_take_back_delays_no_other_and_fails_at_last() {
    let f = Fixture::redis().await;
    let dead = gone(&f, "bad", 1).await;
    f.redis_command(&["SET", &f.key("queue:bad"), "x"]);
    let mut other = Instance::join(&f.store, "other", 1).await;
    fill(&f.store, "q", &[job(7)]).await;
    other.claim(&["q"], &[1]).await;
    let scheduler = Scheduler::of(&f, "host", "").await;
    let mut bulkheads = Bulkheads::default();
    let (dead, other) = (dead.state().await.expect("state"), other.state().await.expect("state"));
    for tried in 1..=3 {
        assert!(!recover(&scheduler.context, &mut bulkheads, &dead).await.expect("recover"), "try {tried}");
        assert!(!recover(&scheduler.context, &mut bulkheads, &dead).await.expect("recover"), "not again at once");
        bulkheads.skip(Duration::from_secs(15));
    }
    assert!(recover(&scheduler.context, &mut bulkheads, &other).await.expect("recover"));
    assert_eq!(queued(&f.store, "q").await, [job(7)]);
    assert_eq!(failed(&f.store).await.len(), 0);
    assert!(recover(&scheduler.context, &mut bulkheads, &dead).await.expect("recover"), "and the instance is buried");
    let records = failed(&f.store).await;
    let view = FailureView::parse(&records[0]);
    assert_eq!((records.len(), view.payload, view.queue.as_deref()), (1, Some(job(0)), Some("bad")));
    let of_job = scheduler.told().into_iter().filter(|line| line.contains("recovery of the job")).count();
    assert_eq!(of_job, 1);
}

#[tokio::test]
async fn a_schedule_whose_queue_is_broken_keeps_no_other_from_its_time() {
    let f = Fixture::redis().await;
    f.redis_command(&["SET", &f.key("queue:bad"), "x"]);
    let task = |name: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\ndescription = \"d\"\nqueue = \"{name}\"\n[[task.schedule]]\n\
             cron = \"* * * * *\"\nargs = [1]\n[task.run]\nbuiltin = \"noop\"\n"
        )
    };
    let scheduler = Scheduler::of(&f, "a", &(task("bad") + &task("good"))).await;
    let mut bulkheads = Bulkheads::default();
    for _ in 0..3 {
        cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
        f.pass(60);
    }
    assert_eq!(queued(&f.store, "good").await.len(), 2);
    assert_eq!(scheduler.told().len(), 1, "it was told once");
}

/// A worker of node-resque that pinged so many seconds ago, with this job in hand since then.
fn foreign(f: &Fixture, id: &str, job: &str, silent_s: i64) {
    let name = WorkerName::parse(id).name().to_owned();
    f.redis_command(&["SADD", &f.key("workers"), id]);
    let ping = format!(r#"{{"time":{},"name":"{name}","queues":"math"}}"#, NOW_S - silent_s);
    f.redis_command(&["SET", &f.key(&format!("worker:ping:{name}")), &ping]);
    let run_at = js_date((NOW_S - silent_s) * 1000);
    let record = format!(r#"{{"run_at":"{run_at}","worker":"{name}","payload":{job},"queue":"math"}}"#);
    f.redis_command(&["SET", &f.key(&format!("worker:{id}")), &record]);
}

#[tokio::test]
async fn the_job_lock_of_a_dead_foreign_worker_goes_with_it_where_it_is_its_own() {
    let f = Fixture::redis().await;
    let lock = |n: i64| LockKey::job_lock("add", "math", &format!("[{n}]"));
    let add = |n: i64| format!(r#"{{"class":"add","queue":"math","args":[{n}]}}"#);
    for n in 1..=5 {
        foreign(&f, &format!("vm:{n}:math"), &add(n), 7200);
    }
    let taken = |taken_s: i64| (taken_s + 3600 + 1).to_string();
    f.plant_lock(&lock(1), &taken(NOW_S - 7199));
    f.plant_lock(&lock(2), &taken(NOW_S - 60));
    f.plant_lock(&lock(3), &taken(NOW_S - 7200));
    foreign(&f, "vm:9:math", &add(3), 2);
    f.plant_lock(&lock(4), &format!("{}:00ff-0-1-0", taken(NOW_S - 7200)));
    let scheduler = Scheduler::of(&f, "a", "").await;
    let after = Duration::from_secs(3600);
    stuck::sweep(&scheduler.context, &mut Bulkheads::default(), after, &[]).await.expect("sweep");
    assert_eq!(failed(&f.store).await.len(), 5);
    let mut left = [2, 3, 4].map(|n| lock(n).as_str().to_owned());
    left.sort();
    assert_eq!(locks(&f.store).await, left, "taken later, held by another, held by a claim");
    assert_eq!(f.store.registered().await.expect("registered").len(), 1);
}

#[tokio::test]
async fn the_job_of_a_silent_worker_is_told_and_counted_as_failed_even_if_it_cannot_be_retried() {
    for fault in [Fault::WrongType, Fault::CutBefore] {
        let f = Fixture::redis().await;
        foreign(&f, "vm:1:math", r#"{"class":"add","queue":"math","args":[1]}"#, 7200);
        let mut scheduler = Scheduler::of(&f, "a", "").await;
        let mut config = scheduler.context.config.borrow().clone();
        config.retry_stuck_jobs = true;
        scheduler.context.config = config.without_reload();
        let faults = Arc::new(Faults::default());
        faults.next::<RetryFailed>(fault);
        scheduler.context.store = f.store.layered(Arc::clone(&faults) as _).narrow();
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        scheduler.context.bus = bus;
        let after = Duration::from_secs(3600);
        let swept = stuck::sweep(&scheduler.context, &mut Bulkheads::default(), after, &[]).await;
        assert_eq!(swept.is_err(), fault == Fault::CutBefore, "an outage ends the round");
        assert!(faults.are_spent());
        assert_eq!(failed(&f.store).await.len(), 1);
        let told: Vec<_> = std::iter::from_fn(|| listeners[0].try_next()).collect();
        assert!(told.iter().any(|event| matches!(event, Event::Failure { .. })), "{fault:?}: {told:?}");
        let retry = |event: &Event| format!("{event:?}").contains("windlass failed retry-stuck");
        assert!(told.iter().any(retry), "{fault:?}: {told:?}");
        let counted = scheduler.context.tally.tasks();
        assert_eq!(counted.iter().map(|(_, counts)| counts.of(RunEnd::Failed)).sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn a_periodic_task_comes_back_when_its_foreign_worker_has_been_silent_for_minutes() {
    let f = Fixture::redis().await;
    let scheduler = Scheduler::of(&f, "a", TASKS).await;
    let (mut bulkheads, mut checked) = (Bulkheads::default(), CheckedTasks::default());
    reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    f.redis_command(&["DEL", &f.key("queue:good"), &f.key("queue:bad")]);
    let good = |queue: &str| format!(r#"{{"class":"{queue}","queue":"{queue}","args":[{{}}]}}"#);
    foreign(&f, "vm:1:good", &good("good"), -100);
    foreign(&f, "vm:2:bad", &good("bad"), -100);
    f.plant_lock(&LockKey::job_lock("good", "good", "[{}]"), "1");
    f.pass(100 + 170);
    reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    assert_eq!(queued(&f.store, "good").await.len(), 0, "it may still run");
    f.pass(20);
    f.redis_command(&[
        "SET",
        &f.key("worker:ping:vm:2"),
        &format!(r#"{{"time":{},"name":"vm:2","queues":"bad"}}"#, NOW_S + 280),
    ]);
    reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    assert_eq!((queued(&f.store, "good").await.len(), queued(&f.store, "bad").await.len()), (1, 0));
    assert!(!locks(&f.store).await.iter().any(|lock| lock.starts_with("workerslock:good")));
    assert_eq!(promote_all(&f.store, "good", 10).await, 0);
}
