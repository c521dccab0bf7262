//! Moving everything to another store: each item exactly once, even after interruptions.
//!
//! Longer than 400 lines because every step between two stores is repeated, refused and undone.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use windlass::admin::AdminError;
use windlass::admin::copy::{Copied, Undone, copy, undo};
use windlass::job::Identity;
use windlass::store::arrow::Arrow as _;
use windlass::store::effect::Verdict;
use windlass::store::inspection::{Pause, ReadPaused};
use windlass::store::layer::{AnyArrow, AnyReply, Layer, Next};
use windlass::store::moving::{
    Batch, Decline, Identify, LetGo, PutBack, ReadAside, RenewSource, SetAside, TakeInTarget, TakenIn, Target, Waiting,
};
use windlass::store::periodic::Reconciled;
use windlass::store::queueing::When;
use windlass::store::role::Whole;
use windlass::store::scheduling::Fire;
use windlass::store::{Store, StoreError};
use windlass::task::Registry;

use crate::faults::everything;
use crate::fixture::{Fixture, NOW_S};
use crate::instance::{Claimed, Instance};
use crate::look::{delay, delayed_at, fill, job, jobs, queued, seconds};
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

behaviours! {
    everything_that_waits_comes_over,
    many_queues_fill_few_batches,
    it_comes_over_between_engines,
    a_batch_is_taken_in_once,
    what_is_set_aside_is_offered_again,
    a_late_word_drops_no_newer_batch,
    who_a_job_is_comes_along,
    a_store_in_use_is_left_alone,
    equal_jobs_of_a_second_all_come_over,
    one_tick_is_enough,
    a_stopped_task_stays_stopped,
    a_source_that_fell_back_loses_nothing,
    a_source_that_fell_back_to_before_its_first_move_is_told,
    a_batch_of_an_earlier_version_is_taken_in_once,
    one_store_under_two_handles_is_known,
    what_is_set_aside_goes_to_no_other_store,
    what_is_set_aside_is_put_back_to_its_places,
    what_was_taken_in_is_not_put_back,
    an_interrupted_undo_loses_nothing,
    what_is_put_back_is_put_back_once,
    without_the_other_store_it_is_put_back,
    a_last_occurrence_that_is_none_stays_and_keeps_nothing_behind,
    very_many_entries_are_moved_in_bounded_batches,
    a_copy_ends_at_once_beside_one_the_other_way,
    of_two_copies_against_each_other_one_ends_and_one_moves_all,
    a_copy_back_after_a_copy_is_none_against_it,
}

async fn try_move(from: &Fixture, to: &Fixture) -> Result<Copied, AdminError> {
    copy(&from.store.narrow(), &to.store.narrow(), "there", &Registry::default(), |_| {}).await
}

pub(crate) async fn moved(from: &Fixture, to: &Fixture) -> Copied {
    try_move(from, to).await.expect("copy")
}

pub(crate) async fn undone(from: &Fixture, to: &Fixture) -> Undone {
    undo(&from.store.narrow(), Some(&to.store.narrow()), &Registry::default()).await.expect("undo")
}

/// The first step of a move to this store.
pub(crate) async fn set_aside_for(from: &Fixture, to: &Fixture, limit: usize) -> Batch {
    let id = to.store.run(Identify { fresh: "fresh".to_owned(), mark: None }).await.expect("identify").id;
    let target = Target { id, address: "there".to_owned() };
    from.store.run(SetAside { limit, target }).await.expect("set_aside").expect("a batch")
}

/// A store with items of every kind.
async fn filled(f: &Fixture) {
    fill(&f.store, "mail", &jobs(0..600)).await;
    fill(&f.store, "math", &[Bytes::from_static(b"{bad"), job(1)]).await;
    for n in 0..300 {
        delay(&f.store, &job(n), When::At(NOW_S + 10 + i64::from(n >= 200))).await;
    }
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "lost", &jobs(0..2)).await;
    let claims = instance.claim(&["lost"], &[1, 2]).await;
    instance.settle(claims.iter().map(|one| one.ends(one.failed())).collect()).await;
    f.store.leave(&instance.record).await.expect("leave");
    assert_eq!(reconcile(f, 60).await, Reconciled::Seeded);
    let fire = Fire { id: "report/daily".to_owned(), seen_s: None, last_s: NOW_S - 5, job: None };
    f.store.fire(&fire).await.expect("fire");
}

async fn check_moved(from: &Fixture, to: &Fixture) {
    assert_eq!(queued(&to.store, "mail").await, jobs(0..600));
    assert_eq!(queued(&to.store, "math").await, [Bytes::from_static(b"{bad"), job(1)]);
    assert_eq!(delayed_at(&to.store, NOW_S + 10).await, jobs(0..200));
    assert_eq!(delayed_at(&to.store, NOW_S + 11).await, jobs(200..300));
    assert_eq!(to.store.scheduled_at(&job(250)).await.expect("scheduled_at"), [NOW_S + 11]);
    assert_eq!(to.store.failed_count().await.expect("failed_count"), 2);
    assert_eq!(to.store.stats().await.expect("stats").failed, 2);
    assert_eq!(to.store.periodic(&[]).await.expect("periodic").0.len(), 1);
    let ids = ["report/daily".to_owned()];
    assert_eq!(to.store.last_fired(&ids).await.expect("last_fired"), [Some(NOW_S - 5)]);
    assert_eq!(from.store.last_fired(&ids).await.expect("last_fired"), [None]);
    assert_eq!(from.store.set_aside(10).await.expect("set_aside"), None);
    assert_eq!(from.store.scheduled_at(&job(250)).await.expect("scheduled_at"), [0_i64; 0]);
    assert_eq!(seconds(&from.store).await, []);
}

async fn everything_that_waits_comes_over(f: &Fixture) {
    filled(f).await;
    let to = f.sibling().await;
    let copied = moved(f, &to).await;
    assert_eq!((copied.queued, copied.delayed, copied.failed, copied.periodic), (603, 300, 2, 1));
    check_moved(f, &to).await;
    assert_eq!(moved(f, &to).await, Copied::default());
}

async fn a_last_occurrence_that_is_none_stays_and_keeps_nothing_behind(f: &Fixture) {
    filled(f).await;
    f.plant_occurrence("bad", "garbage");
    // A number that is no date.
    f.plant_occurrence("worse", "8640000000001");
    let to = f.sibling().await;
    moved(f, &to).await;
    check_moved(f, &to).await;
    assert_eq!(moved(f, &to).await, Copied::default());
    let ids = ["bad", "worse"].map(str::to_owned);
    ids.iter().for_each(|id| f.plant_occurrence(id, "5"));
    moved(f, &to).await;
    assert_eq!(to.store.last_fired(&ids).await.expect("last_fired"), [Some(5), Some(5)], "they were left in place");
}

async fn very_many_entries_are_moved_in_bounded_batches(f: &Fixture) {
    for n in 0..300 {
        f.plant_occurrence(&format!("report/{n}"), "5");
    }
    let to = f.sibling().await;
    assert_eq!(set_aside_for(f, &to, 100).await.items.len(), 100);
    moved(f, &to).await;
    let ids: Vec<_> = (0..300).map(|n| format!("report/{n}")).collect();
    assert_eq!(to.store.last_fired(&ids).await.expect("last_fired"), vec![Some(5); 300]);
}

#[tokio::test]
async fn entries_counters_and_keys_that_cannot_be_read_stay_and_keep_nothing_behind() {
    let f = Fixture::redis().await;
    filled(&f).await;
    let (periodic, schedules) = (f.key("windlass:periodic"), f.key("windlass:schedules"));
    f.redis_command(&["HSET", &periodic, "x", "garbage", "y", ""]);
    f.redis_command(&["SET", &f.key("stat:processed"), "1e400"]);
    let to = f.sibling().await;
    assert_eq!(moved(&f, &to).await.periodic, 1);
    check_moved(&f, &to).await;
    let mut left = f.redis_command(&["HGETALL", &periodic]).texts();
    left.sort();
    assert_eq!(left, ["", "garbage", "x", "y"]);
    assert_eq!(f.redis_command(&["GET", &f.key("stat:processed")]).texts(), ["1e400"]);
    f.redis_command(&["SET", &schedules, "x"]);
    fill(&f.store, "mail", &jobs(0..1)).await;
    assert_eq!(moved(&f, &to).await.queued, 1);
    assert_eq!(f.redis_command(&["GET", &schedules]).texts(), ["x"]);
}

/// A batch for each queue would take as many steps as there are queues.
async fn many_queues_fill_few_batches(f: &Fixture) {
    for n in 0..12 {
        fill(&f.store, &format!("q{n:02}"), &jobs(10 * n..10 * n + 2)).await;
    }
    delay(&f.store, &job(999), When::At(NOW_S + 5)).await;
    let (mut sizes, mut moved) = (Vec::new(), Vec::new());
    while let Some(batch) = f.store.set_aside(7).await.expect("set_aside") {
        sizes.push(batch.items.len());
        moved.extend(batch.items.into_iter().filter_map(|item| match item {
            Waiting::Queued { queue, payload, .. } => Some((queue.to_string(), payload)),
            _ => None,
        }));
        f.store.let_go(&batch.id).await.expect("let_go");
    }
    assert_eq!(sizes, [7, 7, 7, 3, 1]);
    // Of one queue the order stays, and all came.
    moved.sort_by(|(one, _), (other, _)| one.cmp(other));
    let all = (0..12).flat_map(|n| jobs(10 * n..10 * n + 2).into_iter().map(move |job| (format!("q{n:02}"), job)));
    assert_eq!(moved, all.collect::<Vec<_>>());
    assert_eq!(f.store.queues().await.expect("queues").queues.len(), 12);
}

async fn it_comes_over_between_engines(f: &Fixture) {
    filled(f).await;
    let (redis, sqlite) = (Fixture::redis().await, Fixture::sqlite().await);
    moved(f, &redis).await;
    check_moved(f, &redis).await;
    moved(&redis, &sqlite).await;
    check_moved(&redis, &sqlite).await;
    let back = Fixture::redis().await;
    moved(&sqlite, &back).await;
    check_moved(&sqlite, &back).await;
}

async fn a_batch_is_taken_in_once(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..5)).await;
    let to = f.sibling().await;
    let batch = f.store.set_aside(3).await.expect("set_aside").expect("a batch");
    assert_eq!(to.store.take_in(&batch, &[]).await.expect("take_in"), TakenIn::Yes);
    // The confirmation was lost: the same batch is sent again, after a restart of both.
    let again = f.handle().await.set_aside(100).await.expect("set_aside").expect("a batch");
    assert_eq!(again, batch);
    assert_eq!(to.handle().await.take_in(&again, &[]).await.expect("take_in"), TakenIn::Before);
    f.store.let_go(&again.id).await.expect("let_go");
    moved(f, &to).await;
    assert_eq!(queued(&to.store, "q").await, jobs(0..5));
}

async fn what_is_set_aside_is_offered_again(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..5)).await;
    let to = f.sibling().await;
    let batch = set_aside_for(f, &to, 2).await;
    assert_eq!(batch.items.len(), 2);
    assert_eq!(queued(&f.store, "q").await, jobs(2..5));
    assert_eq!(moved(f, &to).await.queued, 5);
    assert_eq!(queued(&to.store, "q").await, jobs(0..5));
}

async fn a_late_word_drops_no_newer_batch(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..4)).await;
    let first = f.store.set_aside(2).await.expect("set_aside").expect("a batch");
    f.store.let_go(&first.id).await.expect("let_go");
    let second = f.store.set_aside(2).await.expect("set_aside").expect("a batch");
    assert!(second.id.number > first.id.number);
    f.store.let_go(&first.id).await.expect("let_go");
    assert_eq!(f.store.set_aside(2).await.expect("set_aside"), Some(second));
}

async fn who_a_job_is_comes_along(f: &Fixture) {
    let (put_off, given_back) = (job(1), job(2));
    fill(&f.store, "q", &[put_off.clone(), given_back.clone()]).await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let identities: Vec<Identity> = claims.iter().map(|one| one.claim.identity.redelivered()).collect();
    let later = Verdict::Delayed { delay_ms: 5000, identity: identities[0].clone() };
    let back = Verdict::Requeued { identity: identities[1].clone() };
    instance.settle(vec![claims[0].ends(later), claims[1].ends(back)]).await;
    f.store.leave(&instance.record).await.expect("leave");
    let to = f.sibling().await;
    moved(f, &to).await;
    let mut other = Instance::join(&to.store, "b", 1).await;
    let claim = other.claim_one("q").await;
    assert_eq!((claim.claim.payload.clone(), &claim.claim.identity), (given_back, &identities[1]));
    let batch = to.store.set_aside(10).await.expect("set_aside").expect("a batch");
    assert!(
        matches!(&batch.items[..], [Waiting::Delayed { payload, identity: Some(identity), .. }]
            if *payload == put_off && *identity == identities[0]),
        "{batch:?}"
    );
}

async fn a_store_in_use_is_left_alone(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..2)).await;
    let instance = Instance::join(&f.store, "a", 1).await;
    let to = f.sibling().await;
    let refused = try_move(f, &to).await.expect_err("it is in use");
    assert!(refused.to_string().contains(&instance.record.name), "{refused}");
    assert_eq!(queued(&f.store, "q").await, jobs(0..2));
}

async fn equal_jobs_of_a_second_all_come_over(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 3).await;
    fill(&f.store, "q", &[job(1), job(1), job(1)]).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let later = |one: &Claimed| one.ends(Verdict::Delayed { delay_ms: 5000, identity: one.claim.identity.put_off() });
    instance.settle(claims.iter().map(later).collect()).await;
    f.store.leave(&instance.record).await.expect("leave");
    let to = f.sibling().await;
    let batch = set_aside_for(f, &to, 2).await;
    assert_eq!(batch.items.len(), 2);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [NOW_S + 5]);
    moved(f, &to).await;
    assert_eq!(delayed_at(&to.store, NOW_S + 5).await, [job(1), job(1), job(1)]);
    assert_eq!(f.store.scheduled_at(&job(1)).await.expect("scheduled_at"), [0_i64; 0]);
}

async fn one_tick_is_enough(f: &Fixture) {
    let tick = tick(60);
    let queue = tick.queue.as_str().to_owned();
    delay(&f.store, &tick.payload, When::At(NOW_S + 5)).await;
    fill(&f.store, &queue, std::slice::from_ref(&tick.payload)).await;
    let to = f.sibling().await;
    delay(&to.store, &tick.payload, When::At(NOW_S + 7)).await;
    while let Some(batch) = f.store.set_aside(10).await.expect("set_aside") {
        let once = vec![TakeInTarget { once: true, lock: None }; batch.items.len()];
        to.store.take_in(&batch, &once).await.expect("take_in");
        f.store.let_go(&batch.id).await.expect("let_go");
    }
    assert!(queued(&to.store, &queue).await.is_empty());
    assert_eq!(to.store.scheduled_at(&tick.payload).await.expect("scheduled_at"), [NOW_S + 7]);
}

async fn a_stopped_task_stays_stopped(f: &Fixture) {
    filled(f).await;
    f.plant_stopped(&tick(60));
    let to = f.sibling().await;
    filled(&to).await;
    moved(f, &to).await;
    let entries = to.store.periodic(&[]).await.expect("periodic").0;
    assert!(entries.iter().all(|entry| entry.stopped) && entries.len() == 1, "{entries:?}");
}

async fn a_source_that_fell_back_loses_nothing(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..600)).await;
    assert_eq!(moved(f, &to).await.queued, 600);
    f.plant_fall_back(2);
    // Equal jobs too: the digest of such a batch would be known.
    fill(&f.store, "q", &jobs(250..500)).await;
    fill(&f.store, "p", &jobs(600..700)).await;
    let copied = moved(f, &to).await;
    assert_eq!((copied.queued, copied.may_be_twice), (350, 350), "at most two batches, and no more than were moved");
    assert_eq!(queued(&to.store, "q").await, [jobs(0..600), jobs(250..500)].concat());
    assert_eq!(queued(&to.store, "p").await, jobs(600..700));
    // From now on it counts as another source.
    fill(&f.store, "p", &jobs(700..701)).await;
    assert_eq!(moved(f, &to).await.may_be_twice, 0);
    fill(&f.store, "p", &jobs(701..702)).await;
    let batch = set_aside_for(f, &to, 1).await;
    let renew = RenewSource { id: batch.id.clone(), fresh: "new".to_owned() };
    for _ in 0..2 {
        assert!(f.store.run(renew.clone()).await.expect("renew_source"), "repeated it says the same");
    }
    f.store.let_go(&batch.id).await.expect("let_go");
    assert_eq!(set_aside_for(f, &to, 1).await.id.source, "new", "the old name lets nothing go");
}

async fn a_source_that_fell_back_to_before_its_first_move_is_told(f: &Fixture) {
    let to = f.sibling().await;
    // A daemon was here, so that the store has its birth mark.
    let instance = Instance::join(&f.store, "a", 1).await;
    f.store.leave(&instance.record).await.expect("leave");
    fill(&f.store, "q", &jobs(0..3)).await;
    assert_eq!(moved(f, &to).await.may_be_twice, 0);
    f.plant_never_moved();
    fill(&f.store, "q", &jobs(0..3)).await;
    let copied = moved(f, &to).await;
    assert_eq!((copied.queued, copied.may_be_twice), (3, 3));
    fill(&f.store, "q", &jobs(3..4)).await;
    assert_eq!(moved(f, &to).await.may_be_twice, 0, "from now on it counts as another source");
}

async fn a_batch_of_an_earlier_version_is_taken_in_once(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let batch = set_aside_for(f, &to, 2).await;
    to.store.take_in(&batch, &[]).await.expect("take_in");
    f.plant_moves_without_tokens();
    to.plant_moves_without_tokens();
    let copied = moved(f, &to).await;
    assert_eq!((copied.queued, copied.may_be_twice), (3, 0));
    assert_eq!(queued(&to.store, "q").await, jobs(0..3));
}

async fn one_store_under_two_handles_is_known(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..3)).await;
    let again = f.handle().await;
    let refused = copy(&f.store.narrow(), &again.narrow(), "again", &Registry::default(), |_| {}).await;
    assert!(matches!(refused, Err(AdminError::SameStore { .. })), "{refused:?}");
    let refused = undo(&f.store.narrow(), Some(&again.narrow()), &Registry::default()).await;
    assert!(matches!(refused, Err(AdminError::SameStore { .. })), "{refused:?}");
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    assert_eq!(f.store.run(ReadAside).await.expect("read_aside"), None);
}

/// Beside each step of this name, a copy of an earlier version moves the other way, and looks at nothing.
struct Against {
    step: &'static str,
    from: Store<Whole>,
    to: Target,
}

#[async_trait]
impl Layer for Against {
    async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        if arrow.name() == self.step {
            let batch = self.from.run(SetAside { limit: 1, target: self.to.clone() }).await?.expect("a batch");
            self.from.run(LetGo { id: batch.id }).await?;
        }
        next.pass(arrow).await
    }
}

/// Gives a new store this id.
async fn named(f: Fixture, id: &str) -> Fixture {
    f.store.run(Identify { fresh: id.to_owned(), mark: None }).await.expect("identify");
    f
}

/// Moves from the store with this id to the other while a copy the other way has its turn at each step of this name.
async fn move_against((from, id): (&Fixture, &str), to: &Fixture, step: &'static str) -> Result<Copied, AdminError> {
    let target = Target { id: id.to_owned(), address: "here".to_owned() };
    let against = Against { step, from: to.handle().await, to: target };
    let store = from.handle().await.layered(Arc::new(against));
    copy(&store.narrow(), &to.store.narrow(), "there", &Registry::default(), |_| {}).await
}

async fn a_copy_ends_at_once_beside_one_the_other_way(f: &Fixture) {
    let (f, to) = (&named(f.sibling().await, "a").await, named(f.sibling().await, "b").await);
    fill(&f.store, "q", &jobs(0..3)).await;
    fill(&to.store, "back", &jobs(10..20)).await;
    f.store.run(Pause { queue: None }).await.expect("pause");
    let refused = move_against((f, "a"), &to, ReadPaused::NAME).await.expect_err("the other one was first").to_string();
    assert!(refused.contains("another copy moves jobs the other way"), "{refused}");
    let (here, there) = (f.store.describe(), to.store.describe());
    assert!(refused.contains(&format!("store copy {there} {here}")), "{refused}");
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    assert!(!to.store.run(ReadPaused).await.expect("read_paused").all, "it did nothing");
}

async fn of_two_copies_against_each_other_one_ends_and_one_moves_all(f: &Fixture) {
    for (here, there, goes_on) in [("a", "b", true), ("b", "a", false)] {
        let (from, to) = (&named(f.sibling().await, here).await, &named(f.sibling().await, there).await);
        fill(&from.store, "q", &jobs(0..600)).await;
        fill(&to.store, "back", &jobs(600..700)).await;
        let moved = move_against((from, here), to, LetGo::NAME).await;
        assert_eq!(from.store.run(ReadAside).await.expect("read_aside"), None, "no batch is left behind");
        let left = queued(&from.store, "q").await;
        if goes_on {
            assert_eq!((moved.expect("copy").queued, left.len()), (600, 0));
        } else {
            let refused = moved.expect_err("one of them ends").to_string();
            assert!(refused.contains("round and round"), "{refused}");
            assert_eq!(left, jobs(250..600), "what it moved stays moved");
        }
    }
}

async fn a_copy_back_after_a_copy_is_none_against_it(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    for _ in 0..3 {
        assert_eq!(moved(f, &to).await.queued, 3);
        assert_eq!(moved(&to, f).await.queued, 3);
    }
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
}

async fn what_is_set_aside_goes_to_no_other_store(f: &Fixture) {
    let (first, second) = (f.sibling().await, f.sibling().await);
    fill(&f.store, "q", &jobs(0..3)).await;
    let batch = set_aside_for(f, &first, 2).await;
    first.store.take_in(&batch, &[]).await.expect("take_in");
    let refused = try_move(f, &second).await.expect_err("the first store has it").to_string();
    assert!(refused.contains("2 items are set aside") && refused.contains("--undo"), "{refused}");
    let refused = undo(&f.store.narrow(), Some(&second.store.narrow()), &Registry::default()).await;
    assert!(matches!(refused, Err(AdminError::Busy { .. })), "{refused:?}");
    assert_eq!(queued(&second.store, "q").await, [""; 0]);
    assert_eq!(moved(f, &first).await.queued, 3);
    assert_eq!(queued(&first.store, "q").await, jobs(0..3));
    fill(&f.store, "q", &jobs(3..4)).await;
    assert_eq!(moved(f, &second).await.queued, 1, "when it is finished, any store may be named");
}

async fn what_is_set_aside_is_put_back_to_its_places(f: &Fixture) {
    filled(f).await;
    let (to, control) = (f.sibling().await, f.sibling().await);
    filled(&control).await;
    // Everything, batch by batch: each is put back, seen in its place, and moved after that.
    loop {
        let Some(batch) = f.store.set_aside(250).await.expect("set_aside") else { break };
        let aside = f.store.run(ReadAside).await.expect("read_aside").expect("it is set aside");
        assert_eq!((aside.items, &aside.target), (batch.items.len() as u64, &batch.target));
        assert_eq!(to.store.run(Decline { id: batch.id.clone() }).await.expect("decline"), TakenIn::Declined);
        assert!(f.store.run(PutBack { batch, targets: Vec::new() }).await.expect("put_back"));
        assert_eq!(everything(&f.store).await, everything(&control.store).await);
        let (ours, theirs) = (set_aside_for(f, &to, 250).await, set_aside_for(&control, &to, 250).await);
        assert_eq!(ours.items, theirs.items);
        f.store.let_go(&ours.id).await.expect("let_go");
        control.store.let_go(&theirs.id).await.expect("let_go");
    }
    assert_eq!(control.store.set_aside(1).await.expect("set_aside"), None);
}

async fn what_was_taken_in_is_not_put_back(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    assert_eq!(undone(f, &to).await, Undone::default(), "nothing is set aside");
    let batch = set_aside_for(f, &to, 2).await;
    to.store.take_in(&batch, &[]).await.expect("take_in");
    let undone = undone(f, &to).await;
    assert_eq!((undone.put_back, undone.moved_before), (0, 2));
    assert_eq!(queued(&f.store, "q").await, jobs(2..3));
    assert_eq!(queued(&to.store, "q").await, jobs(0..2));
    assert_eq!(f.store.run(ReadAside).await.expect("read_aside"), None);
}

async fn an_interrupted_undo_loses_nothing(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let batch = set_aside_for(f, &to, 2).await;
    to.store.run(Decline { id: batch.id.clone() }).await.expect("decline");
    // A copy that was under way meanwhile.
    assert_eq!(to.store.take_in(&batch, &[]).await.expect("take_in"), TakenIn::Declined);
    assert_eq!(moved(f, &to).await.queued, 3);
    assert_eq!(queued(&to.store, "q").await, jobs(0..3));
}

async fn what_is_put_back_is_put_back_once(f: &Fixture) {
    let to = f.sibling().await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let batch = set_aside_for(f, &to, 2).await;
    fill(&f.store, "q", &jobs(3..4)).await;
    let undone = undone(f, &to).await;
    assert_eq!((undone.put_back, undone.moved_before), (2, 0));
    let late = PutBack { batch, targets: Vec::new() };
    assert!(!f.store.run(late.clone()).await.expect("put_back"));
    assert_eq!(queued(&f.store, "q").await, jobs(0..4));
    let next = set_aside_for(f, &to, 1).await;
    assert!(!f.store.run(late).await.expect("put_back"), "another batch is set aside");
    assert_eq!(next.items.len(), 1);
    assert_eq!(moved(f, &to).await.queued, 4);
    assert_eq!(queued(&to.store, "q").await, jobs(0..4));
}

async fn without_the_other_store_it_is_put_back(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..3)).await;
    f.store.set_aside(2).await.expect("set_aside").expect("a batch");
    let undone = undo(&f.store.narrow(), None, &Registry::default()).await.expect("undo");
    assert_eq!(undone.put_back, 2);
    assert_eq!(queued(&f.store, "q").await, jobs(0..3));
    let to = f.sibling().await;
    assert_eq!(moved(f, &to).await.queued, 3);
}

/// Other programs may write into the records of moves: the queues are still shown.
#[tokio::test]
async fn a_foreign_record_of_moves_hides_no_queue() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..2)).await;
    f.redis_command(&["SET", &f.key("windlass:outbox"), "no list"]);
    let list = windlass::admin::queues::list(&f.store.narrow(), usize::MAX).await.expect("the list");
    assert_eq!((list.queues.len(), list.queues[0].length), (1, 2));
    let text = list.set_aside.expect("it is told").text;
    assert!(text.contains("windlass:outbox"), "{text}");
}

/// Other programs may write lists of jobs that no set names: they would be left in a store that counts as empty.
#[tokio::test]
async fn what_nobody_looks_at_is_moved_too() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &[job(0)]).await;
    let push = |key: &str, job: &Bytes| drop(f.redis_command(&[b"RPUSH", f.key(key).as_bytes(), job]));
    for n in 1..4 {
        push("queue:hidden", &job(n));
        push("delayed:soon", &job(10 + n));
    }
    f.redis_command(&["SET", &f.key("queue:text"), "no list"]);
    f.redis_command(&["RPUSH", &f.key("queuelist"), "no queue"]);
    let due = (NOW_S + 7).to_string();
    f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), &due, "soon", "+inf", "never"]);
    let mut moved = Vec::new();
    while let Some(batch) = f.store.set_aside(2).await.expect("set_aside") {
        moved.extend(batch.items.into_iter().map(|item| match item {
            Waiting::Queued { queue, payload, .. } => (queue.to_string(), payload),
            Waiting::Delayed { second, payload, .. } => (second.to_string(), payload),
            other => panic!("{other:?}"),
        }));
        f.store.let_go(&batch.id).await.expect("let_go");
    }
    let queued = (1..4).map(|n| ("hidden".to_owned(), job(n)));
    let delayed = (11..14).map(|n| (due.clone(), job(n)));
    let all: Vec<_> = std::iter::once(("q".to_owned(), job(0))).chain(delayed).chain(queued).collect();
    assert_eq!(moved, all);
    assert_eq!(f.redis_command(&["GET", &f.key("queue:text")]).texts(), ["no list"]);
}
