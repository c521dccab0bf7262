//! Rows with content that Windlass never writes: they are read as far as possible and do not block other rows.

use std::sync::Arc;

use bytes::Bytes;
use windlass::event::Bus;
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::instance::Joined;
use windlass::store::sqlite::SqliteStore;
use windlass::store::unreadable::RecordKind;

use crate::fixture::Fixture;
use crate::instance::{Instance, record};
use crate::look::{assert_named_once, delayed, failed, fill, job, locks, promote_all, queue, queued, unreadable};
use crate::support::verbs::Verbs as _;

/// Writes into the file as any program may.
fn write(f: &Fixture, sql: &str) {
    let file = rusqlite::Connection::open(f.place.file()).expect("the file must open");
    file.execute_batch(sql).expect("the rows must be written");
}

#[tokio::test]
async fn an_instance_that_cannot_be_read_keeps_nobody_from_starting() {
    let f = Fixture::sqlite().await;
    let good = Instance::join(&f.store, "a", 1).await;
    let mine = record("b", 1);
    write(
        &f,
        &format!(
            "INSERT INTO instances (id, name, record, counter) VALUES ('x', 'host:1', '{{', 7), ('y', 'host:2', x'ff00', 'many'), \
             ('z', '{}', 'null', 1)",
            mine.name
        ),
    );
    let states = f.store.instances().await.expect("instances");
    assert_eq!(states.iter().map(|state| &state.record).collect::<Vec<_>>(), [&good.record]);
    assert_eq!(f.store.oversee("me", 60_000).await.expect("oversee").instances, states);
    assert_eq!(f.store.join(&mine).await.expect("join"), Joined::Yes, "even under its name");
    assert_eq!(f.store.instances().await.expect("instances").len(), 2);
}

#[tokio::test]
async fn jobs_of_any_type_are_claimed_promoted_and_shown() {
    let f = Fixture::sqlite().await;
    let mut instance = Instance::join(&f.store, "a", 4).await;
    fill(&f.store, "q", &[job(1)]).await;
    write(
        &f,
        "INSERT INTO jobs (queue, position, payload, identity) VALUES ('q', 0, '{\"class\":\"x\"}', x'ff'), ('q', -1, 7, 1.5), ('q', -2, '', NULL);
         INSERT INTO delayed VALUES (5, 1, 0, 'text', x'00');
         INSERT INTO failed VALUES (1, 0, 'a record');
         INSERT INTO locks (key, value, expires_ms) VALUES ('l', x'ff', NULL);
         INSERT INTO periodic VALUES (x'ff', 7, 'soon', 'often', 'no', 'late', 'asked');
         INSERT INTO paused VALUES (x'fe');
         INSERT INTO queues VALUES (x'fd');
         INSERT INTO workers VALUES (x'fc', 1, 2, 3, 'now', 'many', 1.5)",
    );
    let class = Bytes::from_static(b"{\"class\":\"x\"}");
    assert_eq!(queued(&f.store, "q").await, [Bytes::new(), Bytes::from_static(b"7"), class.clone(), job(1)]);
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    assert_eq!(claims.len(), 4);
    assert_eq!(claims[2].claim.payload, class);
    assert_eq!(f.store.working(&instance.record.workers()).await.expect("working").iter().flatten().count(), 4);
    for claim in &claims {
        instance.settle_one(claim, Verdict::Done).await;
    }
    assert_eq!(delayed(&f.store).await, ["text"]);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    assert_eq!(failed(&f.store).await, ["a record"]);
    assert_eq!(locks(&f.store).await, ["l"]);
    assert_eq!(f.store.periodic(&[]).await.expect("periodic").0.len(), 1);
    assert_eq!(f.store.paused().await.expect("paused").queues.len(), 1);
    assert!(f.store.queues().await.expect("queues").queues.iter().any(|one| one.queue == queue("q")));
    assert_eq!(f.store.registered().await.expect("registered").len(), 5);
    f.store.stats().await.expect("stats");
}

#[tokio::test]
async fn instances_and_pings_that_cannot_be_read_are_named_and_counted() {
    let f = Fixture::sqlite().await;
    let good = Instance::join(&f.store, "a", 1).await;
    write(
        &f,
        "INSERT INTO instances (id, name, record, counter) VALUES ('x', 'host:1', '{', 7), ('y', 'host:2', 'null', 7);
         INSERT INTO workers (id, name, instance, started, pinged_s) VALUES ('h:1:*', 'h:1', 'a', 'now', 'now')",
    );
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let store = SqliteStore::open_telling(&f.place.file(), Arc::clone(&f.clock) as _, Findings::new(bus));
    let store = Store::from(store.expect("sqlite must open"));
    for _ in 0..3 {
        let states = store.instances().await.expect("instances");
        assert_eq!(states.iter().map(|state| &state.record).collect::<Vec<_>>(), [&good.record]);
        assert_eq!(store.oversee("me", 60_000).await.expect("oversee").instances, states);
    }
    assert_named_once(&listeners[0], &["2 registrations of instances in the table instances"]);
    assert_eq!(unreadable(&store).await, [(RecordKind::Instance, 2), (RecordKind::Ping, 1)]);
    assert_named_once(&listeners[0], &["1 ping of a worker in the table workers"]);
    write(&f, "DELETE FROM instances WHERE id IN ('x', 'y'); UPDATE workers SET pinged_s = 7 WHERE id = 'h:1:*'");
    assert_eq!(unreadable(&store).await, []);
    assert_named_once(&listeners[0], &["all registrations of instances", "all pings of workers"]);
}
