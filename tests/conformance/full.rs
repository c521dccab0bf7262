//! A Redis that is full: `maxmemory` is reached and nothing may be evicted.
//!
//! Nothing new is taken, and the client is told why. All that stands in the store goes on: jobs are claimed, run, ended
//! and moved until there is memory again. The server here is of each test's own, because its limit is everybody's.

use std::sync::Arc;

use windlass::admin::explain::Cause;
use windlass::admin::held_back::HeldBack;
use windlass::clock::Clock;
use windlass::event::Bus;
use windlass::store::arrow::Arrow as _;
use windlass::store::effect::Verdict;
use windlass::store::findings::Findings;
use windlass::store::inspection::Pause;
use windlass::store::moving::TakeIn;
use windlass::store::queueing::{EnqueueBatch, EnqueueTracked, ScheduleBatch, When};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::scheduling::Fire;
use windlass::store::{Store, StoreError, TimeSource};

use crate::explained::{findings, words};
use crate::faults::{everything, rows};
use crate::fixture::{Fixture, NOW_S, Place};
use crate::instance::{Instance, record};
use crate::look::{
    assert_named_once, counters, delay, failed, fill, gate, job, job_lock, jobs, locks, promote_all, push, queue,
    queued, seconds,
};
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

/// What brings something new into a store.
const REFUSED: &[&str] =
    &[EnqueueBatch::NAME, EnqueueTracked::NAME, ScheduleBatch::NAME, Fire::NAME, TakeIn::NAME, Pause::NAME];

fn set_full(server: &RedisServer, full: bool) {
    server.command(&["CONFIG", "SET", "maxmemory", if full { "1" } else { "0" }]);
}

#[tokio::test]
async fn only_what_brings_jobs_is_refused() {
    let server = RedisServer::start(Options::default());
    for row in rows() {
        let control = Fixture::at(Place::redis_on(&server)).await;
        let undisturbed = (row.arrange)(&control).await;
        let answer = undisturbed(control.store.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", row.arrow));
        let after = everything(&control.store).await;

        let f = Fixture::at(Place::redis_on(&server)).await;
        let pass = (row.arrange)(&f).await;
        let before = everything(&f.store).await;
        set_full(&server, true);
        let told = pass(f.store.clone()).await;
        set_full(&server, false);
        let stands = everything(&f.store).await;
        if REFUSED.contains(&row.arrow) {
            let error = told.expect_err(row.arrow);
            assert!(matches!(error, StoreError::Full(_)), "{}: {error}", row.arrow);
            assert!(error.to_string().contains("write to the store, which is full"), "{error}");
            assert_eq!(stands, before, "{}: nothing was changed", row.arrow);
            assert_eq!(pass(f.store.clone()).await.expect(row.arrow), answer, "{}: there is room again", row.arrow);
        } else {
            assert_eq!(told.unwrap_or_else(|error| panic!("{}: {error}", row.arrow)), answer, "{}", row.arrow);
            assert_eq!(stands, after, "{}", row.arrow);
        }
    }
}

#[tokio::test]
async fn an_instance_starts_and_drains_a_full_store() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "q", &jobs(0..8)).await;
    delay(&f.store, &job(8), When::At(NOW_S + 1)).await;
    f.pass(5);
    set_full(&server, true);
    let mut instance = Instance::join(&f.store, "a", 4).await;
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    let claims = instance.claim(&["q"], &[1, 2, 3, 4]).await;
    assert_eq!(claims.len(), 4);
    instance.enter(&claims[0], &[gate(&job_lock(1), 1000)]).await;
    assert_eq!(instance.extend().await.lost_locks, [0_usize; 0]);
    let ends = vec![
        claims[0].frees(Verdict::Done, &[job_lock(1)]),
        claims[1].ends(claims[1].failed()),
        claims[2].ends(claims[2].requeued()),
        claims[3].ends(claims[3].retried(1000)),
    ];
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert_eq!(locks(&f.store).await, [""; 0]);
    assert_eq!(failed(&f.store).await, [claims[1].failure()]);
    f.pass(5);
    assert_eq!(promote_all(&f.store, "q", 10).await, 1);
    let mut ran = vec![job(0), job(1)];
    while !queued(&f.store, "q").await.is_empty() {
        for claim in instance.claim(&["q"], &[1, 2, 3, 4]).await {
            ran.push(claim.claim.payload.clone());
            instance.settle_one(&claim, Verdict::Done).await;
        }
    }
    ran.sort();
    assert_eq!(ran, jobs(0..9), "each once");
    assert_eq!((counters(&f.store).await, seconds(&f.store).await.len()), ((8, 1), 0));
    f.store
        .run(windlass::store::instance::Leave { record: instance.record.clone(), ran: Vec::new() })
        .await
        .expect("leave");
    assert!(matches!(f.store.enqueue(&[push("q", &job(9), &[])]).await, Err(StoreError::Full(_))), "it is still full");
    f.store.delete_queue(&queue("q")).await.expect("delete_queue");
}

#[tokio::test]
async fn who_joins_a_server_that_evicts_is_warned() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    let (tls, findings) = (Default::default(), Findings::new(bus));
    let store = RedisStore::connect_with(url, &tls, namespace, time, findings).await.expect("it opens");
    let store: Store<Whole> = store.into();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1gb"]);
    store.join(&record("a", 1)).await.expect("join");
    store.oversee("me", 60_000).await.expect("oversee");
    let remedy = "maxmemory-policy volatile-lru): jobs and locks get lost without a word; type CONFIG SET";
    assert_named_once(&listeners[0], &[remedy]);
}

#[tokio::test]
async fn a_full_server_and_one_that_evicts_are_told_with_commands_that_help() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let told = async |cause: Cause| findings(&f).await.into_iter().find(|one| one.cause == cause);
    let type_it = |command: &str| {
        let words = words(command);
        let ["redis-cli", "-s", _, typed @ ..] = &words[..] else { panic!("{command}") };
        server.command(typed);
    };
    assert!(told(Cause::StoreFull).await.is_none() && told(Cause::StoreEvicts).await.is_none());
    set_full(&server, true);
    let full = told(Cause::StoreFull).await.expect("it is full");
    assert!(full.blocks && full.text.contains("takes no new jobs"), "{full:?}");
    let held_back = HeldBack::read(&f.store.narrow()).await.expect("held back");
    assert!(held_back.lines().iter().any(|line| line.contains("takes no new jobs")), "{held_back:?}");
    type_it(full.command.as_deref().expect("a command"));
    assert!(told(Cause::StoreFull).await.is_none_or(|one| !one.blocks), "it was raised");
    fill(&f.store, "q", &jobs(1..2)).await;
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let evicts = told(Cause::StoreEvicts).await.expect("it may delete jobs");
    type_it(evicts.command.as_deref().expect("a command"));
    assert!(told(Cause::StoreEvicts).await.is_none());
}
