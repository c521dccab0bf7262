//! What is known of a stopped task goes to another store with it.

use windlass::admin::copy::Copied;
use windlass::store::effect::{Next, Occurrence, Occurrences, Tick, Verdict};
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{promote_all, seconds};
use crate::moving::{moved, set_aside_for, undone};
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

behaviours! {
    what_a_stopped_task_ran_last_comes_along,
}

/// A task of a calendar that ran for this second, and was stopped then.
async fn stopped_after(f: &Fixture, ran_s: i64) -> Tick {
    let after = move |second| {
        let occurrence = |due_s: i64| Occurrence { due_s, second: due_s };
        [ran_s, ran_s + 3600].into_iter().find(|due_s| *due_s > second).map(occurrence)
    };
    let tick = Tick { next: Next::At { calendar: Occurrences::new(after) }, ..tick(1) };
    f.clock.set((ran_s - 5) * 1000);
    start(f, &tick).await;
    let mut instance = Instance::join(&f.store, "s", 1).await;
    f.pass(5);
    promote_all(&f.store, "q", 10).await;
    let claim = instance.claim_one("q").await;
    instance.settle(vec![claim.ticks(Verdict::Done, &tick)]).await;
    f.store.leave(&instance.record).await.expect("leave");
    f.store.stop(&tick.task, &tick.queue, std::slice::from_ref(&tick.payload)).await.expect("stop");
    tick
}

async fn start(f: &Fixture, tick: &Tick) -> Reconciled {
    let reconcile = Reconcile {
        forms: vec![tick.payload.clone()],
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: Vec::new(),
        purpose: Purpose::Start,
        stale_due_s: None,
        tick: tick.clone(),
    };
    f.store.reconcile(&reconcile).await.expect("reconcile")
}

/// Does what the task ran last come again, if it is started while the clock is behind that?
async fn comes_again(f: &Fixture, tick: &Tick, ran_s: i64) -> bool {
    f.clock.set((ran_s - 100) * 1000);
    start(f, tick).await;
    seconds(&f.store).await.iter().any(|(second, _)| *second == ran_s)
}

async fn what_a_stopped_task_ran_last_comes_along(f: &Fixture) {
    let ran_s = NOW_S + 10;
    let (there, back) = (f.sibling().await, f.sibling().await);
    // Into a store without the task, and into one where it is stopped as well, having run at another time.
    let tick = Box::pin(stopped_after(f, ran_s)).await;
    Box::pin(stopped_after(&back, NOW_S - 5000)).await;
    for (from, to) in [(f, &there), (&there, &back)] {
        assert_eq!(Box::pin(moved(from, to)).await.periodic, 1);
        assert_eq!(Box::pin(moved(from, to)).await, Copied::default(), "nothing is left");
    }
    assert!(!Box::pin(comes_again(&back, &tick, ran_s)).await);
    // What is put back is as it was, and with the other engine in between, too.
    let (other, last) = match f.place {
        Place::Redis { .. } => (Fixture::sqlite().await, Fixture::redis().await),
        Place::Sqlite { .. } => (Fixture::redis().await, Fixture::sqlite().await),
    };
    let tick = Box::pin(stopped_after(&other, ran_s)).await;
    Box::pin(set_aside_for(&other, &last, 10)).await;
    assert_eq!(Box::pin(undone(&other, &last)).await.put_back, 1);
    Box::pin(moved(&other, &last)).await;
    assert!(!Box::pin(comes_again(&last, &tick, ran_s)).await);
}
