//! A Redis that other programs use as well: their pushes, their workers, and what they leave.

use std::sync::Arc;

use bytes::Bytes;
use windlass::event::Bus;
use windlass::job::{Failure, WorkerName};
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::instance::{Extended, InstanceRecord, Joined, Oversee, Removed, RemovedState};
use windlass::store::queueing::{Scheduled, When};
use windlass::store::redis::RedisStore;
use windlass::store::scheduling::{Leadership, Promoted};
use windlass::store::unreadable::RecordKind;
use windlass::store::wake::Watch;
use windlass::store::workers::{ReadWorkers, Recovered, Recovery};
use windlass::store::{Store, TimeSource};

use crate::fixture::{Fixture, NOW_MS, NOW_S, Place, soon};
use crate::instance::{Claimed, Instance, record};
use crate::look::{
    assert_named_once, delay, failed, fill, job, jobs, promote_all, promotion, queue, queued, seconds, unreadable,
};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

fn push(f: &Fixture, name: &str, payload: &[u8]) {
    let pushed = f.redis_command(&[b"RPUSH", f.key(&format!("queue:{name}")).as_bytes(), payload]);
    assert!(matches!(pushed, Reply::Int(_)), "{pushed:?}");
}

#[tokio::test]
async fn a_plain_push_wakes_and_is_claimed() {
    let f = Fixture::redis().await;
    let waker = f.store.waker().await.expect("waker");
    let mut instance = Instance::join(&f.store, "a", 1).await;
    for n in 0..5 {
        let watch = Watch { queues: vec![queue("q")], ..Watch::default() };
        assert!(!waker.arm(&watch).await.expect("arm").ready);
        push(&f, "q", &job(n));
        soon("the wake", waker.woken()).await;
        let claim = instance.claim_one("q").await;
        assert_eq!(claim.claim.payload, job(n));
        instance.settle_one(&claim, Verdict::Done).await;
    }
}

#[tokio::test]
async fn a_second_without_jobs_is_forgotten() {
    let f = Fixture::redis().await;
    let second = (NOW_S - 5).to_string();
    f.redis_command(&["ZADD", &f.key("delayed_queue_schedule"), &second, &second]);
    delay(&f.store, &job(1), When::At(NOW_S)).await;
    let due = f.store.due(10, &[]).await.expect("due");
    assert_eq!((due.second, due.jobs.len(), due.is_due()), (Some(NOW_S - 5), 0, true));
    assert_eq!(f.store.promote(&promotion("q", NOW_S - 5, &[])).await.expect("promote"), Promoted::Moved(0));
    assert_eq!(f.store.due(10, &[]).await.expect("due").jobs, [job(1)]);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(seconds(&f.store).await, []);
}

/// node-resque's own deletions leave stamps of jobs that are no longer there.
#[tokio::test]
async fn a_stale_stamp_is_tidied_by_deletion() {
    let f = Fixture::redis().await;
    let stamps = f.key(&format!("timestamps:{}", String::from_utf8_lossy(&job(1))));
    f.redis_command(&["SADD", &stamps, &format!("delayed:{}", NOW_S + 3)]);
    delay(&f.store, &job(1), When::At(NOW_S + 9)).await;
    assert_eq!(f.store.delete_delayed(&job(1)).await.expect("delete_delayed"), [NOW_S + 9]);
    assert_eq!(f.redis_command(&["EXISTS", &stamps]), Reply::Int(0));
    assert_eq!(delay(&f.store, &job(1), When::At(NOW_S + 3)).await, Scheduled::At(NOW_S + 3));
}

#[tokio::test]
async fn keys_stand_where_other_programs_look() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    delay(&f.store, &job(5), When::At(NOW_S + 5)).await;
    let claim = instance.claim_one("q").await;
    let text = |args: &[&str]| f.redis_command(args).texts();
    let second = format!("delayed:{}", NOW_S + 5);
    let stamps = f.key(&format!("timestamps:{}", String::from_utf8_lossy(&job(5))));
    assert_eq!(text(&["SMEMBERS", &f.key("queues")]), ["q"]);
    assert_eq!(text(&["LRANGE", &f.key("queue:q"), "0", "-1"]), [String::from_utf8_lossy(&job(1))]);
    assert_eq!(text(&["LRANGE", &f.key(&second), "0", "-1"]), [String::from_utf8_lossy(&job(5))]);
    assert_eq!(text(&["SMEMBERS", &stamps]), [second]);
    let score = (NOW_S + 5).to_string();
    assert_eq!(text(&["ZRANGE", &f.key("delayed_queue_schedule"), "0", "-1", "WITHSCORES"]), [score.clone(), score]);
    assert_eq!(text(&["SMEMBERS", &f.key("workers")]), ["host-windlass:a+1:*"]);
    let ping = format!(r#"{{"time":{NOW_S},"name":"host-windlass:a+1","queues":"*"}}"#);
    assert_eq!(text(&["GET", &f.key("worker:ping:host-windlass:a+1")]), [ping]);
    assert_eq!(text(&["GET", &f.key("worker:host-windlass:a+1:*")]).len(), 1);
    assert_eq!(text(&["GET", &f.key("worker:host-windlass:a+1:*:started")]).len(), 1);
    instance.settle_one(&claim, Verdict::Done).await;
    assert_eq!(text(&["GET", &f.key("stat:processed")]), ["1"]);
    assert_eq!(text(&["GET", &f.key("stat:processed:host-windlass:a+1")]), ["1"]);
    f.store.leave(&instance.record).await.expect("leave");
    let left = text(&["KEYS", &f.key("worker*")]);
    assert_eq!(left, [""; 0], "nothing of the worker is left");
}

#[tokio::test]
async fn workers_of_other_programs_are_seen_and_cleaned() {
    let f = Fixture::redis().await;
    let record = r#"{"run_at":"Tue Nov 24 2026 03:26:17 GMT+0000 (Coordinated Universal Time)","worker":"vm:11800","payload":{"class":"add","args":[1,2],"queue":"math"},"queue":"math"}"#;
    for id in ["vm:11800:math", "vm:77:a,b", "lonely"] {
        f.redis_command(&["SADD", &f.key("workers"), id]);
    }
    f.redis_command(&["SET", &f.key("worker:vm:11800:math"), record]);
    f.redis_command(&[
        "SET",
        &f.key("worker:ping:vm:11800"),
        r#"{"time":1795490777,"name":"vm:11800","queues":"math"}"#,
    ]);
    f.redis_command(&["SET", &f.key("worker:vm:77:a,b:started"), "2026-11-24 03:28:19 +0000"]);
    let registered = f.store.registered().await.expect("registered");
    assert_eq!(registered.len(), 3);
    let of = |id: &str| registered.iter().find(|one| one.worker.id() == id).expect("registered");
    let theirs = of("vm:11800:math");
    assert_eq!(theirs.pinged_s, Some(1_795_490_777));
    let working = theirs.working.clone().expect("working");
    assert_eq!((working.claim.as_ref(), working.queue.as_ref()), (None, Some(&queue("math"))));
    assert_eq!(of("vm:77:a,b").started.as_deref(), Some("2026-11-24 03:28:19 +0000"));
    assert_eq!(of("vm:77:a,b").pinged_s, None);
    let worker = WorkerName::parse("vm:11800:math");
    assert_eq!(f.store.ping_of("vm:11800").await.expect("ping_of"), Some((1_795_490_777, worker.clone())));

    let payload = working.payload.clone().expect("payload");
    let failure = Failure::stuck("host", NOW_MS).record("vm:11800", "math", &payload, NOW_MS);
    assert!(f.store.force_clean(&worker, Some(&working), Some(&failure), &[]).await.expect("force_clean"));
    assert_eq!(failed(&f.store).await, [failure]);
    assert_eq!(f.redis_command(&["KEYS", &f.key("worker:*11800*")]).texts(), [""; 0], "not a key of it is left");
    assert_eq!(f.store.registered().await.expect("registered").len(), 2);
}

/// An earlier daemon or another program left its record under a name that is ours now.
#[tokio::test]
async fn a_leftover_without_an_instance_is_recovered_once() {
    let f = Fixture::redis().await;
    let place = f.key("worker:host-windlass:a+1:*");
    let record = r#"{"run_at":"2026-11-24T03:28:19Z","queue":"q","payload":{"class":"x","args":[]}}"#;
    f.redis_command(&["SET", &place, record]);
    let joined = f.store.join(&crate::instance::record("a", 1)).await;
    assert!(joined.is_ok());
    let workers = crate::instance::record("a", 1).workers();
    let leftovers = f.store.register("a", &workers).await.expect("register");
    assert_eq!(leftovers.len(), 1);
    let payload = leftovers[0].payload.clone().expect("payload");
    assert_eq!(payload, Bytes::from_static(br#"{"class":"x","args":[]}"#));
    let failure = Failure::stuck("host", NOW_MS).record("host-windlass:a+1", "q", &payload, NOW_MS);
    let recovery = Recovery {
        instance: None,
        record: leftovers[0].clone(),
        queue: queue("q"),
        payload,
        verdict: Verdict::Failed { record: failure.clone() },
        free: Vec::new(),
        tick: None,
        run: None,
    };
    assert_eq!(f.store.recover(&recovery).await.expect("recover"), Recovered::Yes);
    assert_eq!(f.store.recover(&recovery).await.expect("recover"), Recovered::No);
    assert_eq!(failed(&f.store).await, [failure]);
    assert_eq!(f.store.register("a", &workers).await.expect("register"), []);
    assert_eq!(queued(&f.store, "q").await.len(), 0);
}

/// What node-resque's force-clean leaves of a worker.
fn clean_as_node_resque(f: &Fixture, worker: &WorkerName, failure: Option<&Bytes>) {
    f.redis_command(&["DEL", &f.key(&format!("worker:ping:{}", worker.name()))]);
    f.redis_command(&["DEL", &f.key(&format!("worker:{}:started", worker.id()))]);
    f.redis_command(&["SREM", &f.key("workers"), worker.id()]);
    if let Some(failure) = failure {
        f.redis_command(&[b"RPUSH", f.key("failed").as_bytes(), &failure[..]]);
    }
}

fn stuck(worker: &WorkerName, job: &Claimed, ms: i64) -> Bytes {
    Failure::stuck("peer", ms).record(worker.name(), "q", &job.claim.payload, ms)
}

/// It leaves the working record. The record may be of the job that it failed, or of one that was claimed later.
#[tokio::test]
async fn of_workers_that_node_resque_cleaned_only_what_it_failed_is_lost() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &jobs(0..3)).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    // The first job was failed. For the second worker another job was failed. The third job was failed in an earlier
    // run. The fourth worker was idle.
    let workers: Vec<_> = claims.iter().map(|claim| claim.worker.clone()).collect();
    clean_as_node_resque(&f, &workers[0], Some(&stuck(&workers[0], &claims[0], NOW_MS)));
    clean_as_node_resque(&f, &workers[1], Some(&stuck(&workers[1], &claims[0], NOW_MS)));
    clean_as_node_resque(&f, &workers[2], Some(&stuck(&workers[2], &claims[2], NOW_MS - 60_000)));
    clean_as_node_resque(&f, &instance.worker(4), None);
    let token = |n: usize| claims[n].claim.token.clone();
    let lefts = [
        RemovedState::Failed(token(0)),
        RemovedState::Claim(token(1)),
        RemovedState::Claim(token(2)),
        RemovedState::Nothing,
    ];
    let removed = lefts.into_iter().enumerate().map(|(index, left)| Removed { index, left }).collect();
    assert_eq!(instance.extend().await, Extended { removed, ..Extended::default() });
    assert_eq!(f.store.registered().await.expect("registered").len(), 4);
    assert_eq!(instance.extend().await, Extended::default(), "it is told once");
    assert_eq!(instance.settle(claims.iter().map(|one| one.ends(Verdict::Done)).collect()).await, [0]);
}

/// The same where the instance dies before it looks.
#[tokio::test]
async fn of_a_dead_instances_workers_only_what_node_resque_failed_is_dropped() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    // Its failure record is longer than what one reply brings.
    fill(&f.store, "q", &[crate::large::of_size(0, 2_000_000), job(1)]).await;
    let mut claims = instance.claim(&["q"], &[1]).await;
    claims.extend(instance.claim(&["q"], &[2]).await);
    // Failures since, more and larger than one look takes in.
    clean_as_node_resque(&f, &claims[0].worker, Some(&stuck(&claims[0].worker, &claims[0], NOW_MS)));
    let later = Failure::new("Error", "x").record("w:1", "q", b"{}", NOW_MS + 60_000);
    for _ in 0..42 {
        let records: Vec<&[u8]> = std::iter::repeat_n(&later[..], 600).collect();
        let list = f.key("failed");
        let command: Vec<&[u8]> = [&b"RPUSH"[..], list.as_bytes()].into_iter().chain(records).collect();
        f.redis_command(&command);
    }
    for _ in 0..3 {
        f.redis_command(&["RPUSH", &f.key("failed"), &"x".repeat(800_000)]);
    }
    clean_as_node_resque(&f, &claims[1].worker, None);
    let counter = instance.state().await.expect("state").counter;
    for (claim, expected) in claims.iter().zip([Recovered::AlreadyCleaned, Recovered::Yes]) {
        let record = f.store.working(std::slice::from_ref(&claim.worker)).await.expect("working").remove(0);
        let recovery = Recovery {
            instance: Some(("a".to_owned(), counter)),
            record: record.expect("the record is left behind"),
            queue: queue("q"),
            payload: claim.claim.payload.clone(),
            verdict: claim.requeued(),
            free: Vec::new(),
            tick: None,
            run: None,
        };
        assert_eq!(f.store.recover(&recovery).await.expect("recover"), expected);
        assert_eq!(f.store.recover(&recovery).await.expect("recover"), Recovered::No);
    }
    assert_eq!(queued(&f.store, "q").await, [job(1)]);
}

#[tokio::test]
async fn a_name_under_a_registration_that_cannot_be_read_is_free() {
    let f = Fixture::redis().await;
    let mine = record("b", 1);
    let (instances, leases, names) = (f.key("windlass:instances"), f.key("windlass:leases"), f.key("windlass:names"));
    for (id, registration) in [("x", "{"), ("y", "null"), ("z", "")] {
        f.redis_command(&["HSET", &instances, id, registration]);
        f.redis_command(&["HSET", &leases, id, "7"]);
    }
    f.redis_command(&["HSET", &names, &mine.name, "x"]);
    assert_eq!(f.store.join(&mine).await.expect("join"), Joined::Yes);
    assert_eq!(f.redis_command(&["HGET", &names, &mine.name]).texts(), ["b"]);
    let mut left = f.redis_command(&["HKEYS", &instances]).texts();
    left.sort();
    assert_eq!(left, ["b", "y", "z"], "only what held the name is gone");
    assert_eq!(f.redis_command(&["HEXISTS", &leases, "x"]), Reply::Int(0));
    // One that can be read holds its name.
    let other = InstanceRecord { id: "c".to_owned(), ..mine.clone() };
    assert_eq!(f.store.join(&other).await.expect("join"), Joined::NameTaken(Box::new(mine)));
}

#[tokio::test]
async fn records_that_cannot_be_read_are_named_and_counted_by_kind() {
    let f = Fixture::redis().await;
    let good = Instance::join(&f.store, "a", 1).await;
    let set = |key: &str, field: &str, value: &str| f.redis_command(&["HSET", &f.key(key), field, value]);
    for (id, registration) in [("x", "{"), ("y", "null")] {
        set("windlass:instances", id, registration);
        set("windlass:leases", id, "7");
    }
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let Place::Redis { url, namespace } = &f.place else { panic!("this is Redis") };
    let time = TimeSource::Clock(Arc::clone(&f.clock) as _);
    let store = RedisStore::connect_with(url, &Default::default(), namespace, time, Findings::new(bus)).await;
    let store = Store::from(store.expect("redis must open"));
    for _ in 0..3 {
        let states = store.instances().await.expect("instances");
        assert_eq!(states.iter().map(|state| &state.record).collect::<Vec<_>>(), [&good.record]);
        assert_eq!(store.oversee("me", 60_000).await.expect("oversee").instances, states);
    }
    assert_named_once(&listeners[0], &["2 registrations of instances in"]);
    set("windlass:instances", "z", "7");
    set("windlass:periodic", "odd", "soon 7 0 q");
    set("windlass:periodic", "fine", "7 7 0 q");
    f.redis_command(&[&b"SADD"[..], f.key("workers").as_bytes(), b"\xff:1:*", b"h:1:*", b"h:2:*"]);
    f.redis_command(&["SET", &f.key("worker:h:1:*"), r#"{"claim":"a","payload":"#]);
    f.redis_command(&["SET", &f.key("worker:ping:h:2"), r#"{"time":"now"}"#]);
    let kinds = [RecordKind::Instance, RecordKind::Worker, RecordKind::Working, RecordKind::Ping, RecordKind::Periodic];
    assert_eq!(unreadable(&store).await, kinds.map(|kind| (kind, if kind == RecordKind::Instance { 3 } else { 1 })));
    assert_eq!(store.periodic(&[]).await.expect("periodic").0.len(), 1);
    assert_named_once(
        &listeners[0],
        &["3 registrations", "1 worker id", "1 working record", "1 ping of a worker", "1 entry of a periodic task"],
    );
    for key in ["windlass:instances", "windlass:periodic", "workers", "worker:h:1:*", "worker:ping:h:2"] {
        f.redis_command(&["DEL", &f.key(key)]);
    }
    assert_eq!(unreadable(&store).await, []);
}

#[tokio::test]
async fn a_registration_that_still_stands_is_not_told_to_be_readable_and_its_end_is_told_once() {
    let f = Fixture::redis().await;
    let good = Instance::join(&f.store, "a", 1).await;
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let Place::Redis { url, namespace } = &f.place else { panic!("this is Redis") };
    let time = TimeSource::Clock(Arc::clone(&f.clock) as _);
    let store = RedisStore::connect_with(url, &Default::default(), namespace, time, Findings::new(bus)).await;
    let store = Store::from(store.expect("redis must open"));
    let told = || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
    // It has no lease, so that the good one is the only one that has.
    f.redis_command(&["HSET", &f.key("windlass:instances"), "x", "{"]);
    let look = async || {
        for alone in [Some(good.record.clone()), None] {
            let oversee = Oversee { owner: "me".to_owned(), ttl_ms: 60_000, alone, also: None };
            let seen = store.run(oversee).await.expect("oversee").instances;
            assert_eq!(seen.iter().map(|state| &state.record.id).collect::<Vec<_>>(), [&good.record.id]);
            // What some workers do says nothing of other kinds.
            store.run(ReadWorkers { workers: Vec::new(), longest: 10 }).await.expect("workers");
        }
    };
    for _ in 0..3 {
        look().await;
    }
    let lines = told();
    assert!(lines.len() == 1 && lines[0].contains("1 registration of an instance"), "{lines:?}");
    f.redis_command(&["HDEL", &f.key("windlass:instances"), "x"]);
    for _ in 0..3 {
        look().await;
    }
    let lines = told();
    assert!(lines.len() == 1 && lines[0].contains("can be read again"), "{lines:?}");
}

#[tokio::test]
async fn a_queue_whose_name_is_no_text_is_named_byte_by_byte() {
    let f = Fixture::redis().await;
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let Place::Redis { url, namespace } = &f.place else { panic!("this is Redis") };
    let time = TimeSource::Clock(Arc::clone(&f.clock) as _);
    let store = RedisStore::connect_with(url, &Default::default(), namespace, time, Findings::new(bus)).await;
    let store = Store::from(store.expect("redis must open"));
    f.redis_command(&[&b"SADD"[..], f.key("queues").as_bytes(), b"caf\xe9", b"mail"]);
    assert_eq!(unreadable(&store).await, [(RecordKind::Queue, 1)]);
    assert_named_once(&listeners[0], &["1 name of a queue in"]);
    let names = store.run(windlass::store::queueing::QueueNames { limit: 10 }).await.expect("names");
    assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["mail"]);
    f.redis_command(&[&b"SREM"[..], f.key("queues").as_bytes(), b"caf\xe9"]);
    assert_eq!(unreadable(&store).await, []);
}

#[tokio::test]
async fn a_queue_whose_name_is_no_text_is_given_one() {
    use windlass::admin::queue_rename::rename;
    let name = &b"caf\xe9"[..];
    for f in [Fixture::redis().await, Fixture::sqlite().await] {
        fill(&f.store, "caf\u{e9}", &jobs(0..1)).await;
        match &f.place {
            Place::Redis { .. } => {
                let list = [f.key("queue:").as_bytes(), name].concat();
                f.redis_command(&[&b"SADD"[..], f.key("queues").as_bytes(), name]);
                for job in jobs(1..251) {
                    f.redis_command(&[&b"RPUSH"[..], &list, &job]);
                }
            }
            Place::Sqlite { .. } => {
                // As a blob, and as a text that is none.
                let connection = rusqlite::Connection::open(f.place.file()).expect("the file must open");
                connection
                    .execute("INSERT INTO queues (name) VALUES (CAST(?1 AS TEXT)), (?1)", [name])
                    .expect("it is inserted");
                for (place, job) in (0_i64..).zip(jobs(1..251).iter()) {
                    let queue = if place < 120 { "CAST(?1 AS TEXT)" } else { "?1" };
                    let sql = format!("INSERT INTO jobs (queue, position, payload) VALUES ({queue}, ?2, ?3)");
                    connection.execute(&sql, rusqlite::params![name, place, &job[..]]).expect("it is inserted");
                }
            }
        }
        let store = f.store.narrow::<windlass::store::role::Admin>();
        assert_eq!(
            unreadable(&f.store).await,
            [(RecordKind::Queue, if matches!(f.place, Place::Redis { .. }) { 1 } else { 2 })]
        );
        let mut told = Vec::new();
        let renamed = rename(&store, name, "caf\u{e9}", |moved| told.push(moved)).await.expect("rename");
        assert_eq!((renamed.moved, told), (250, vec![100, 200, 250]));
        assert_eq!(queued(&f.store, "caf\u{e9}").await, jobs(0..251), "in their order, behind what was there");
        assert_eq!(unreadable(&f.store).await, []);
        assert!(rename(&store, name, "other", |_| {}).await.is_err(), "it is gone");
        assert!(rename(&store, "caf\u{e9}".as_bytes(), "other", |_| {}).await.is_err(), "it is text");
        assert!(rename(&store, name, " ", |_| {}).await.is_err(), "a name is wanted");
    }
}

#[tokio::test]
async fn a_leader_of_any_name_leads() {
    let f = Fixture::redis().await;
    let lock = f.key("resque_scheduler_leader_lock");
    for (name, shown) in [(&b"\xff\xfe"[..], "\u{fffd}\u{fffd}"), (b"", ""), (b"a\nb", "a\nb")] {
        f.redis_command(&[b"SET", lock.as_bytes(), name, b"EX", b"180"]);
        assert!(!f.store.lead(Leadership::Scheduler, "me", 1000).await.expect("lead"));
        assert_eq!(f.store.leader(Leadership::Scheduler).await.expect("leader").as_deref(), Some(shown));
    }
}
