//! The next tick of a periodic task, written inside the arrow that ends the present one.

use bytes::Bytes;
use windlass::job::{QueueName, TaskName};
use windlass::store::effect::{Tick, Verdict};
use windlass::store::queueing::When;
use windlass::store::scheduling::{PeriodicEntry, Reconcile, Reconciled};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{delay, delayed_at, promote_all, queue, queued, seconds};

behaviours! {
    without_an_entry_the_period_counts_from_now,
    the_schedule_is_kept_however_long_the_run_took,
    missed_periods_are_skipped,
    a_failed_run_ticks_too,
    a_stopped_task_does_not_tick,
    a_copy_that_is_delayed_already_is_enough,
    a_lost_claim_does_not_tick,
    a_halted_task_stands_still_until_an_instance_starts,
}

/// The periodic task of the tests, with its period.
pub(crate) fn tick(every_s: u64) -> Tick {
    Tick {
        task: TaskName::new("clean").expect("name"),
        queue: queue("q"),
        payload: Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#),
        every_s,
        halt: false,
    }
}

/// Looks after the task as a scheduler does.
pub(crate) async fn reconcile(f: &Fixture, every_s: u64) -> Reconciled {
    look_after(f, every_s, false).await
}

async fn look_after(f: &Fixture, every_s: u64, boot: bool) -> Reconciled {
    let reconcile = Reconcile {
        tick: tick(every_s),
        forms: vec![tick(every_s).payload],
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: Vec::new(),
        boot,
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

async fn end(instance: &mut Instance, claim: &Claimed, every_s: u64) {
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
    assert_eq!(seconds(&f.store).await, [(NOW_S + 180, 1)], "a due time that is now has passed");
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
