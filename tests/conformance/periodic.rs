//! reconcile and withdraw: periodic tasks keep running with one job each, no matter what was lost.

use bytes::Bytes;
use windlass::job::LockKey;
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::queueing::{Entered, When};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{delay, delayed, fill, gate, job, locks, promote_all, queue, queued, seconds};
use crate::support::verbs::Verbs as _;
use crate::tick::{entry, tick};

behaviours! {
    a_new_task_is_seeded_at_once,
    a_seeded_task_is_left_alone,
    a_delayed_copy_is_accepted_as_it_stands,
    a_queued_copy_is_accepted,
    a_running_copy_is_accepted,
    an_overdue_task_is_restored_after_its_grace,
    a_restored_task_keeps_its_schedule,
    an_overdue_task_that_is_somewhere_is_left_alone,
    restoring_frees_leaked_locks,
    a_leaked_job_lock_is_freed,
    a_job_lock_of_a_running_job_stays,
    reconcilers_at_once_make_one_copy,
    reconcilers_at_once_restore_one_copy,
    a_task_is_overdue_only_past_its_grace,
    a_copy_left_over_does_not_set_the_schedule_back,
    of_several_delayed_copies_the_earliest_counts,
    a_tick_that_waits_for_its_next_attempt_is_not_moved,
    a_run_with_arguments_of_its_own_is_not_the_tick,
    a_run_that_was_written_again_is_the_tick,
    a_job_lock_follows_the_claim_that_it_carries,
    withdrawing_removes_every_form,
    withdrawing_leaves_others_alone,
}

const FORMS: [&[u8]; 3] = [
    br#"{"class":"clean","queue":"q","args":[{}]}"#,
    br#"{"class":"clean","queue":"q","args":[null]}"#,
    br#"{"class":"clean","queue":"q","args":[]}"#,
];

fn form(n: usize) -> Bytes {
    Bytes::from_static(FORMS[n])
}

fn queue_lock() -> LockKey {
    LockKey::queue_lock("clean", "q", "[{}]")
}

fn job_lock() -> LockKey {
    LockKey::job_lock("clean", "q", "[{}]")
}

/// The task with all its forms and locks, as the instances' workers are known now.
async fn request(f: &Fixture) -> Reconcile {
    Reconcile {
        tick: tick(30),
        forms: (0..3).map(form).collect(),
        queue_lock: Some((queue_lock(), 60)),
        job_lock: Some(job_lock()),
        grace_s: 10,
        workers: f.store.registered().await.expect("registered").into_iter().map(|one| one.worker).collect(),
        purpose: Purpose::Look,
        stale_due_s: None,
        silent: Vec::new(),
        attempts: Vec::new(),
    }
}

async fn reconcile(f: &Fixture) -> Reconciled {
    f.store.reconcile(&request(f).await).await.expect("reconcile")
}

async fn due_s(f: &Fixture) -> i64 {
    entry(f).await.expect("entry").due_s
}

async fn a_new_task_is_seeded_at_once(f: &Fixture) {
    assert_eq!(entry(f).await, None);
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
    let entry = entry(f).await.expect("entry");
    assert_eq!((entry.due_s, entry.every_s, entry.stopped), (NOW_S, 30, false));
    assert_eq!(entry.queue, queue("q"));
    assert_eq!(f.store.queue_names().await.expect("queue_names"), [queue("q")]);
}

async fn a_seeded_task_is_left_alone(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    for _ in 0..3 {
        assert_eq!(reconcile(f).await, Reconciled::Fine);
        f.pass(3);
    }
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    assert_eq!(due_s(f).await, NOW_S);
}

async fn a_delayed_copy_is_accepted_as_it_stands(f: &Fixture) {
    for n in 0..3 {
        let f = &f.sibling().await;
        delay(&f.store, &form(n), When::At(NOW_S + 17)).await;
        assert_eq!(reconcile(f).await, Reconciled::Seeded, "form {n}");
        assert_eq!(queued(&f.store, "q").await.len(), 0);
        assert_eq!(delayed(&f.store).await, [form(n)]);
        assert_eq!(due_s(f).await, NOW_S + 17);
    }
}

async fn a_queued_copy_is_accepted(f: &Fixture) {
    for n in 0..3 {
        let f = &f.sibling().await;
        fill(&f.store, "q", &[job(1), form(n), job(2)]).await;
        assert_eq!(reconcile(f).await, Reconciled::Seeded, "form {n}");
        assert_eq!(queued(&f.store, "q").await, [job(1), form(n), job(2)]);
        assert_eq!(reconcile(f).await, Reconciled::Fine);
    }
}

async fn a_running_copy_is_accepted(f: &Fixture) {
    for n in 0..3 {
        let f = &f.sibling().await;
        let mut instance = Instance::join(&f.store, "a", 2).await;
        fill(&f.store, "q", &[form(n)]).await;
        let claim = instance.claim_one("q").await;
        assert_eq!(reconcile(f).await, Reconciled::Seeded, "form {n}");
        f.pass(100);
        assert_eq!(reconcile(f).await, Reconciled::Fine, "it runs on, form {n}");
        assert_eq!(queued(&f.store, "q").await.len(), 0);
        instance.settle_one(&claim, Verdict::Done).await;
        assert_eq!(reconcile(f).await, Reconciled::Restored, "it ended without a tick, form {n}");
    }
}

async fn an_overdue_task_is_restored_after_its_grace(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.pass(9);
    assert_eq!(reconcile(f).await, Reconciled::Fine, "it may be on its way");
    f.pass(2);
    assert_eq!(reconcile(f).await, Reconciled::Restored);
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
    assert_eq!(reconcile(f).await, Reconciled::Fine, "once");
    assert_eq!(queued(&f.store, "q").await.len(), 1);
}

async fn a_restored_task_keeps_its_schedule(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.pass(70);
    assert_eq!(reconcile(f).await, Reconciled::Restored);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &tick(30))]).await, [0_usize; 0]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 90, 1)]);
    assert_eq!(due_s(f).await, NOW_S + 90);
}

async fn an_overdue_task_that_is_somewhere_is_left_alone(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    // No worker runs; the job waits in its queue long after its due time.
    f.pass(600);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert_eq!(queued(&f.store, "q").await.len(), 1);
    // Somebody ran it elsewhere and delayed it again, as an ActionHero worker does.
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    delay(&f.store, &form(1), When::At(NOW_S + 700)).await;
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(delayed(&f.store).await, [form(1)]);
}

async fn restoring_frees_leaked_locks(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &[gate(&job_lock(), 1000)]).await, Entered::Taken);
    // The claim is gone completely, but its locks are not.
    let record = instance.working().await.remove(0);
    assert!(f.store.force_clean(&claim.worker, Some(&record), None, &[]).await.expect("force_clean"));
    f.plant_lock(&queue_lock(), "true");
    f.pass(11);
    assert_eq!(reconcile(f).await, Reconciled::Restored);
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
    let held = locks(&f.store).await;
    assert!(!held.contains(&job_lock().as_str().to_owned()), "{held:?}");
    assert!(
        f.store.locks().await.expect("locks").locks.iter().all(|lock| lock.value != "true"),
        "the QueueLock is its own"
    );
    let again = Instance::join(&f.store, "b", 1).await.claim_one("q").await;
    assert_eq!(again.claim.payload, form(0));
}

async fn a_leaked_job_lock_is_freed(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let value = format!("{}:gone-0-1-0", NOW_S + 3600);
    f.plant_lock(&job_lock(), &value);
    let (_, held) = f.store.periodic(&[job_lock(), LockKey::job_lock("other", "q", "[]")]).await.expect("periodic");
    assert_eq!(held, [true, false]);
    assert_eq!(reconcile(f).await, Reconciled::Unlocked);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert_eq!(f.store.periodic(&[job_lock()]).await.expect("periodic").1, [false]);
    assert_eq!(queued(&f.store, "q").await.len(), 1, "the job itself is where it was");
}

async fn a_job_lock_of_a_running_job_stays(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &[gate(&job_lock(), 1000)]).await, Entered::Taken);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    f.pass(20);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert!(locks(&f.store).await.contains(&job_lock().as_str().to_owned()));
    // A worker that registered after the caller looked counts as well.
    let unaware = Reconcile { workers: Vec::new(), ..request(f).await };
    assert_eq!(f.store.reconcile(&unaware).await.expect("reconcile"), Reconciled::Fine);
    assert!(locks(&f.store).await.contains(&job_lock().as_str().to_owned()));
}

/// Reconciles over many handles at once.
async fn at_once(f: &Fixture) -> Vec<Reconciled> {
    let request = request(f).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, request) = (f.handle().await, request.clone());
        tasks.spawn(async move { store.reconcile(&request).await.expect("reconcile") });
    }
    tasks.join_all().await
}

async fn reconcilers_at_once_make_one_copy(f: &Fixture) {
    let results = at_once(f).await;
    assert_eq!(results.iter().filter(|one| **one == Reconciled::Seeded).count(), 1, "{results:?}");
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
}

async fn reconcilers_at_once_restore_one_copy(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    f.store.delete_queue(&queue("q")).await.expect("delete_queue");
    f.pass(60);
    let results = at_once(f).await;
    assert_eq!(results.iter().filter(|one| **one == Reconciled::Restored).count(), 1, "{results:?}");
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
}

async fn withdrawing_removes_every_form(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    fill(&f.store, "q", &[job(1), form(1), form(0), form(2), job(2)]).await;
    for n in 0..3 {
        delay(&f.store, &form(n), When::At(NOW_S + 5 + n as i64)).await;
    }
    delay(&f.store, &job(3), When::At(NOW_S + 5)).await;
    let forms: Vec<Bytes> = (0..3).map(form).collect();
    for _ in 0..2 {
        f.store.withdraw(&tick(30).task, &queue("q"), &forms).await.expect("withdraw");
        assert_eq!(entry(f).await, None);
        assert_eq!(queued(&f.store, "q").await, [job(1), job(2)]);
        assert_eq!(seconds(&f.store).await, [(NOW_S + 5, 1)], "seconds left empty are forgotten");
        assert_eq!(f.store.scheduled_at(&form(0)).await.expect("scheduled_at"), [0_i64; 0]);
    }
}

async fn withdrawing_leaves_others_alone(f: &Fixture) {
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let other = windlass::job::TaskName::new("other").expect("name");
    f.store.withdraw(&other, &queue("q"), &[Bytes::from_static(b"{}")]).await.expect("withdraw");
    assert!(entry(f).await.is_some());
    f.pass(60);
    assert_eq!(promote_all(&f.store, "q", 10).await, 0);
    assert_eq!(queued(&f.store, "q").await, [form(0)]);
}

async fn a_task_is_overdue_only_past_its_grace(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.pass(10);
    assert_eq!(reconcile(f).await, Reconciled::Fine, "its grace of ten seconds ends now");
    f.pass(1);
    assert_eq!(reconcile(f).await, Reconciled::Restored);
}

async fn a_copy_left_over_does_not_set_the_schedule_back(f: &Fixture) {
    delay(&f.store, &form(0), When::At(NOW_S + 50)).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    assert_eq!(due_s(f).await, NOW_S + 50);
    f.store.delete_delayed(&form(0)).await.expect("delete_delayed");
    delay(&f.store, &form(1), When::At(NOW_S + 7)).await;
    f.pass(61);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert_eq!(due_s(f).await, NOW_S + 50);
}

async fn of_several_delayed_copies_the_earliest_counts(f: &Fixture) {
    delay(&f.store, &form(0), When::At(NOW_S + 50)).await;
    delay(&f.store, &form(2), When::At(NOW_S + 20)).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    assert_eq!(due_s(f).await, NOW_S + 20);
}

async fn a_tick_that_waits_for_its_next_attempt_is_not_moved(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    let retry = Retry {
        keys: RetryKeys { counter: "resque-retry:clean".into(), failure: "failure-resque-retry:clean:".into() },
        last_error: Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![300_000],
        identity: claim.claim.identity.next_attempt(),
        last: Some(claim.failure()),
    };
    instance.settle(vec![claim.ticks(Verdict::Attempted(Box::new(retry)), &tick(30))]).await;
    let again_s = NOW_S + 300;
    assert_eq!(seconds(&f.store).await, [(again_s, 1)], "no other tick comes meanwhile");
    f.pass(40);
    assert_eq!(reconcile(f).await, Reconciled::Fine);
    assert_eq!(due_s(f).await, again_s);
    // It lies further ahead than the period, as what was written while a clock was ahead.
    for purpose in [Purpose::Look, Purpose::Boot, Purpose::Look] {
        let stale = Reconcile { stale_due_s: Some(again_s), purpose, ..request(f).await };
        assert_eq!(f.store.reconcile(&stale).await.expect("reconcile"), Reconciled::Fine, "{purpose:?}");
        assert_eq!((seconds(&f.store).await, due_s(f).await), (vec![(again_s, 1)], again_s), "{purpose:?}");
    }
    f.pass(260);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.claim.identity.attempt, 2);
    instance.settle(vec![claim.ticks(Verdict::Done, &tick(30))]).await;
    assert_eq!(seconds(&f.store).await, [(again_s + 30, 1)]);
    // A tick is moved from there.
    let ahead = Reconcile { tick: tick(20), stale_due_s: Some(again_s + 30), ..request(f).await };
    assert_eq!(f.store.reconcile(&ahead).await.expect("reconcile"), Reconciled::Moved);
    assert_eq!(seconds(&f.store).await, [(again_s + 20, 1)]);
}

async fn a_run_with_arguments_of_its_own_is_not_the_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{"all":true}]}"#)]).await;
    instance.claim_one("q").await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await, [form(0)], "the tick does not wait for it");
}

async fn a_run_that_was_written_again_is_the_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &[Bytes::from_static(br#"{"args": [ {} ], "class":"clean"}"#)]).await;
    instance.claim_one("q").await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

async fn a_job_lock_follows_the_claim_that_it_carries(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(reconcile(f).await, Reconciled::Seeded);
    fill(&f.store, "q", &[job(1)]).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    // Another task's run holds the lock of this name, and this task's own run holds none.
    assert_eq!(instance.enter(&claims[1], &[gate(&job_lock(), 1000)]).await, Entered::Taken);
    instance.settle_one(&claims[0], Verdict::Done).await;
    f.pass(12);
    assert_eq!(reconcile(f).await, Reconciled::Restored);
    assert!(locks(&f.store).await.contains(&job_lock().as_str().to_owned()), "its owner works");
    // The owner is gone and has not freed it, while a run of this task goes on.
    instance.settle_one(&claims[1], Verdict::Done).await;
    instance.claim_one("q").await;
    assert_eq!(reconcile(f).await, Reconciled::Unlocked);
}

/// Anybody may write entries, and each costs a look at its jobs.
#[tokio::test]
async fn of_tasks_that_nobody_defines_a_list_shows_some_and_counts_the_rest() {
    let f = Fixture::redis().await;
    let entries = (0..50).flat_map(|n| [format!("strange{n:02}"), format!("{} 3600 0 q", NOW_S + n)]);
    let command: Vec<_> = ["HSET".to_owned(), f.key("windlass:periodic")].into_iter().chain(entries).collect();
    f.redis_command(&command);
    let (admin, registry) = (f.store.narrow(), windlass::task::Registry::default());
    let list = |most| windlass::admin::periodic::list(&admin, &registry, NOW_S * 1000, most);
    for (most, shown, more) in [(10, 10, 40), (50, 50, 0)] {
        let (views, left) = list(most).await.expect("list");
        assert_eq!((views.len(), left), (shown, more));
        assert!(views.iter().all(|view| !view.defined && view.state == "due"));
    }
}
