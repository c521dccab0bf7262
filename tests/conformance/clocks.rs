//! A clock that is set while leaderships and locks are held, or ticks are due.

use tokio::sync::watch;
use tokio::time::{Duration, advance};
use windlass::job::{LockKey, TaskName};
use windlass::scheduler::cron;
use windlass::scheduler::duties::Duties;
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::promote;
use windlass::store::effect::{Busy, Gate, Tick, Verdict};
use windlass::store::instance::{Extend, Extended, LockRenewal};
use windlass::store::queueing::{Enqueued, Entered, When};
use windlass::store::scheduling::Leadership;

use crate::fixture::{Fixture, NOW_S, Place, until};
use crate::instance::{Claimed, Instance};
use crate::look::{
    admit, delay, delayed, fill, gate, job, job_lock, jobs, lock, locks, promote_all, queued, refused, seconds, take,
};
use crate::scheduler::Scheduler;
use crate::support::verbs::Verbs as _;
use crate::tick;

behaviours! {
    ticks_from_before_the_clock_was_set_back_are_moved,
    a_tick_that_ran_before_the_clock_was_set_back_is_followed_by_the_next_from_now,
    a_tick_from_before_the_clock_was_set_back_that_is_nowhere_is_moved_too,
    a_schedule_from_before_the_clock_was_set_back_goes_on,
    a_waiting_job_stays_who_it_was_when_the_clock_is_set,
    a_running_job_keeps_its_lock_when_the_clock_is_set_forward,
    a_lock_of_a_dead_claim_ends_with_its_record,
    a_lock_that_somebody_deleted_is_free_though_its_job_runs,
}

pub(crate) const TASKS: &str = r#"
[[task]]
name = "often"
description = "by its frequency"
queue = "q"
frequency = "30s"
[task.run]
builtin = "noop"

[[task]]
name = "hourly"
description = "by the calendar"
queue = "q"
schedule = "0 * * * *"
[task.run]
builtin = "noop"

[[task]]
name = "report"
description = "with arguments, each minute"
queue = "q"
[[task.schedule]]
cron = "* * * * *"
args = [1]
[task.run]
builtin = "noop"
"#;

pub(crate) const TWO_HOURS_S: i64 = 7200;
pub(crate) const THIRTY_DAYS_S: i64 = 30 * 86_400;

async fn ticks_from_before_the_clock_was_set_back_are_moved(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", TASKS).await;
    let mut duties = Duties::new(&scheduler.context, "a", watch::channel(false).0);
    // For a moment it is a month later: both tasks have a tick there.
    f.pass(THIRTY_DAYS_S);
    duties.round().await.expect("round");
    assert_eq!(promote_all(&f.store, "q", 10).await, 0);
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let claim = instance.claim_one("q").await;
    let ahead =
        Tick { task: TaskName::new("often").expect("name"), payload: claim.claim.payload.clone(), ..tick::tick(30) };
    instance.settle(vec![claim.ticks(Verdict::Done, &ahead)]).await;
    f.pass(-THIRTY_DAYS_S);
    assert!(seconds(&f.store).await.iter().all(|(second, _)| *second > f.second() + THIRTY_DAYS_S));
    assert_eq!(delayed(&f.store).await.len(), 2);
    scheduler.told();
    duties.round().await.expect("round");
    let hour = f.second() / 3600 * 3600 + 3600;
    assert_eq!(seconds(&f.store).await, [(f.second() + 30, 1), (hour, 1)]);
    let told = scheduler.told();
    assert!(told.len() == 2 && told.iter().all(|line| line.contains("was set back")), "{told:?}");
    duties.round().await.expect("round");
    assert_eq!(scheduler.told(), [""; 0]);
}

async fn a_tick_that_ran_before_the_clock_was_set_back_is_followed_by_the_next_from_now(f: &Fixture) {
    tick::reconcile(f, 30).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    f.pass(-TWO_HOURS_S);
    instance.settle(vec![claim.ticks(Verdict::Done, &tick::tick(30))]).await;
    assert_eq!(seconds(&f.store).await, [(f.second() + 30, 1)]);
}

async fn a_tick_from_before_the_clock_was_set_back_that_is_nowhere_is_moved_too(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", TASKS).await;
    let mut duties = Duties::new(&scheduler.context, "a", watch::channel(false).0);
    duties.round().await.expect("round");
    let mut instance = Instance::join(&f.store, "i", 1).await;
    let claim = instance.claim_one("q").await;
    f.pass(-TWO_HOURS_S);
    // Its run ends without the next tick, as a run of another program does.
    instance.settle_one(&claim, Verdict::Done).await;
    duties.round().await.expect("round");
    assert_eq!(seconds(&f.store).await[0], (f.second() + 30, 1));
}

async fn a_schedule_from_before_the_clock_was_set_back_goes_on(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", TASKS).await;
    let mut bulkheads = Bulkheads::default();
    let mut look = async || {
        cron::run_once(&scheduler.context, &mut bulkheads, true).await.expect("look");
    };
    look().await;
    f.pass(THIRTY_DAYS_S);
    look().await;
    let enqueued = queued(&f.store, "q").await.len();
    // It is known from before, so that nobody waits for another.
    f.pass(-THIRTY_DAYS_S);
    look().await;
    assert_eq!(queued(&f.store, "q").await.len(), enqueued);
    f.pass(60);
    look().await;
    assert_eq!(queued(&f.store, "q").await.len(), enqueued + 1);
    assert_eq!(scheduler.told(), [""; 0]);
}

/// Waits for a moment of the test's own time, while the timers stand still.
async fn pause() {
    let slept = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5)));
    slept.await.expect("nobody ends it");
}

/// The timers stand still while a machine is asleep, and the time of day does not.
#[tokio::test(start_paused = true)]
async fn after_a_sleep_of_the_machine_what_is_due_is_promoted_with_the_next_look() {
    let f = Fixture::sqlite().await;
    // While it waits, the timers move only by `advance`.
    let (end, held) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || held.recv());
    delay(&f.store, &job(1), When::At(NOW_S + TWO_HOURS_S)).await;
    let scheduler = Scheduler::of(&f, "a", "").await;
    let (_stop, told) = watch::channel(false);
    let promoter = tokio::spawn(promote::run(scheduler.context.clone(), told));
    while f.store.leader(Leadership::Scheduler).await.expect("leader").is_none() {
        pause().await;
    }
    // It sees when the job is due.
    for _ in 0..20 {
        pause().await;
    }
    f.pass(TWO_HOURS_S);
    let mut timers_s = 0;
    while queued(&f.store, "q").await.is_empty() {
        assert!(timers_s < 2_000, "it waits for two hours of the timers' time");
        timers_s += 1;
        advance(Duration::from_secs(1)).await;
        pause().await;
    }
    promoter.abort();
    drop(end);
}

/// Nobody can know which jobs were delayed by the wrong time, so that it is told.
#[tokio::test(start_paused = true)]
async fn a_step_back_of_the_clock_is_told_while_jobs_are_delayed() {
    let f = Fixture::sqlite().await;
    // While it waits, the timers move only by `advance`.
    let (end, held) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || held.recv());
    f.pass(TWO_HOURS_S);
    delay(&f.store, &job(1), When::At(f.second() + 60)).await;
    delay(&f.store, &job(2), When::At(f.second())).await;
    let scheduler = Scheduler::of(&f, "a", "").await;
    let (_stop, told) = watch::channel(false);
    let promoter = tokio::spawn(promote::run(scheduler.context.clone(), told));
    // What is due shows that it has looked.
    while queued(&f.store, "q").await.is_empty() {
        pause().await;
    }
    assert_eq!(scheduler.told(), [""; 0]);
    f.pass(-TWO_HOURS_S);
    let (mut said, mut timers_s) = (Vec::new(), 0);
    while said.is_empty() {
        assert!(timers_s < 2_000, "nothing is told");
        timers_s += 1;
        f.pass(1);
        advance(Duration::from_secs(1)).await;
        pause().await;
        said = scheduler.told();
    }
    assert!(said.len() == 1 && said[0].contains("the store's clock was set back by "), "{said:?}");
    assert!(said[0].contains("windlass delayed run --task TASK"), "{said:?}");
    promoter.abort();
    drop(end);
}

#[tokio::test]
async fn a_leader_key_that_outlives_every_lease_is_void_on_redis() {
    let f = Fixture::redis().await;
    let key = f.key("windlass:duties_leader");
    let plant = |ttl: &str| f.redis_command(&["SET", &key, "before", "PX", ttl]);
    plant("7200000");
    assert!(f.store.lead(Leadership::Duties, "after", 15_000).await.expect("lead"));
    let mut patient = Instance::join(&f.store, "a", 1).await;
    patient.record.lease_ms = 60_000;
    let extend = Extend {
        ran: Vec::new(),
        record: patient.record.clone(),
        publish: true,
        census: false,
        workers: Vec::new(),
        pinged: Vec::new(),
        locks: Vec::new(),
        done: Vec::new(),
        progress: Vec::new(),
        long: Vec::new(),
    };
    f.store.extend(&extend).await.expect("extend");
    plant("59000");
    assert!(!f.store.oversee("after", 15_000).await.expect("oversee").leads, "a lease of that length is registered");
    plant("61000");
    assert!(f.store.oversee("after", 15_000).await.expect("oversee").leads);
    f.redis_command(&["SET", &key, "for ever"]);
    assert!(f.store.oversee("after", 15_000).await.expect("oversee").leads);
}

#[tokio::test]
async fn a_leader_key_that_outlives_what_other_programs_take_is_void_on_redis() {
    let f = Fixture::redis().await;
    let key = f.key("resque_scheduler_leader_lock");
    f.redis_command(&["SET", &key, "vm:1", "EX", "180"]);
    assert!(
        !f.store.lead(Leadership::Scheduler, "after", 15_000).await.expect("lead"),
        "node-resque takes it for so long"
    );
    f.redis_command(&["SET", &key, "vm:1", "EX", "7200"]);
    assert!(f.store.lead(Leadership::Scheduler, "after", 15_000).await.expect("lead"));
}

#[tokio::test]
async fn a_leader_from_before_the_clock_was_set_back_is_succeeded() {
    let f = Fixture::sqlite().await;
    for which in [Leadership::Scheduler, Leadership::Duties] {
        assert!(f.store.lead(which, "before", 300).await.expect("lead"));
        f.pass(-TWO_HOURS_S);
        assert_eq!(f.store.leader(which).await.expect("leader"), None, "its end lies further ahead than its term");
        until("the end of the term", async || f.store.lead(which, "after", 60_000).await.expect("lead")).await;
        assert_eq!(f.store.leader(which).await.expect("leader").as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn a_leader_that_renews_stays_leader_when_the_clock_is_set() {
    let f = Fixture::sqlite().await;
    let other = f.handle().await;
    assert!(f.store.lead(Leadership::Duties, "one", 60_000).await.expect("lead"));
    assert!(!other.lead(Leadership::Duties, "two", 60_000).await.expect("lead"));
    f.pass(THIRTY_DAYS_S);
    assert!(!other.lead(Leadership::Duties, "two", 60_000).await.expect("lead"), "no instance has seen it stand still");
    assert!(f.store.lead(Leadership::Duties, "one", 60_000).await.expect("lead"));
}

async fn a_waiting_job_stays_who_it_was_when_the_clock_is_set(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "i", 1).await;
    fill(&f.store, "q", &[job(1)]).await;
    let mut identity = None;
    for seconds in [THIRTY_DAYS_S, 400 * 86_400, -TWO_HOURS_S] {
        let one = instance.claim_one("q").await;
        assert_eq!(&one.claim.identity, identity.get_or_insert_with(|| one.claim.identity.clone()));
        let cut_off = one.claim.identity.redelivered();
        instance.settle_one(&one, Verdict::Requeued { identity: cut_off.clone() }).await;
        // For a moment it is another time, and the job stands where it was.
        f.pass(seconds);
        f.store.sweep_identities(0).await.expect("sweep");
        identity = Some(cut_off);
    }
}

/// Lets the clock be set forward. The locks of Redis lapse by the server's own clock, which is not set here.
fn set_forward(f: &Fixture, seconds: i64, lapsed: &[&LockKey]) {
    f.pass(seconds);
    if matches!(f.place, Place::Redis { .. }) {
        for lock in lapsed {
            f.redis_command(&["DEL", &f.key(lock.as_str())]);
        }
    }
}

async fn renew(f: &Fixture, instance: &Instance, claim: &Claimed, key: LockKey) -> Extended {
    let locks = vec![LockRenewal { key, claim: claim.claim.token.clone(), ttl_s: 60 }];
    let (record, workers) = (instance.record.clone(), instance.record.workers());
    let (pinged, done, ran) = (Vec::new(), Vec::new(), Vec::new());
    let progress = Vec::new();
    let extend =
        Extend { pinged, record, publish: true, census: false, workers, locks, done, progress, ran, long: Vec::new() };
    f.store.extend(&extend).await.expect("extend")
}

async fn a_running_job_keeps_its_lock_when_the_clock_is_set_forward(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    set_forward(f, THIRTY_DAYS_S, &[&job_lock(1)]);
    // The lease extension of another instance must not sweep it, either.
    let other = Instance::join(&f.handle().await, "b", 1).await;
    other.extend().await;
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(1), 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    assert_eq!(renew(f, &instance, &claims[0], job_lock(1)).await.lost_locks, [0_usize; 0]);
    let held = f.store.locks().await.expect("locks").locks;
    assert!(held[0].ttl_ms.is_some_and(|ttl_ms| (50_000..=60_000).contains(&ttl_ms)), "renewed by the new time");
    // Before the next renewal it lapses again, and its run ends.
    set_forward(f, THIRTY_DAYS_S, &[&job_lock(1)]);
    instance.settle(vec![claims[0].frees(Verdict::Done, &[job_lock(1)])]).await;
    assert_eq!(renew(f, &instance, &claims[0], job_lock(1)).await.lost_locks, [0_usize; 0], "nor is it taken again");
    let claim = instance.claim(&["q"], &[1]).await.remove(0);
    assert_eq!(instance.enter(&claim, &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    instance.settle(vec![claim.frees(Verdict::Done, &[job_lock(1)])]).await;
    assert_eq!(locks(&f.store).await, [""; 0]);
    if matches!(f.place, Place::Redis { .. }) {
        assert_eq!(f.redis_command(&["KEYS", &f.key("windlass:held:*")]).texts(), [""; 0]);
    }
}

async fn a_lock_of_a_dead_claim_ends_with_its_record(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    set_forward(f, THIRTY_DAYS_S, &[&job_lock(1)]);
    instance.settle_one(&claims[0], Verdict::Done).await;
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
}

async fn a_lock_that_somebody_deleted_is_free_though_its_job_runs(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    assert_eq!(instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    assert!(f.store.delete_lock(job_lock(1).as_str()).await.expect("delete_lock"));
    let renewed = renew(f, &instance, &claims[0], job_lock(1)).await;
    assert_eq!((renewed.lost_locks, renewed.deleted_locks), (vec![], vec![0]));
    assert_eq!(locks(&f.store).await, [""; 0], "it is not taken again behind the back of who deleted it");
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(1), 1000)]).await, Entered::Taken);
    assert_eq!(renew(f, &instance, &claims[0], job_lock(1)).await.lost_locks, [0_usize]);
}

#[tokio::test]
async fn a_queue_lock_from_before_the_clock_was_set_back_is_cut_to_its_length() {
    let f = Fixture::sqlite().await;
    let admission = [take(&lock(1), 60)];
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, Enqueued::Yes);
    f.pass(-TWO_HOURS_S);
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, refused("QueueLock"), "it is not freed too early");
    f.pass(62);
    assert_eq!(admit(&f.store, "q", &job(1), &admission).await, Enqueued::Yes, "and not held for two hours");
}

#[tokio::test]
async fn a_leaked_job_lock_from_before_the_clock_was_set_back_is_cut_to_its_length() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let busy = Busy::PutBack { delay_ms: 1000 };
    let gates = [Gate::TakeLock { plugin: "JobLock", key: job_lock(1), ttl_s: 60, busy }];
    assert_eq!(instance.enter(&claims[0], &gates).await, Entered::Taken);
    instance.settle_one(&claims[0], Verdict::Done).await;
    f.pass(-TWO_HOURS_S);
    assert_eq!(instance.enter(&claims[1], &gates).await, Entered::PutBack { plugin: "JobLock" });
    f.pass(61);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &gates).await, Entered::Taken);
}
