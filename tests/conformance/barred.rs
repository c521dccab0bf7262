//! Keys that the store refuses for good: the server to this user, or a trigger to everybody. What needs such a key fails or
//! waits alone, and all the rest of its exchange goes on.

use std::sync::Arc;

use windlass::clock::Clock;
use windlass::event::Bus;
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::findings::Findings;
use windlass::store::queueing::{Entered, Exchange, Exchanged, Extra, Part, Settlement};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::{Store, StoreError, TimeSource};

use crate::fixture::{Fixture, Place};
use crate::instance::{Claimed, Instance, claimed, payloads};
use crate::look::{assert_named_once, counters, failed, fill, gate, job, job_lock, jobs, queued};
use crate::support::redis::{Options, RedisServer};

#[tokio::test]
async fn a_queue_whose_key_is_refused_is_passed_over_and_named_once() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "bad", &jobs(0..2)).await;
    fill(&f.store, "good", &jobs(2..7)).await;
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let but_queues = format!("~{namespace}:[^q]*");
    let allowed = ["queues", "queue:good"].map(|key| format!("~{namespace}:{key}"));
    server.command(&["ACL", "SETUSER", "poor", "on", ">p", "+@all", &but_queues, &allowed[0], &allowed[1]]);
    let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
    let url = url.replace("redis+unix://", "redis+unix://poor:p@");
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    let store = RedisStore::connect_with(&url, &Default::default(), namespace, time, Findings::new(bus)).await;
    let store: Store<Whole> = store.expect("it opens").into();

    let mut instance = Instance::join(&store, "a", 2).await;
    for first in [2, 4] {
        let claims = instance.claim(&["bad", "good"], &[1, 2]).await;
        assert_eq!(payloads(&claims), jobs(first..first + 2));
        // What ends rides in the same call as the claim.
        let settlements = claims.iter().map(|claim| claim.ends(Verdict::Done)).collect();
        assert_eq!(instance.settle(settlements).await, [0_usize; 0]);
    }
    assert_eq!(queued(&f.store, "bad").await, jobs(0..2));
    let remedy = format!(
        "queue bad is passed over, because jobs cannot be claimed from it: failed to use {namespace}:queue:bad: the user poor \
         may not touch it: type ACL SETUSER poor ~{namespace}:queue:bad"
    );
    assert_named_once(&listeners[0], &[&remedy]);

    server.command(&["ACL", "SETUSER", "poor", &format!("~{namespace}:queue:bad")]);
    let claims = instance.claim(&["bad", "good"], &[1, 2]).await;
    assert_eq!(payloads(&claims), [job(0), job(1)], "it is allowed again");
}

/// A store whose user may touch all keys but those with this prefix, by patterns.
async fn but(f: &Fixture, server: &RedisServer, patterns: &[&str]) -> Store<Whole> {
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    allow(server, namespace, patterns);
    let url = url.replace("redis+unix://", "redis+unix://poor:p@");
    let time = TimeSource::Clock(Arc::clone(&f.clock) as Arc<dyn Clock>);
    RedisStore::connect(&url, namespace, time).await.expect("it opens").into()
}

fn allow(server: &RedisServer, namespace: &str, patterns: &[&str]) {
    let patterns: Vec<String> = patterns.iter().map(|pattern| format!("~{namespace}:{pattern}")).collect();
    let mut rule = vec!["ACL", "SETUSER", "poor", "on", ">p", "resetkeys", "&*", "+@all"];
    rule.extend(patterns.iter().map(String::as_str));
    server.command(&rule);
}

/// All keys but the locks of JobLock.
const NO_JOB_LOCKS: [&str; 5] = ["[^w]*", "worker:*", "workers", "workers:*", "windlass:*"];

fn of_enter(reply: &Exchanged, index: usize) -> String {
    let refused = reply.refused.iter().find(|refused| refused.part == Part::Enter(index));
    refused.unwrap_or_else(|| panic!("{reply:?}")).error.to_string()
}

fn of_settlement(reply: &Exchanged, index: usize) -> (Vec<Extra>, String) {
    let of_it = reply.refused.iter().find_map(|refused| match &refused.part {
        Part::Settlement { index: at, extras } if *at == index => Some((extras.clone(), refused.error.to_string())),
        _ => None,
    });
    assert!(reply.undone.contains(&index), "{reply:?}");
    of_it.unwrap_or_else(|| panic!("{reply:?}"))
}

#[tokio::test]
async fn a_lock_whose_key_is_refused_stops_its_job_alone() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let store = but(&f, &server, &NO_JOB_LOCKS).await;
    fill(&f.store, "q", &jobs(0..5)).await;
    let mut instance = Instance::join(&store, "a", 4).await;
    let held = instance.claim(&["q"], &[1, 2, 3]).await;
    let whole = Exchange {
        settlements: vec![held[0].ends(Verdict::Done)],
        enters: vec![held[1].enters(&[gate(&job_lock(1), 1000)]), held[2].enters(&[])],
        ..instance.next_claim(&["q"], &[1, 4])
    };
    let reply = instance.send(&whole).await;
    assert_eq!((&reply.lost[..], &reply.undone[..]), (&[][..], &[][..]));
    assert_eq!(reply.entered, [Entered::Undone, Entered::Taken]);
    let said = of_enter(&reply, 0);
    assert!(said.contains("workerslock") && said.contains("type ACL SETUSER poor ~"), "{said}");
    let claims = claimed(&whole, &reply);
    assert_eq!(payloads(&claims), jobs(3..5), "the lane goes on");
    assert_eq!(counters(&f.store).await, (1, 0));
    // The reply was lost: nothing is applied twice, and it is told alike.
    let again = instance.send(&whole).await;
    assert_eq!(again.entered, reply.entered);
    assert_eq!(payloads(&claimed(&whole, &again)), jobs(3..5));
    assert_eq!(counters(&f.store).await, (1, 0));

    // The job fails. Its lock cannot be freed, and it says so; without that its end is recorded.
    let ends = Settlement { free: vec![job_lock(1)], ..held[1].ends(held[1].failed()) };
    let both = vec![ends.clone(), held[2].ends(Verdict::Done)];
    let reply = instance.settlements(both).await;
    assert_eq!(reply.undone, [0]);
    assert_eq!(of_settlement(&reply, 0).0, [Extra::Lock(job_lock(1))]);
    assert_eq!(instance.settle(vec![Settlement { free: Vec::new(), ..ends }]).await, [0_usize; 0]);
    assert_eq!((counters(&f.store).await, failed(&f.store).await.len()), ((2, 1), 1));
    assert_eq!(instance.settle(claims.iter().map(|claim| claim.ends(Verdict::Done)).collect()).await, [0_usize; 0]);
    assert_eq!(instance.working().await.len(), 0, "nothing stands for ever");
}

#[tokio::test]
async fn an_exchange_that_was_applied_before_a_key_was_refused_is_answered_as_a_whole() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { namespace, .. } = &f.place else { unreachable!("it is Redis") };
    let store = but(&f, &server, &["*"]).await;
    fill(&f.store, "q", &jobs(0..4)).await;
    let mut instance = Instance::join(&store, "a", 4).await;
    let held = instance.claim(&["q"], &[1, 2, 3]).await;
    let lost = Settlement { claim: windlass::job::ClaimToken::as_stored("00-0-0-0"), ..held[1].ends(Verdict::Done) };
    let whole = Exchange {
        settlements: vec![held[0].ends(Verdict::Done), lost],
        enters: vec![held[1].enters(&[gate(&job_lock(1), 1000)]), held[2].enters(&[gate(&job_lock(1), 1000)])],
        ..instance.next_claim(&["q"], &[4])
    };
    let reply = instance.send(&whole).await;
    assert_eq!((&reply.lost[..], reply.entered[0].clone()), (&[1][..], Entered::Taken));
    allow(&server, namespace, &NO_JOB_LOCKS);
    let again = instance.send(&whole).await;
    assert_eq!((&again.lost, &again.entered), (&reply.lost, &reply.entered), "of what was sent, not of what is left");
    assert_eq!(payloads(&claimed(&whole, &again)), payloads(&claimed(&whole, &reply)));
}

fn attempted(one: &Claimed) -> Verdict {
    Verdict::Attempted(Box::new(Retry {
        keys: RetryKeys { counter: "xretry:c".into(), failure: "xretry:f".into() },
        last_error: bytes::Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![1000],
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    }))
}

#[tokio::test]
async fn what_is_refused_of_a_settlement_is_named_by_extra() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    // Neither the keys of Retry nor the stamps of delayed jobs nor the queue itself.
    let store = but(&f, &server, &["[^qtx]*", "queues"]).await;
    fill(&f.store, "q", &jobs(0..5)).await;
    let mut instance = Instance::join(&f.store, "a", 5).await;
    let held = instance.claim(&["q"], &[1, 2, 3, 4, 5]).await;
    instance.store = store;
    instance.reopen().await;
    let settlements = vec![
        held[0].ends(attempted(&held[0])),
        held[1].ends(held[1].retried(500)),
        held[2].ends(held[2].requeued()),
        held[3].ticks(Verdict::Done, &crate::tick::tick(30)),
        held[4].ends(Verdict::Done),
    ];
    let reply = instance.settlements(settlements).await;
    assert_eq!(reply.undone, [0, 1, 2, 3], "{reply:?}");
    assert_eq!(of_settlement(&reply, 0).0, [Extra::Retry, Extra::Place]);
    assert_eq!(of_settlement(&reply, 1).0, [Extra::Place]);
    assert_eq!(of_settlement(&reply, 2).0, [Extra::Place]);
    assert_eq!(of_settlement(&reply, 3).0, [Extra::Tick]);
    assert_eq!(counters(&f.store).await, (1, 0), "the last one is recorded");
    let plain = held[..4].iter().map(|one| one.ends(one.failed())).collect();
    assert_eq!(instance.settle(plain).await, [0_usize; 0]);
    assert_eq!((counters(&f.store).await, instance.working().await.len()), ((1, 4), 0));
}

#[tokio::test]
async fn a_key_that_every_exchange_needs_is_named_as_a_missing_right() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let Place::Redis { namespace, .. } = &f.place else { unreachable!("it is Redis") };
    let store = but(&f, &server, &["*"]).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let mut instance = Instance::join(&store, "a", 2).await;
    let held = instance.claim(&["q"], &[1]).await;
    allow(&server, namespace, &["[^f]*"]);
    let exchange = Exchange { settlements: vec![held[0].ends(Verdict::Done)], ..instance.next_claim(&["q"], &[2]) };
    let error = instance.try_send(&exchange).await.expect_err("the failed list is refused");
    let named = format!("ACL SETUSER poor ~{namespace}:*");
    assert!(matches!(&error, StoreError::MissingRights(said) if said.contains(&named)), "{error:?}");
    allow(&server, namespace, &["*"]);
    let reply = instance.send(&exchange).await;
    assert_eq!((&reply.lost[..], payloads(&claimed(&exchange, &reply))), (&[][..], jobs(1..2)));
}

#[tokio::test]
async fn a_lock_of_another_type_stops_its_job_alone_and_is_told_with_what_to_type() {
    let f = Fixture::redis().await;
    fill(&f.store, "q", &jobs(0..4)).await;
    let mut instance = Instance::join(&f.store, "a", 3).await;
    let held = instance.claim(&["q"], &[1, 2]).await;
    let key = f.key(job_lock(1).as_str());
    f.redis_command(&["RPUSH", &key, "x"]);
    let whole = Exchange {
        enters: vec![held[0].enters(&[gate(&job_lock(1), 1000)]), held[1].enters(&[gate(&job_lock(2), 1000)])],
        ..instance.next_claim(&["q"], &[3])
    };
    let reply = instance.send(&whole).await;
    assert_eq!(reply.entered, [Entered::Undone, Entered::Taken]);
    let said = of_enter(&reply, 0);
    assert!(said.contains("it is a list and must be a string"), "{said}");
    assert!(said.contains(&format!(" RENAMENX '{key}' '{key}.aside'")), "{said}");
    assert_eq!(payloads(&claimed(&whole, &reply)), jobs(2..3));
    // It fails; what stands there is nobody's lock and stays.
    let ends = Settlement { free: vec![job_lock(1)], ..held[0].ends(held[0].failed()) };
    assert_eq!(instance.settle(vec![ends]).await, [0_usize; 0]);
    assert_eq!(failed(&f.store).await.len(), 1);
    assert_eq!(f.redis_command(&["LLEN", &key]), crate::support::resp::Reply::Int(1));
}

#[tokio::test]
async fn a_lane_of_another_type_ends_the_instance_and_not_its_lane() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let key = f.key("windlass:lane:a");
    f.redis_command(&["DEL", &key]);
    f.redis_command(&["SET", &key, "x"]);
    let exchange = instance.next_claim(&["q"], &[1]);
    assert!(instance.send(&exchange).await.dead, "it is unknown what was applied");
}
