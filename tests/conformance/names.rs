//! Very many names of queues, most of which hold nothing: looks read a bounded number of them, and those with jobs are told.

use windlass::admin::explain::{self, Cause, Here};
use windlass::admin::{overview, queues};
use windlass::scheduler::sampling::Sampler;
use windlass::store::inspection::{NAMES_LOOKED_AT, Queues};
use windlass::store::role::Admin;
use windlass::store::sampling::ReadSnapshot;
use windlass::store::snapshot::Snapshot;
use windlass::store::workers::WorkerNames;
use windlass::task::Registry;

use crate::fixture::{Fixture, Place};
use crate::instance::Instance;
use crate::look::{fill, job, jobs, queue};
use crate::scheduler::Scheduler;
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

behaviours! {
    of_very_many_names_a_look_reads_a_bounded_number_and_says_so,
    queues_with_jobs_are_found_among_very_many_names,
    a_name_that_is_no_text_is_told_among_very_many,
    what_is_too_long_to_be_a_name_is_passed_over,
}

/// More than a look reads.
const MANY: usize = NAMES_LOOKED_AT + 3000;

/// Makes queues known that hold nothing.
fn plant_names(f: &Fixture) {
    match &f.place {
        Place::Redis { .. } => {
            let names: Vec<String> = (0..MANY).map(|n| format!("name{n:06}")).collect();
            let key = f.key("queues");
            for some in names.chunks(1000) {
                let command = [&["SADD", &key][..], &some.iter().map(String::as_str).collect::<Vec<_>>()].concat();
                f.redis_command(&command);
            }
        }
        Place::Sqlite { .. } => {
            let many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1) \
                        INSERT INTO queues (name) SELECT printf('name%06d', i) FROM n";
            let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
            assert_eq!(
                file.execute(many, [i64::try_from(MANY).expect("a few")]).expect("the rows must be written"),
                MANY
            );
        }
    }
}

async fn of_very_many_names_a_look_reads_a_bounded_number_and_says_so(f: &Fixture) {
    plant_names(f);
    fill(&f.store, "zz", &jobs(0..3)).await;
    let look = |limit| Queues { limit, first: vec![queue("zz"), queue("name000000"), queue("gone")] };
    let found = f.store.run(look(5)).await.expect("queues");
    assert!(found.sampled_of.is_some_and(|known| known > NAMES_LOOKED_AT as u64), "{found:?}");
    let lengths: Vec<(&str, u64)> = found.queues.iter().map(|one| (one.queue.as_str(), one.length)).collect();
    assert_eq!((lengths.len(), lengths.last()), (5, Some(&("zz", 3))), "{lengths:?}");
    assert!(lengths[..4].iter().all(|(name, length)| name.starts_with("name") && *length == 0), "{lengths:?}");
    // Who wants all of them gets them.
    let all = f.store.queues().await.expect("queues");
    assert_eq!((all.queues.len(), all.sampled_of), (MANY + 1, None));
}

async fn queues_with_jobs_are_found_among_very_many_names(f: &Fixture) {
    plant_names(f);
    fill(&f.store, "name000007", &jobs(0..2)).await;
    fill(&f.store, "zz", &[job(7)]).await;
    let scheduler = Scheduler::of(f, "h", "").await;
    let mut sampler = Sampler::new(&scheduler.context);
    // A walk through all names takes some rounds.
    for _ in 0..20 {
        sampler.round().await.expect("round");
    }
    assert!(sampler.pause().as_secs() <= 5, "the walk goes on");
    let snapshot = f.store.run(ReadSnapshot).await.expect("read_snapshot").bytes.expect("it was published");
    let snapshot = Snapshot::read(&snapshot).expect("it must be readable");
    let told: Vec<(&str, u64)> = snapshot.queues.iter().map(|one| (one.queue.as_str(), one.jobs)).collect();
    assert_eq!(told, [("name000007", 2), ("zz", 1)]);
    assert_eq!(snapshot.others, MANY as u64 - 1);
    let store = &f.store.narrow::<Admin>();
    let list = queues::list(store, 3).await.expect("list");
    assert!(list.more && list.sampled_of.is_some());
    let holding = list.queues.iter().filter(|one| one.length > 0).map(|one| one.queue.as_str());
    assert_eq!((list.queues.len(), holding.collect::<Vec<_>>()), (3, vec!["name000007", "zz"]));
    // A queue that is worked off is forgotten, and a new one is found.
    f.store.delete_queue(&queue("zz")).await.expect("delete_queue");
    fill(&f.store, "name000009", &jobs(0..1)).await;
    f.pass(60);
    for _ in 0..40 {
        sampler.round().await.expect("round");
    }
    let snapshot = f.store.run(ReadSnapshot).await.expect("read_snapshot").bytes.expect("it was published");
    let snapshot = Snapshot::read(&snapshot).expect("it must be readable");
    let told: Vec<&str> = snapshot.queues.iter().map(|one| one.queue.as_str()).collect();
    assert_eq!(told, ["name000007", "name000009"]);
    let told = explain::attention(store, Here::of(&Registry::default())).await.expect("attention");
    assert!(told.findings.iter().any(|one| one.cause == Cause::PartlyRead), "{told:?}");
    assert!(told.findings.iter().any(|one| one.text.contains("name000007")), "{told:?}");
}

async fn a_name_that_is_no_text_is_told_among_very_many(f: &Fixture) {
    match &f.place {
        Place::Redis { .. } => drop(f.redis_command(&[&b"SADD"[..], f.key("queues").as_bytes(), b"caf\xe9"])),
        Place::Sqlite { .. } => f.sqlite_execute("INSERT INTO queues (name) VALUES (CAST(x'01E9' AS TEXT))", []),
    }
    fill(&f.store, "q", &jobs(0..1)).await;
    let store = &f.store.narrow::<Admin>();
    let told = queues::list(store, 9).await.expect("list").unnamed.expect("it is told");
    assert!(told.contains("1 name of a queue"), "{told}");
    let details = overview::details(store).await.expect("details");
    assert_eq!(details.unreadable.iter().map(|one| one.count).collect::<Vec<_>>(), [1]);
}

/// Writes what is too long to be a name among the queues and the workers.
fn plant_long_names(f: &Fixture) {
    let long = "x".repeat(4 << 20);
    match &f.place {
        Place::Redis { .. } => {
            f.redis_command(&["SADD", &f.key("queues"), &long]);
            f.redis_command(&["SADD", &f.key("workers"), &long]);
        }
        Place::Sqlite { .. } => {
            f.sqlite_execute("INSERT INTO queues (name) VALUES (?1)", [&long]);
            let sql = "INSERT INTO workers (id, name, instance, started, pinged_s) VALUES (?1, ?1, 'x', '', 0)";
            f.sqlite_execute(sql, [&long]);
        }
    }
}

async fn what_is_too_long_to_be_a_name_is_passed_over(f: &Fixture) {
    fill(&f.store, "q", &jobs(0..2)).await;
    plant_long_names(f);
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let listed = f.store.queues().await.expect("queues");
    assert_eq!(listed.queues.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>(), ["q"]);
    let workers = f.store.run(WorkerNames { limit: 9 }).await.expect("worker_names");
    assert_eq!(workers, [instance.worker(1)]);
    assert_eq!(instance.claim(&["q"], &[1]).await.len(), 1);
}

#[tokio::test]
async fn what_is_too_long_to_be_a_name_does_not_leave_the_server() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    plant_long_names(&f);
    let sent = |f: &Fixture| {
        let stats = f.redis_command(&["INFO", "stats"]).texts().concat();
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).expect("it is counted");
        line.trim().parse::<u64>().expect("a number")
    };
    let before = sent(&f);
    let store = &f.store.narrow::<Admin>();
    overview::details(store).await.expect("details");
    explain::attention(store, Here::of(&Registry::default())).await.expect("attention");
    let scheduler = Scheduler::of(&f, "h", "").await;
    Sampler::new(&scheduler.context).round().await.expect("round");
    assert!(sent(&f) - before < 1 << 20, "{} bytes", sent(&f) - before);
}

/// How many commands of this name the server has run.
fn calls(f: &Fixture, name: &str) -> u64 {
    let stats = f.redis_command(&["INFO", "commandstats"]).texts().concat();
    let of_line = |line: &str| line.strip_prefix(&format!("cmdstat_{name}:calls="))?.split(',').next()?.parse().ok();
    stats.lines().find_map(of_line).unwrap_or(0)
}

#[tokio::test]
async fn the_cost_of_looks_does_not_grow_with_the_names() {
    // A server of its own, whose commands can be counted.
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let f = Fixture::at(Place::redis_on(&server)).await;
    let key = f.key("queues");
    let names: Vec<String> = (0..60_000).map(|n| format!("name{n:06}")).collect();
    for some in names.chunks(1000) {
        f.redis_command(&[&["SADD", &key][..], &some.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }
    let store = &f.store.narrow::<Admin>();
    // Each part of it may read the names once.
    let part = NAMES_LOOKED_AT as u64 / 1000 + 1;
    let before = calls(&f, "sscan");
    let details = overview::details(store).await.expect("details");
    let read = calls(&f, "sscan") - before;
    assert!(details.more_queues && details.queues.len() <= 1000);
    assert!(read <= 2 * part + 8, "{read} pages of names");
    let before = calls(&f, "sscan");
    explain::attention(store, Here::of(&Registry::default())).await.expect("attention");
    let read = calls(&f, "sscan") - before;
    assert!(read <= 2 * part + 8, "{read} pages of names");
}
