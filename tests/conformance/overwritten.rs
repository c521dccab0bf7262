//! What another program writes in the place of a periodic task's second, stamps or entry: the task ticks all the same, and what
//! stands there is told with what to type.

use std::sync::Arc;

use windlass::clock::Clock;
use windlass::event::Bus;
use windlass::store::effect::{Next, Occurrence, Occurrences, Tick, Verdict};
use windlass::store::findings::Findings;
use windlass::store::periodic::{Purpose, Reconcile, Reconciled};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::{Store, TimeSource};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::Instance;
use crate::look::{assert_named_once, delayed_at, promote_all, queued, seconds};
use crate::support::verbs::Verbs as _;
use crate::tick::{end, entry, reconcile, tick};

fn stamps(f: &Fixture) -> String {
    f.key(&format!("timestamps:{}", String::from_utf8_lossy(&tick(30).payload)))
}

fn second(f: &Fixture, second: i64) -> String {
    f.key(&format!("delayed:{second}"))
}

/// Writes the entry of the task as any program may.
fn write_entry(f: &Fixture, entry: &str) {
    f.redis_command(&["HSET", &f.key("windlass:periodic"), "clean", entry]);
}

fn look(tick: Tick) -> Reconcile {
    Reconcile {
        forms: vec![tick.payload.clone()],
        queue_lock: None,
        job_lock: None,
        grace_s: 5,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: Vec::new(),
        purpose: Purpose::Look,
        stale_due_s: None,
        tick,
    }
}

#[tokio::test]
async fn a_tick_goes_to_the_next_free_second_and_its_schedule_stays() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    for at in 30..33 {
        f.redis_command(&["SET", &second(&f, NOW_S + at), "x"]);
    }
    let reply = instance.settlements(vec![claim.ticks(Verdict::Done, &tick(30))]).await;
    assert_eq!(delayed_at(&f.store, NOW_S + 33).await, [tick(30).payload]);
    assert_eq!(entry(&f).await.expect("entry").due_s, NOW_S + 30, "its own time");
    let told: Vec<String> = reply.findings.iter().map(ToString::to_string).collect();
    let key = second(&f, NOW_S + 30);
    assert!(told.len() == 1 && told[0].contains(&format!("RENAMENX {key} {key}.aside")), "once: {told:?}");
    f.pass(33);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 30).await;
    assert_eq!(delayed_at(&f.store, NOW_S + 60).await, [tick(30).payload], "the schedule is kept");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_written_anew_by_the_next_tick() {
    for junk in ["junk", "", "soon 30 0 q", "99999999999999999999 30 0 q", "5 99999999999999 0 q"] {
        let f = Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
        let claim = instance.claim_one("q").await;
        write_entry(&f, junk);
        f.redis_command(&["SET", &second(&f, NOW_S + 30), "x"]);
        let reply = instance.settlements(vec![claim.ticks(Verdict::Done, &tick(30))]).await;
        assert_eq!(seconds(&f.store).await, [(NOW_S + 31, 1)], "{junk:?}");
        let told = format!("{:?}", reply.findings);
        assert!(told.contains("windlass:periodic clean") && told.contains("windlass periodic stop clean"), "{told}");
        assert_eq!(entry(&f).await.map(|entry| (entry.due_s, entry.every_s)), Some((NOW_S + 30, 30)), "{junk:?}");
    }
}

#[tokio::test]
async fn a_task_whose_job_and_entry_were_overwritten_is_seeded_again() {
    for junk in ["junk", "99999999999999999999 30 0 q"] {
        let f = Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
        let claim = instance.claim_one("q").await;
        end(&mut instance, &claim, 30).await;
        f.redis_command(&["SET", &second(&f, NOW_S + 30), "x"]);
        write_entry(&f, junk);
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
        let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
        let store = RedisStore::connect_with(url, &Default::default(), namespace, time, Findings::new(bus)).await;
        let store: Store<Whole> = store.expect("it opens").into();
        assert_eq!(store.run(look(tick(30))).await.expect("reconcile"), Reconciled::Seeded, "{junk}");
        assert_eq!(queued(&f.store, "q").await, [tick(30).payload]);
        let key = second(&f, NOW_S + 30);
        assert_named_once(&listeners[0], &[&format!("RENAMENX {key} {key}.aside")]);
        assert_eq!(store.run(look(tick(30))).await.expect("reconcile"), Reconciled::Fine);
        let claim = instance.claim_one("q").await;
        end(&mut instance, &claim, 30).await;
        assert_eq!(seconds(&f.store).await.last(), Some(&(NOW_S + 31, 1)));
    }
}

#[tokio::test]
async fn a_lost_job_is_restored_beside_what_stands_in_its_second() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
    let claim = instance.claim_one("q").await;
    end(&mut instance, &claim, 30).await;
    f.redis_command(&["SET", &second(&f, NOW_S + 30), "x"]);
    f.pass(40);
    assert_eq!(reconcile(&f, 30).await, Reconciled::Restored);
    assert_eq!(queued(&f.store, "q").await, [tick(30).payload]);
}

#[tokio::test]
async fn stamps_that_are_none_hold_up_no_tick() {
    // A key of another type, a member that is no stamp, and a second that no date holds.
    let wrong = [&["SET", "x"][..], &["SADD", "x"], &["SADD", "delayed:99999999999999999"]];
    for [command, value] in wrong.map(|args| [args[0], args[1]]) {
        let f = Fixture::redis().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
        let mut claim = instance.claim_one("q").await;
        f.redis_command(&[command, &stamps(&f), value]);
        for round in 1..4 {
            end(&mut instance, &claim, 30).await;
            f.clock.set((NOW_S + 30 * round + 6) * 1000);
            promote_all(&f.store, "q", 10).await;
            // What could not be seen to be there is looked for when it is overdue.
            reconcile(&f, 30).await;
            claim = instance.claim_one("q").await;
            assert_eq!(queued(&f.store, "q").await, [""; 0], "once");
        }
    }
}

#[tokio::test]
async fn a_calendar_waits_in_the_next_free_second() {
    let f = Fixture::redis().await;
    let occurrence = Occurrence { due_s: NOW_S + 10, second: NOW_S + 11 };
    let calendar = Occurrences::new(move |second| Some(occurrence).filter(|occurrence| occurrence.due_s > second));
    let on_calendar = Tick { next: Next::At { calendar }, ..tick(1) };
    f.redis_command(&["SET", &second(&f, NOW_S + 11), "x"]);
    assert_eq!(f.store.run(look(on_calendar)).await.expect("reconcile"), Reconciled::Seeded);
    assert_eq!(delayed_at(&f.store, NOW_S + 12).await, [tick(1).payload]);
    assert_eq!(entry(&f).await.expect("entry").due_s, NOW_S + 10);
}

#[tokio::test]
async fn a_task_that_is_stopped_over_an_entry_that_cannot_be_read_stays_stopped() {
    let f = Fixture::redis().await;
    write_entry(&f, "99999999999999999999 30 0 q");
    let tick = tick(30);
    f.store.stop(&tick.task, &tick.queue, std::slice::from_ref(&tick.payload)).await.expect("stop");
    assert_eq!(reconcile(&f, 30).await, Reconciled::Fine);
    assert!(entry(&f).await.is_some_and(|entry| entry.stopped));
}

/// On SQLite any type may stand in a column.
#[tokio::test]
async fn rows_with_seconds_that_are_none_hold_up_no_tick() {
    for odd in ["'soon'", "9000000000000000000", "1.5", "x'00'"] {
        let f = Fixture::sqlite().await;
        let mut instance = Instance::join(&f.store, "a", 1).await;
        assert_eq!(reconcile(&f, 30).await, Reconciled::Seeded);
        let claim = instance.claim_one("q").await;
        end(&mut instance, &claim, 30).await;
        let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
        file.execute_batch(&format!(
            "UPDATE delayed SET second = {odd}; UPDATE periodic SET due_s = {odd}, every_s = 'x'"
        ))
        .expect("the rows must be written");
        f.pass(40);
        assert_eq!(reconcile(&f, 30).await, Reconciled::Restored, "{odd}");
        let claim = instance.claim_one("q").await;
        end(&mut instance, &claim, 30).await;
        let next = seconds(&f.store).await.into_iter().filter(|(second, _)| *second < NOW_S + 1000).count();
        assert_eq!(next, 1, "{odd}: the next tick stands");
        assert!(entry(&f).await.is_some_and(|entry| (NOW_S + 40..NOW_S + 90).contains(&entry.due_s)), "{odd}");
        assert_eq!(reconcile(&f, 30).await, Reconciled::Fine, "{odd}");
    }
}
