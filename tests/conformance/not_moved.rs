//! What waits for longer than a period is not taken for a tick that was written while a clock was ahead, and stays where it is.

use bytes::Bytes;
use windlass::job::Args;
use windlass::plugin::chain::Chain;
use windlass::scheduler::failures::Bulkheads;
use windlass::scheduler::periodic::{self, CheckedTasks};
use windlass::store::effect::{Gate, Retry, RetryKeys, Tick, Verdict};
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::queueing::{Entered, When};

use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{delay, fill, promote_all, queued, seconds};
use crate::scheduler::Scheduler;
use crate::support::verbs::Verbs as _;
use crate::tick::{entry, tick};

behaviours! {
    a_tick_that_a_job_lock_put_off_for_longer_than_its_period,
    what_another_program_put_off_until_its_next_attempt,
    a_run_that_waits_beside_the_ticks_of_a_task_with_overlap,
    a_run_that_waits_beside_the_ticks_is_no_tick,
}

const LOCKED: &str = r#"
[[task]]
name = "clean"
queue = "q"
frequency = "20s"
plugins = ["JobLock"]
plugin_options = { JobLock = { enqueue_timeout = "90s" } }
run = { builtin = "noop" }
"#;

async fn enter(instance: &mut Instance, scheduler: &Scheduler, claim: &Claimed) -> Entered {
    let registry = scheduler.context.registry();
    let chain = Chain::of(registry.get("clean").expect("a task"));
    let gates = chain.gates(&claim.claim.queue, &Args::periodic(), &claim.claim.identity);
    instance.enter_tick(claim, &gates).await.0
}

async fn a_tick_that_a_job_lock_put_off_for_longer_than_its_period(f: &Fixture) {
    let scheduler = Scheduler::of(f, "a", LOCKED).await;
    let mut instance = Instance::join(&f.store, "i", 2).await;
    let (mut bulkheads, mut checked) = (Bulkheads::default(), CheckedTasks::default());
    periodic::reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
    let runs = instance.claim_one("q").await;
    assert_eq!(enter(&mut instance, &scheduler, &runs).await, Entered::Taken);
    // Somebody else wants a run of it meanwhile: it waits until the present one has ended, and no other tick comes.
    fill(&f.store, "q", std::slice::from_ref(&runs.claim.payload)).await;
    let waits = instance.claim(&["q"], &[2]).await.remove(0);
    assert_eq!(enter(&mut instance, &scheduler, &waits).await, Entered::PutBack { plugin: "JobLock" });
    let registry = scheduler.context.registry();
    let chain = Chain::of(registry.get("clean").expect("a task"));
    let lock = chain.job_lock(&runs.claim.queue, &Args::periodic()).expect("a lock").0;
    let ended = windlass::store::queueing::Settlement {
        free: vec![lock],
        ..runs.ticks(Verdict::Done, &chain.tick().expect("a tick"))
    };
    assert_eq!(instance.settle(vec![ended]).await, [0_usize; 0]);
    let stands = seconds(&f.store).await;
    assert_eq!(stands.len(), 1);
    assert!(stands[0].0 >= NOW_S + 90, "{stands:?}");
    for passes in [1, 20, 20, 20] {
        f.pass(passes);
        // An instance that starts looks, and looks again.
        let mut checked = CheckedTasks::default();
        for _ in 0..2 {
            periodic::reconcile(&scheduler.context, &mut bulkheads, &mut checked).await.expect("reconcile");
        }
        assert_eq!((seconds(&f.store).await, queued(&f.store, "q").await.len()), (stands.clone(), 0), "{passes}");
    }
    assert_eq!(scheduler.told(), [""; 0], "no clock was set");
    f.pass(40);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(instance.claim_one("q").await.claim.identity, waits.claim.identity);
}

fn form() -> Bytes {
    Bytes::from_static(br#"{"class":"clean","queue":"q","args":[{}]}"#)
}

fn keys() -> RetryKeys {
    RetryKeys { counter: "resque-retry:clean".into(), failure: "failure-resque-retry:clean:".into() }
}

fn look(beside: bool) -> Reconcile {
    Reconcile {
        tick: Tick { beside, ..tick(30) },
        forms: vec![form()],
        queue_lock: None,
        job_lock: None,
        grace_s: 3,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: vec![keys()],
        purpose: Purpose::Look,
        stale_due_s: None,
    }
}

/// Fails the present run, so that its next attempt comes after so many seconds.
async fn fail(instance: &mut Instance, delay_s: u64) {
    let claim = instance.claim_one("q").await;
    let retry = Retry {
        keys: keys(),
        last_error: Bytes::from_static(b"{}"),
        attempts: 5,
        delays_ms: vec![delay_s * 1000],
        identity: claim.claim.identity.next_attempt(),
        last: Some(claim.failure()),
    };
    instance.settle_one(&claim, Verdict::Attempted(Box::new(retry))).await;
}

/// Of that no identity tells, only what Retry keeps.
async fn what_another_program_put_off_until_its_next_attempt(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(f.store.reconcile(&look(false)).await.expect("reconcile"), Reconciled::Seeded);
    fail(&mut instance, 500).await;
    delay(&f.store, &form(), When::At(NOW_S + 300)).await;
    f.pass(40);
    assert_eq!(f.store.reconcile(&look(false)).await.expect("reconcile"), Reconciled::Fine);
    let due_s = entry(f).await.expect("entry").due_s;
    assert_eq!(due_s, NOW_S + 300);
    let stale = Reconcile { stale_due_s: Some(due_s), ..look(false) };
    assert_eq!(f.store.reconcile(&stale).await.expect("reconcile"), Reconciled::Fine);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 300, 1), (NOW_S + 500, 1)]);
    // Without Retry the same is a tick.
    let stale = Reconcile { attempts: Vec::new(), ..stale };
    assert_eq!(f.store.reconcile(&stale).await.expect("reconcile"), Reconciled::Moved);
    assert_eq!(
        seconds(&f.store).await,
        [(NOW_S + 70, 1), (NOW_S + 500, 1)],
        "the tick, and not what waits to run again"
    );
}

/// Somebody wants a run now, and a clock is set back: the ticks move, and in whatever second they stand with it, it stays.
async fn a_run_that_waits_beside_the_ticks_of_a_task_with_overlap(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(f.store.reconcile(&look(true)).await.expect("reconcile"), Reconciled::Seeded);
    fail(&mut instance, 300).await;
    assert_eq!(seconds(&f.store).await, [(NOW_S + 300, 1)]);
    delay(&f.store, &form(), When::At(NOW_S + 30)).await;
    let now = Reconcile { purpose: Purpose::Run, attempts: Vec::new(), ..look(true) };
    assert_eq!(f.store.reconcile(&now).await.expect("reconcile"), Reconciled::Started);
    assert_eq!((seconds(&f.store).await, queued(&f.store, "q").await.len()), (vec![(NOW_S + 300, 1)], 1));
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.claim.identity.attempt, 1, "it is another job");
    instance.settle_one(&claim, Verdict::Done).await;
    // The entry is overdue, and its tick is nowhere.
    f.pass(40);
    assert_eq!(f.store.reconcile(&look(true)).await.expect("reconcile"), Reconciled::Restored);
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.pass(260);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(instance.claim_one("q").await.claim.identity.attempt, 2, "it was not moved, and is who it was");
}

/// Its task goes on as if it did not wait, also if both wait for the same second.
async fn a_run_that_waits_beside_the_ticks_is_no_tick(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    assert_eq!(f.store.reconcile(&look(true)).await.expect("reconcile"), Reconciled::Seeded);
    fail(&mut instance, 30).await;
    let claim = {
        fill(&f.store, "q", &[form()]).await;
        instance.claim_one("q").await
    };
    let next = [Gate::NextTick { tick: look(true).tick }];
    assert_eq!(instance.enter_tick(&claim, &next).await.0, Entered::Taken);
    assert_eq!((seconds(&f.store).await, entry(f).await.expect("entry").due_s), (vec![(NOW_S + 30, 2)], NOW_S + 30));
    assert_eq!(instance.enter_tick(&claim, &next).await.0, Entered::Taken);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 2)], "one next tick");
    instance.settle_one(&claim, Verdict::Done).await;
    // Overdue, it is found beside the other.
    f.pass(36);
    assert_eq!(f.store.reconcile(&look(true)).await.expect("reconcile"), Reconciled::Fine);
    assert_eq!(entry(f).await.expect("entry").due_s, NOW_S + 30);
    // It moves alone.
    let stale = Reconcile { stale_due_s: Some(NOW_S + 30), attempts: Vec::new(), ..look(true) };
    assert_eq!(f.store.reconcile(&stale).await.expect("reconcile"), Reconciled::Moved);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 30, 1), (NOW_S + 66, 1)]);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(instance.claim_one("q").await.claim.identity.attempt, 2);
}
