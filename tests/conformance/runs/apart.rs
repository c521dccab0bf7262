//! What stands in the way of the record of a run, on one engine each: it never stops the job.

use std::sync::Arc;

use windlass::clock::Clock;
use windlass::event::Bus;
use windlass::job::finished_run::LONGEST_RECORD;
use windlass::job::{FinishedRun, RunOutcome};
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::queueing::{Entered, Exchange, Extra, Part, Settlement};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::runs::KeepRun;
use windlass::store::workers::{ForceClean, Recovered, Recovery};
use windlass::store::{Store, TimeSource};

use super::{claims, enters, keeps, kept, lengths, list, run};
use crate::fixture::{Fixture, Place};
use crate::instance::Instance;
use crate::look::{assert_named_once, counters, failed, fill, job, queue, queued};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::{reconcile, tick};

/// A job that is too late, whose run cannot be kept; returns what is told.
async fn drop_with_run(f: &Fixture, store: &Store<Whole>) -> Vec<String> {
    let mut instance = Instance::join(store, "late", 1).await;
    fill(&f.store, "late", &[tick(30).payload]).await;
    reconcile(f, 30).await;
    f.pass(7);
    let late = instance.claim_one("late").await;
    let exchange = Exchange { enters: vec![enters(&late, 1)], ..instance.next() };
    let reply = instance.send(&exchange).await;
    assert_eq!(reply.entered, [Entered::Dropped { plugin: "missed" }]);
    assert_eq!(instance.working().await, []);
    reply.findings.iter().map(ToString::to_string).collect()
}

/// A job that is recovered and one whose worker is removed, both with runs that cannot be kept.
async fn recover_with_run(f: &Fixture, store: &Store<Whole>) {
    let mut instance = Instance::join(store, "dead", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let (records, before) = (instance.working().await, failed(&f.store).await.len());
    let recovery = Recovery {
        instance: None,
        record: records[0].clone(),
        queue: queue("q"),
        payload: claims[0].claim.payload.clone(),
        verdict: claims[0].failed(),
        free: Vec::new(),
        tick: None,
        run: Some(run(RunOutcome::CutOff, 1)),
    };
    assert_eq!(store.recover(&recovery).await.expect("recover"), Recovered::Yes);
    let clean = ForceClean {
        worker: claims[1].worker.clone(),
        working: Some(records[1].clone()),
        record: Some(claims[1].failure()),
        free: Vec::new(),
        run: Some(run(RunOutcome::Failed, 2)),
    };
    assert!(store.run(clean).await.expect("force_clean"));
    assert_eq!(instance.working().await, []);
    assert_eq!(failed(&f.store).await.len(), before + 2, "the jobs have ended, each once");
}

/// A settlement that keeps a run, and all that is told of it.
async fn settle_with_run(f: &Fixture) -> Vec<String> {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let claims = claims(f, &mut instance, 2).await;
    let settlements =
        vec![keeps(&claims[0], claims[0].failed(), run(RunOutcome::Failed, 1)), claims[1].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next() };
    let reply = instance.send(&exchange).await;
    assert_eq!((&reply.lost[..], &reply.undone[..], reply.refused.len()), (&[][..], &[][..], 0), "{reply:?}");
    let again = instance.send(&exchange).await;
    assert_eq!((&again.lost[..], &again.undone[..]), (&[][..], &[][..]), "{again:?}");
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((1, 1), 1), "the jobs have ended, each once");
    assert_eq!(instance.working().await, []);
    reply.findings.iter().map(ToString::to_string).collect()
}

/// Something else in the place of the runs stops nothing: neither the end of a job nor a look at other runs.
#[tokio::test]
async fn a_key_of_another_type_is_named_and_passed_over() {
    let f = Fixture::redis().await;
    let key = f.key("windlass:runs:clean");
    f.redis_command(&["SET", &key, "mine"]);
    let told = settle_with_run(&f).await;
    assert!(told.len() == 1 && told[0].contains(&key) && told[0].contains("RENAMENX"), "{told:?}");
    let other = run(RunOutcome::Done, 5).run.record();
    f.redis_command(&[b"RPUSH", f.key("windlass:runs:other").as_bytes(), &other]);
    let all = f.store.read_runs(&[list("clean"), list("other")], 9).await.expect("read_runs");
    let unreadable = all[0].unreadable.as_ref().expect("it is counted");
    assert!(unreadable.count == 1 && unreadable.text.contains(&key), "{unreadable:?}");
    assert_eq!((all[0].runs.len(), lengths(&all[1].runs)), (0, vec![5]));
    let told = drop_with_run(&f, &f.store).await;
    assert!(told.len() == 1 && told[0].contains(&key), "{told:?}");
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    let store = RedisStore::connect_with(url, &Default::default(), namespace, time, Findings::new(bus)).await;
    recover_with_run(&f, &store.expect("it opens").into()).await;
    assert_named_once(&listeners[0], &["the runs of that task are not kept"]);
}

#[tokio::test]
async fn what_is_no_record_is_passed_over_and_counted() {
    let long = "x".repeat(LONGEST_RECORD + 1);
    for f in [Fixture::redis().await, Fixture::sqlite().await] {
        settle_with_run(&f).await;
        match &f.place {
            Place::Redis { .. } => {
                f.redis_command(&[
                    b"RPUSH",
                    f.key("windlass:runs:clean").as_bytes(),
                    b"\xff{",
                    b"",
                    long.as_bytes(),
                    b"{}",
                ]);
            }
            Place::Sqlite { .. } => {
                let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
                let rows = format!(
                    "INSERT INTO runs (scheduled, name, place, record) VALUES (0, 'clean', 7, x'ff7b'), (0, 'clean', 8, ''), \
                     (0, 'clean', 9, '{long}'), (0, 'clean', 10, 1.5)"
                );
                file.execute_batch(&rows).expect("the rows must be written");
            }
        }
        let all = f.store.read_runs(&[list("clean")], 100).await.expect("read_runs").remove(0);
        assert_eq!(lengths(&all.runs), [1]);
        let unreadable = all.unreadable.expect("they are counted");
        assert!(unreadable.count == 4 && unreadable.text.contains("4 records of finished runs"), "{unreadable:?}");
        // They count as any other, so that the next runs push them out.
        let mut instance = Instance::join(&f.store, "b", 1).await;
        for n in 2..5 {
            let claim = claims(&f, &mut instance, 1).await.remove(0);
            instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, n))]).await;
        }
        assert_eq!(lengths(&kept(&f).await), [4, 3, 2]);
    }
}

/// Each is more than one call reads, and all look the same to who reads them.
#[tokio::test]
async fn several_records_that_are_too_long_hide_no_run() {
    let f = Fixture::redis().await;
    settle_with_run(&f).await;
    let long = "x".repeat(1 << 20);
    for _ in 0..3 {
        f.redis_command(&[b"RPUSH", f.key("windlass:runs:clean").as_bytes(), long.as_bytes()]);
        f.redis_command(&[b"LPUSH", f.key("windlass:runs:clean").as_bytes(), long.as_bytes()]);
    }
    let all = f.store.read_runs(&[list("clean")], 100).await.expect("read_runs").remove(0);
    assert_eq!((lengths(&all.runs), all.unreadable.map(|them| them.count)), (vec![1], Some(6)));
}

/// The server holds others up for no longer than a call of one mebibyte, however many runs are asked for.
#[tokio::test]
async fn a_long_list_is_read_in_several_calls() {
    let f = Fixture::redis().await;
    let record = |n: u64| {
        let output = (0..6).map(|_| "y".repeat(500)).collect();
        FinishedRun { output, ..run(RunOutcome::Done, n).run }.record()
    };
    let key = f.key("windlass:runs:clean");
    let records: Vec<_> = (0..1000).map(record).collect();
    let mut push: Vec<&[u8]> = vec![b"RPUSH", key.as_bytes()];
    push.extend(records.iter().map(|record| &record[..]));
    f.redis_command(&push);
    f.redis_command(&[b"RPUSH", f.key("windlass:runs:other").as_bytes(), &records[3][..]]);
    let all = f.store.read_runs(&[list("other"), list("clean"), list("other")], 900).await.expect("read_runs");
    assert_eq!(lengths(&all[1].runs), (100..1000).rev().collect::<Vec<_>>());
    assert_eq!((lengths(&all[0].runs), lengths(&all[2].runs)), (vec![3], vec![3]));
}

/// A list lapses by itself, and each run renews it.
#[tokio::test]
async fn a_list_lapses_as_a_whole() {
    let f = Fixture::redis().await;
    settle_with_run(&f).await;
    let left = f.redis_command(&["PTTL", &f.key("windlass:runs:clean")]);
    assert!(matches!(left, Reply::Int(3_000_000..=3_600_000)), "{left:?}");

    let f = Fixture::sqlite().await;
    settle_with_run(&f).await;
    let mut instance = Instance::join(&f.store, "b", 1).await;
    for n in 2..4 {
        f.pass(2000);
        let claim = claims(&f, &mut instance, 1).await.remove(0);
        instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, n))]).await;
    }
    assert_eq!(lengths(&kept(&f).await), [3, 2, 1]);
    f.pass(3600);
    assert_eq!(kept(&f).await, []);
    // The next run begins a new list, and one of another task removes what has lapsed.
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    instance.settle(vec![keeps(&claim, Verdict::Done, run(RunOutcome::Done, 4))]).await;
    assert_eq!(lengths(&kept(&f).await), [4]);
    f.pass(3600);
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    let other = Box::new(KeepRun { list: list("other"), ..*run(RunOutcome::Done, 5) });
    instance.settle(vec![keeps(&claim, Verdict::Done, other)]).await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let held: (i64, i64) = file
        .query_row("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM run_lists)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("numbers");
    assert_eq!(held, (1, 1));
}

/// SQLite: whichever way a trigger refuses the record of a run, its job ends.
#[tokio::test]
async fn a_trigger_that_refuses_runs_stops_no_job() {
    for way in ["ABORT, 'none of these'", "FAIL, 'none of these'", "ROLLBACK, 'none of these'", "IGNORE"] {
        for table in ["runs", "run_lists"] {
            let f = Fixture::sqlite().await;
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            let trigger = format!("CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE({way}); END");
            file.execute_batch(&trigger).expect("a trigger must be made");
            let told = settle_with_run(&f).await;
            assert!(told.len() == 1 && told[0].contains(".schema"), "{way}: {told:?}");
            let told = drop_with_run(&f, &f.store).await;
            assert!(told.len() == 1 && told[0].contains(".schema"), "{way}: {told:?}");
            recover_with_run(&f, &f.store).await;
            assert_eq!(kept(&f).await, []);
        }
    }
    let f = Fixture::sqlite().await;
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch("DROP TABLE runs").expect("a table must be dropped");
    let told = settle_with_run(&f).await;
    assert!(told.len() == 1 && told[0].contains("no such table"), "{told:?}");
}

/// Redis: where the user may not touch the runs, the store names the key, and all else goes on without.
#[tokio::test]
async fn a_refused_key_stops_no_job() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let keys = ["[^w]*", "worker:*", "workers", "workers:*", "workerslock:*", "windlass:[^r]*"]
        .map(|key| format!("~{namespace}:{key}"));
    let mut rule = vec!["ACL", "SETUSER", "poor", "on", ">p", "+@all"];
    rule.extend(keys.iter().map(String::as_str));
    server.command(&rule);
    let place =
        Place::Redis { url: url.replace("redis+unix://", "redis+unix://poor:p@"), namespace: namespace.clone() };
    let store = place.open(&f.clock).await;
    let mut instance = Instance::join(&store, "a", 3).await;
    let claims = claims(&f, &mut instance, 3).await;
    let ends = keeps(&claims[0], Verdict::Done, run(RunOutcome::Done, 1));
    let reply = instance.settlements(vec![ends.clone(), claims[1].ends(Verdict::Done)]).await;
    let part = Part::Settlement { index: 0, extras: vec![Extra::Run] };
    assert!(reply.undone == [0] && reply.refused.len() == 1 && reply.refused[0].part == part, "{reply:?}");
    let said = reply.refused[0].error.to_string();
    assert!(said.contains(&format!("type ACL SETUSER poor ~{namespace}:windlass:runs:clean")), "{said}");
    assert_eq!(instance.settle(vec![Settlement { run: None, ..ends }]).await, [0_usize; 0]);
    assert_eq!(counters(&f.store).await, (2, 0));

    let state = instance.state().await.expect("it has joined");
    let record = instance.working().await.remove(0);
    let recovery = Recovery {
        instance: Some((state.record.id, state.counter)),
        queue: queue("q"),
        payload: job(2),
        verdict: claims[2].requeued(),
        record: record.clone(),
        free: Vec::new(),
        tick: None,
        run: Some(run(RunOutcome::CutOff, 2)),
    };
    assert_eq!(store.recover(&recovery).await.expect("recover"), Recovered::Yes);
    assert_eq!(queued(&f.store, "q").await, [job(2)]);
    let claim = instance.claim_one("q").await;
    let clean = ForceClean {
        worker: claim.worker.clone(),
        working: instance.working().await.pop(),
        record: Some(claim.failure()),
        free: Vec::new(),
        run: Some(run(RunOutcome::Failed, 3)),
    };
    assert!(store.run(clean).await.expect("force_clean"));
    assert_eq!(failed(&f.store).await.len(), 1);
    let told = drop_with_run(&f, &store).await;
    assert!(told.len() == 1 && told[0].contains("windlass:runs:clean"), "{told:?}");
    assert_eq!(kept(&f).await, []);
}

/// SQLite: on a full disk a job ends without the record of its run.
#[tokio::test]
async fn a_full_disk_keeps_the_end_of_a_job_and_leaves_out_its_run() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let claim = claims(&f, &mut instance, 1).await.remove(0);
    // No page is left, not even an empty one.
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    let pages = |name: &str| -> u32 { file.pragma_query_value(None, name, |row| row.get(0)).expect("a number") };
    file.execute_batch("CREATE TABLE ballast (x)").expect("a table must be made");
    while pages("freelist_count") > 0 {
        file.execute("INSERT INTO ballast VALUES (zeroblob(4000))", []).expect("there is a page");
    }
    let options = windlass::store::sqlite::Options { max_page_count: Some(pages("page_count")), ..Default::default() };
    let clock = std::sync::Arc::clone(&f.clock) as _;
    let narrow = windlass::store::sqlite::SqliteStore::open_with(&f.place.file(), clock, options);
    instance.store = windlass::store::Store::from(narrow.expect("sqlite must open"));
    instance.reopen().await;
    let output = (0..6).map(|_| "y".repeat(500)).collect();
    let large =
        Box::new(KeepRun { run: FinishedRun { output, ..run(RunOutcome::Done, 1).run }, ..*run(RunOutcome::Done, 1) });
    assert_eq!(instance.settle(vec![keeps(&claim, Verdict::Done, large)]).await, [0_usize; 0]);
    assert_eq!((counters(&f.store).await, kept(&f).await.len()), ((1, 0), 0));
}
