//! The next tick of a periodic task, written inside the arrow that ends the present one.

use bytes::Bytes;
use windlass::job::{QueueName, TaskName};
use windlass::store::effect::{Gate, Next, Tick, Verdict};
use windlass::store::periodic::{PeriodicEntry, Purpose, Reconcile, Reconciled};
use windlass::store::queueing::{Entered, When};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{admit, delay, delayed_at, fill, lock, promote_all, queue, queued, refused, seconds, take};
use crate::support::verbs::Verbs as _;

behaviours! {
    without_an_entry_the_period_counts_from_now,
    the_schedule_is_kept_however_long_the_run_took,
    missed_periods_are_skipped,
    a_failed_run_ticks_too,
    a_stopped_task_does_not_tick,
    a_copy_that_is_delayed_already_is_enough,
    a_lost_claim_does_not_tick,
    a_halted_task_stands_still_until_an_instance_starts,
    a_tick_that_is_due_already_goes_to_its_queue,
    a_stopped_task_is_nowhere_until_it_is_started,
    a_task_that_nobody_knew_can_be_stopped,
    a_run_that_is_wanted_now_is_one_more,
    a_stopped_task_runs_once_if_that_is_wanted,
    a_tick_is_told_for_when_it_was_due,
    what_is_no_tick_is_told_nothing,
}

/// The periodic task of the tests, with its period.
pub(crate) fn tick(every_s: u64) -> Tick {
    Tick {
        task: TaskName::new("clean").expect("name"),
        queue: queue("q"),
        payload: Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#),
        next: Next::Every { seconds: every_s },
        lock: None,
        halt: false,
        beside: false,
    }
}

/// Reconciles the task as a scheduler does.
pub(crate) async fn reconcile(f: &Fixture, every_s: u64) -> Reconciled {
    look_after(f, every_s, false).await
}

async fn look_after(f: &Fixture, every_s: u64, boot: bool) -> Reconciled {
    look_for(f, every_s, if boot { Purpose::Boot } else { Purpose::Look }).await
}

async fn with_purpose(f: &Fixture, purpose: Purpose) -> Reconciled {
    look_for(f, 30, purpose).await
}

async fn look_for(f: &Fixture, every_s: u64, purpose: Purpose) -> Reconciled {
    let reconcile = Reconcile {
        tick: tick(every_s),
        forms: vec![tick(every_s).payload],
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: f.store.registered().await.expect("registered").into_iter().map(|one| one.worker).collect(),
        purpose,
        stale_due_s: None,
        silent: Vec::new(),
        attempts: Vec::new(),
    };
    f.store.reconcile(&reconcile).await.expect("reconcile")
}

/// The task's entry.
pub(crate) async fn entry(f: &Fixture) -> Option<PeriodicEntry> {
    let (entries, _) = f.store.periodic(&[]).await.expect("periodic");
    entries.into_iter().find(|entry| entry.task == tick(1).task)
}

/// Seeds the task and claims its first job.
async fn seeded(f: &Fixture, instance: &mut Instance, every_s: u64) -> Claimed {
    assert_eq!(reconcile(f, every_s).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.claim.payload, tick(every_s).payload);
    claim
}

pub(crate) async fn end(instance: &mut Instance, claim: &Claimed, every_s: u64) {
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &tick(every_s))]).await, [0_usize; 0]);
}

async fn without_an_entry_the_period_counts_from_now(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    crate::look::fill(&f.store, "q", &[tick(30).payload]).await;
    let claim = instance.claim_one("q").await;
    f.clock.advance(400);
    end(&mut instance, &claim, 30).await;
    let [(second, 1)] = seconds(&f.store).await[..] else { panic!("one tick must be delayed") };
    assert!((NOW_S + 30..=NOW_S + 31).contains(&second), "{second}");
    assert_eq!(delayed_at(&f.store, second).await, [tick(30).payload]);
    let expected = QueueName::as_stored("q");
    let entry = entry(f).await.expect("the tick must be on the books");
    assert_eq!((entry.due_s, entry.every_s, entry.queue, entry.stopped), (second, 30, expected, false));
}

async fn the_schedule_is_kept_however_long_the_run_took(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let mut claim = seeded(f, &mut instance, 30).await;
    for round in 1..4 {
        f.clock.advance(7_300);
        end(&mut instance, &claim, 30).await;
        assert_eq!(seconds(&f.store).await, [(NOW_S + 30 * round, 1)], "from the schedule, not from the run's end");
        assert_eq!(entry(f).await.expect("entry").due_s, NOW_S + 30 * round);
        f.clock.set((NOW_S + 30 * round) * 1000 + 900);
        assert_eq!(promote_all(&f.store, "q", 250).await, 1);
        claim = instance.claim_one("q").await;
    }
}

async fn missed_periods_are_skipped(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    f.pass(95);
    end(&mut instance, &claim, 30).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 120, 1)], "the first that lies ahead, once");
    f.pass(25);
    assert_eq!(promote_all(&f.store, "q", 250).await, 1);
    let claim = instance.claim_one("q").await;
    f.pass(30);
    end(&mut instance, &claim, 30).await;
    assert_eq!(
        entry(f).await.expect("entry").due_s,
        NOW_S + 150,
        "a tick that is less than a second late is not skipped"
    );
    assert_eq!(seconds(&f.store).await, [], "it needs no promotion");
    let claim = instance.claim_one("q").await;
    f.pass(31);
    end(&mut instance, &claim, 30).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 210, 1)], "one that is later is");
}

async fn a_failed_run_ticks_too(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    assert_eq!(instance.settle(vec![claim.ticks(claim.failed(), &tick(30))]).await, [0_usize; 0]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1)]);
}

async fn a_stopped_task_does_not_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    f.plant_stopped(&tick(30));
    assert!(entry(f).await.expect("entry").stopped);
    end(&mut instance, &claim, 30).await;
    assert_eq!(seconds(&f.store).await, []);
    assert_eq!(instance.working().await, [], "the run itself is settled");
    f.pass(300);
    assert_eq!(reconcile(f, 30).await, Reconciled::Fine, "and nobody restores what was stopped");
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn a_copy_that_is_delayed_already_is_enough(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    delay(&f.store, &tick(30).payload, When::At(NOW_S + 3)).await;
    end(&mut instance, &claim, 30).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 3, 1)]);
}

async fn a_lost_claim_does_not_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    let record = instance.working().await.remove(0);
    assert!(f.store.force_clean(&claim.worker, Some(&record), None, &[]).await.expect("force_clean"));
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &tick(30))]).await, [0]);
    assert_eq!(seconds(&f.store).await, []);
}

async fn a_halted_task_stands_still_until_an_instance_starts(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = seeded(f, &mut instance, 30).await;
    let halt = Tick { halt: true, ..tick(30) };
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &halt)]).await, [0_usize; 0]);
    assert_eq!(seconds(&f.store).await, [], "nothing is delayed");
    f.pass(3600);
    assert_eq!(reconcile(f, 30).await, Reconciled::Fine, "it is not taken for lost");
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(look_after(f, 30, true).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await, [tick(30).payload]);
    assert_eq!(entry(f).await.expect("entry").due_s, NOW_S + 3600);
    assert_eq!(look_after(f, 30, true).await, Reconciled::Fine, "once");
}

async fn a_tick_that_is_due_already_goes_to_its_queue(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let locked = Tick { lock: Some((lock(1), 60)), ..tick(1) };
    let mut claim = seeded(f, &mut instance, 1).await;
    for n in 1..4 {
        f.clock.advance(1000);
        assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &locked)]).await, [0_usize; 0]);
        assert_eq!(entry(f).await.expect("entry").due_s, NOW_S + n);
        assert_eq!((seconds(&f.store).await, queued(&f.store, "q").await), (vec![], vec![tick(1).payload]));
        assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("q")]);
        let refusal = admit(&f.store, "q", &tick(1).payload, &[take(&lock(1), 60)]).await;
        assert_eq!(refusal, refused("QueueLock"), "as after a promotion, held by an earlier tick or not");
        claim = instance.claim_one("q").await;
    }
    f.clock.advance(999);
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &locked)]).await, [0_usize; 0]);
    assert_eq!((seconds(&f.store).await, queued(&f.store, "q").await.len()), (vec![(NOW_S + 4, 1)], 0));
}

async fn a_stopped_task_is_nowhere_until_it_is_started(f: &Fixture) {
    let tick = tick(30);
    reconcile(f, 30).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 30).await;
    fill(&f.store, "q", std::slice::from_ref(&tick.payload)).await;
    let stop = || f.store.stop(&tick.task, &tick.queue, std::slice::from_ref(&tick.payload));
    assert_eq!(stop().await.expect("stop"), 2);
    assert_eq!(stop().await.expect("stop"), 0);
    assert_eq!((queued(&f.store, "q").await.len(), seconds(&f.store).await.len()), (0, 0));
    for boot in [false, true] {
        f.pass(100);
        assert_eq!(look_after(f, 30, boot).await, Reconciled::Fine);
    }
    assert!(entry(f).await.expect("entry").stopped);
    assert_eq!(with_purpose(f, Purpose::Start).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    assert!(!entry(f).await.expect("entry").stopped);
    assert_eq!(with_purpose(f, Purpose::Start).await, Reconciled::Fine, "it is there already");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
}

async fn a_task_that_nobody_knew_can_be_stopped(f: &Fixture) {
    let tick = tick(30);
    assert_eq!(f.store.stop(&tick.task, &tick.queue, &[]).await.expect("stop"), 0);
    assert_eq!(reconcile(f, 30).await, Reconciled::Fine);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn a_run_that_is_wanted_now_is_one_more(f: &Fixture) {
    reconcile(f, 30).await;
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Waits);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Runs);
    end(&mut instance, &claim, 30).await;
    f.pass(4);
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Started);
    assert_eq!((queued(&f.store, "q").await.len(), seconds(&f.store).await.len()), (1, 0));
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 30).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1)], "the tick stays due");
}

async fn a_stopped_task_runs_once_if_that_is_wanted(f: &Fixture) {
    let tick = tick(30);
    f.store.stop(&tick.task, &tick.queue, &[]).await.expect("stop");
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Started);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 30).await;
    assert_eq!((queued(&f.store, "q").await.len(), seconds(&f.store).await.len()), (0, 0));
    assert!(entry(f).await.expect("entry").stopped);
}

/// For which second the task's job that is claimed now is due.
async fn due(instance: &mut Instance) -> (Claimed, Option<i64>) {
    let claim = instance.claim_one("q").await;
    let (entered, due_s) = instance.enter_tick(&claim, &[Gate::TellDue { task: tick(30).task }]).await;
    assert_eq!(entered, Entered::Taken);
    (claim, due_s)
}

async fn a_tick_is_told_for_when_it_was_due(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    reconcile(f, 30).await;
    f.pass(3);
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, Some(NOW_S), "its first run was due when it was seeded");
    end(&mut instance, &claim, 30).await;
    f.pass(47);
    promote_all(&f.store, "q", 10).await;
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, Some(NOW_S + 30), "however late it is claimed");
    instance.settle_one(&claim, claim.requeued()).await;
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, Some(NOW_S + 30), "and anyone who runs it again");
    end(&mut instance, &claim, 30).await;
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Started);
    let (_, due_s) = due(&mut instance).await;
    assert_eq!(due_s, Some(NOW_S + 30), "a run that is one more belongs to the tick before the one that stays due");
}

async fn what_is_no_tick_is_told_nothing(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[tick(30).payload]).await;
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, None, "it has no entry");
    end(&mut instance, &claim, 30).await;
    // The tick is due in half a minute; somebody enqueues another job of the same bytes.
    fill(&f.store, "q", &[tick(30).payload]).await;
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, None, "the tick lies ahead");
    let halting = Tick { halt: true, ..tick(30) };
    assert_eq!(instance.settle(vec![claim.ticks(claim.failed(), &halting)]).await, [0_usize; 0]);
    fill(&f.store, "q", &[tick(30).payload]).await;
    let (claim, due_s) = due(&mut instance).await;
    assert_eq!(due_s, None, "it has halted");
    end(&mut instance, &claim, 30).await;
    f.store.stop(&tick(30).task, &queue("q"), &[tick(30).payload]).await.expect("stop");
    f.pass(60);
    assert_eq!(with_purpose(f, Purpose::Run).await, Reconciled::Started);
    let (_, due_s) = due(&mut instance).await;
    assert_eq!(due_s, None, "it is stopped, so that people asked for this run");
}
