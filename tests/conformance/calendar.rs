//! The next tick of a periodic task that follows a calendar.

use windlass::store::effect::{Gate, Next, Occurrence, Occurrences, Tick, Verdict};
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::queueing::Entered;

use crate::fixture::{Fixture, NOW_S};
use crate::instance::Instance;
use crate::look::{counters, delayed_at, promote_all, queued, seconds};
use crate::support::verbs::Verbs as _;
use crate::tick::{end, entry, reconcile, tick};

behaviours! {
    a_calendar_waits_for_its_first_occurrence,
    a_calendar_goes_from_occurrence_to_occurrence,
    a_calendar_skips_no_occurrence_that_is_less_than_a_second_late,
    a_tick_that_ran_does_not_come_again_when_the_clock_is_set_back_a_little,
    what_ran_is_remembered_if_the_next_tick_is_not_known,
    a_tick_that_ran_is_not_restored_when_no_later_occurrence_is_known,
    with_overlap_a_run_without_a_known_next_tick_is_not_restored_at_its_end,
    a_tick_of_an_old_calendar_is_moved,
    a_tick_that_comes_too_late_is_dropped_with_the_next,
    a_run_that_people_ask_for_is_never_too_late,
    a_tick_that_waits_is_not_too_late_when_people_ask_for_it,
    with_overlap_the_next_tick_is_written_when_a_run_begins,
}

/// The task of the tests on a calendar: due every ten seconds, each job delayed by one more.
fn calendar_tick(from_s: i64) -> Tick {
    let occurrence = move |n: i64| Occurrence { due_s: from_s + 10 * n, second: from_s + 10 * n + 1 };
    let after = move |second| (-3..6).map(occurrence).find(|occurrence| occurrence.due_s > second);
    Tick { next: Next::At { calendar: Occurrences::new(after) }, ..tick(1) }
}

/// Reconciles the task on its calendar.
async fn on_calendar(f: &Fixture, purpose: Purpose, stale_due_s: Option<i64>) -> Reconciled {
    let tick = calendar_tick(NOW_S);
    let request = Reconcile {
        forms: vec![tick.payload.clone()],
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: f.store.registered().await.expect("registered").into_iter().map(|one| one.worker).collect(),
        purpose,
        stale_due_s,
        silent: Vec::new(),
        attempts: Vec::new(),
        tick,
    };
    f.store.reconcile(&request).await.expect("reconcile")
}

async fn due(f: &Fixture) -> i64 {
    entry(f).await.expect("entry").due_s
}

async fn a_calendar_waits_for_its_first_occurrence(f: &Fixture) {
    assert_eq!(on_calendar(f, Purpose::Look, None).await, Reconciled::Seeded);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
    assert_eq!(delayed_at(&f.store, NOW_S + 11).await, [tick(1).payload], "the jitter delays, the entry is exact");
    let entry = entry(f).await.expect("entry");
    assert_eq!((entry.due_s, entry.every_s), (NOW_S + 10, 0));
    assert_eq!(on_calendar(f, Purpose::Look, None).await, Reconciled::Fine);
}

async fn a_calendar_goes_from_occurrence_to_occurrence(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (run_s, next) in [(1, 20), (12, 40), (0, 50)] {
        let now_s = due(f).await + 1;
        f.clock.set(now_s * 1000);
        promote_all(&f.store, "q", 10).await;
        let claim = instance.claim_one("q").await;
        f.pass(run_s);
        let tick = calendar_tick(NOW_S);
        assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &tick)]).await, [0_usize; 0]);
        assert_eq!(due(f).await, NOW_S + next);
        assert_eq!(delayed_at(&f.store, NOW_S + next + 1).await.len(), 1);
    }
}

async fn a_calendar_skips_no_occurrence_that_is_less_than_a_second_late(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (late_ms, next) in [(999, 20), (1000, 40)] {
        f.clock.set((due(f).await + 1) * 1000);
        promote_all(&f.store, "q", 10).await;
        let claim = instance.claim_one("q").await;
        f.clock.set((due(f).await + 10) * 1000 + late_ms);
        assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &calendar_tick(NOW_S))]).await, [0_usize; 0]);
        assert_eq!(due(f).await, NOW_S + next);
        assert_eq!(delayed_at(&f.store, NOW_S + next + 1).await.len(), 1, "the jitter delays it");
    }
}

async fn a_tick_that_ran_does_not_come_again_when_the_clock_is_set_back_a_little(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for (back_s, next) in [(9, 20), (12, 30)] {
        f.clock.set((due(f).await + 1) * 1000);
        promote_all(&f.store, "q", 10).await;
        let claim = instance.claim_one("q").await;
        f.pass(-back_s);
        assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &calendar_tick(NOW_S))]).await, [0_usize; 0]);
        assert_eq!((due(f).await, entry(f).await.expect("entry").last_s), (NOW_S + next, Some(NOW_S + next - 10)));
    }
}

async fn what_ran_is_remembered_if_the_next_tick_is_not_known(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    f.pass(11);
    promote_all(&f.store, "q", 10).await;
    let claim = instance.claim_one("q").await;
    f.pass(-7200);
    // It knows no occurrence after the one that ran.
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &calendar_tick(NOW_S - 500))]).await, [0_usize; 0]);
    let ran = entry(f).await.expect("entry");
    assert_eq!((ran.due_s, ran.last_s, seconds(&f.store).await), (NOW_S + 10, Some(NOW_S + 10), Vec::new()));
    f.pass(7200 + 60);
    assert_eq!(on_calendar(f, Purpose::Look, None).await, Reconciled::Fine, "it is not restored, because it ran");
    f.clock.set((NOW_S + 12) * 1000);
    assert_eq!(on_calendar(f, Purpose::Look, Some(NOW_S + 10)).await, Reconciled::Moved);
    assert_eq!((queued(&f.store, "q").await.len(), due(f).await), (0, NOW_S + 20));
}

/// As when the clock was set forward between the choice of the occurrences and the step.
async fn a_tick_that_ran_is_not_restored_when_no_later_occurrence_is_known(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let behind = calendar_tick(NOW_S - 500);
    for next in [30, 50] {
        f.clock.set((due(f).await + 1) * 1000);
        promote_all(&f.store, "q", 10).await;
        let claim = instance.claim_one("q").await;
        assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &behind)]).await, [0_usize; 0]);
        assert_eq!((seconds(&f.store).await, entry(f).await), (Vec::new(), None));
        f.pass(10);
        assert_eq!(on_calendar(f, Purpose::Look, None).await, Reconciled::Seeded);
        assert_eq!((queued(&f.store, "q").await.len(), due(f).await), (0, NOW_S + next));
        assert_eq!(delayed_at(&f.store, NOW_S + next + 1).await.len(), 1);
    }
}

async fn with_overlap_a_run_without_a_known_next_tick_is_not_restored_at_its_end(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    f.pass(11);
    promote_all(&f.store, "q", 10).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    let next = [Gate::NextTick { tick: calendar_tick(NOW_S - 500) }];
    assert_eq!(instance.enter(&claim, &next).await, Entered::Taken);
    f.pass(1);
    on_calendar(f, Purpose::Look, None).await;
    instance.settle_one(&claim, Verdict::Done).await;
    f.pass(10);
    assert_eq!(on_calendar(f, Purpose::Look, None).await, Reconciled::Seeded);
    assert_eq!((queued(&f.store, "q").await.len(), due(f).await), (0, NOW_S + 30));
}

async fn a_tick_of_an_old_calendar_is_moved(f: &Fixture) {
    assert_eq!(reconcile(f, 3600).await, Reconciled::Seeded);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 3600).await;
    assert_eq!(on_calendar(f, Purpose::Boot, Some(NOW_S)).await, Reconciled::Fine, "it is another second by now");
    assert_eq!(on_calendar(f, Purpose::Boot, Some(NOW_S + 3600)).await, Reconciled::Moved);
    assert_eq!(delayed_at(&f.store, NOW_S + 11).await, [tick(1).payload]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 11, 1)]);
    assert_eq!(due(f).await, NOW_S + 10);
}

/// Drops ticks that are older.
fn fresh(max_age_s: u64) -> Gate {
    Gate::Fresh { plugin: "missed", max_age_s, tick: calendar_tick(NOW_S), free: Vec::new(), retry: None }
}

async fn a_run_that_people_ask_for_is_never_too_late(f: &Fixture) {
    let (mut instance, tick) = (Instance::join(&f.store, "a", 1).await, calendar_tick(NOW_S));
    on_calendar(f, Purpose::Look, None).await;
    // It waits for longer than ticks may, is given back, and waits again.
    assert_eq!(on_calendar(f, Purpose::Run, None).await, Reconciled::Started);
    for _ in 0..2 {
        f.pass(15);
        let claim = instance.claim_one("q").await;
        assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Taken);
        instance.settle_one(&claim, claim.requeued()).await;
    }
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.settle(vec![claim.ticks(Verdict::Done, &tick)]).await, [0_usize; 0]);
    assert_eq!(due(f).await, NOW_S + 30, "and then ticks come again");
    f.pass(30);
    promote_all(&f.store, "q", 10).await;
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Dropped { plugin: "missed" });
    // Nor does it matter for how long the task was stopped.
    f.store.stop(&tick.task, &tick.queue, std::slice::from_ref(&tick.payload)).await.expect("stop");
    f.pass(86_400);
    assert_eq!(on_calendar(f, Purpose::Run, None).await, Reconciled::Started);
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Taken);
}

async fn a_tick_that_waits_is_not_too_late_when_people_ask_for_it(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    on_calendar(f, Purpose::Look, None).await;
    for begun in [false, true] {
        f.clock.set((due(f).await + 25) * 1000);
        promote_all(&f.store, "q", 10).await;
        let mut claim = None;
        if begun {
            claim = Some(instance.claim_one("q").await);
            assert_eq!(on_calendar(f, Purpose::Run, None).await, Reconciled::Runs);
        } else {
            assert_eq!(on_calendar(f, Purpose::Run, None).await, Reconciled::Waits);
        }
        let claim = match claim {
            Some(claim) => claim,
            None => instance.claim_one("q").await,
        };
        assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Taken);
        let ticks = vec![claim.ticks(Verdict::Done, &calendar_tick(NOW_S))];
        assert_eq!(instance.settle(ticks).await, [0_usize; 0]);
    }
}

async fn a_tick_that_comes_too_late_is_dropped_with_the_next(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    f.pass(25);
    promote_all(&f.store, "q", 10).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    let again = f.store.working(&instance.record.workers()).await.expect("working");
    assert!(again[0].is_some());
    assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Dropped { plugin: "missed" });
    assert_eq!((due(f).await, delayed_at(&f.store, NOW_S + 31).await.len()), (NOW_S + 30, 1));
    assert_eq!(counters(&f.store).await, (0, 0));
    f.pass(10);
    promote_all(&f.store, "q", 10).await;
    let claim = instance.claim_one("q").await;
    assert_eq!(instance.enter(&claim, &[fresh(14)]).await, Entered::Taken);
}

async fn with_overlap_the_next_tick_is_written_when_a_run_begins(f: &Fixture) {
    on_calendar(f, Purpose::Look, None).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let next = [Gate::NextTick { tick: calendar_tick(NOW_S) }];
    f.pass(11);
    promote_all(&f.store, "q", 10).await;
    let one = instance.claim_one("q").await;
    assert_eq!(instance.enter(&one, &next).await, Entered::Taken);
    assert_eq!(delayed_at(&f.store, NOW_S + 21).await.len(), 1);
    // Redelivered, it finds that the tick is there.
    instance.settle_one(&one, one.requeued()).await;
    let one = instance.claim_one("q").await;
    assert_eq!(instance.enter(&one, &next).await, Entered::Taken);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 21, 1)]);
    f.pass(10);
    promote_all(&f.store, "q", 10).await;
    let two = instance.claim(&["q"], &[2]).await.remove(0);
    assert_eq!(instance.enter(&two, &next).await, Entered::Taken, "while the first goes on");
    assert_eq!(seconds(&f.store).await, [(NOW_S + 31, 1)]);
}
