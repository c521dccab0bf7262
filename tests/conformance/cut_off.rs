//! A path that closes each connection over which more goes in one piece than it allows: what is cut off is found and named, and all
//! else goes on, each once.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Entered, Exchange, Exchanged, Part};

use crate::fixture::{Fixture, Place, soon};
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{counters, failed, fill, gate, job, job_lock, jobs, queued};
use crate::support::proxy::{Cut, Direction, Proxy};
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

/// How long one request or reply may be.
pub(crate) const LONGEST: u64 = 16 * 1024;

/// A store behind a proxy, on a server of its own that knows the scripts: nobody else makes it forget them, and they are longer
/// than the path allows.
async fn behind() -> (RedisServer, Proxy, Fixture) {
    behind_as(|_, _, url| url).await
}

/// The same for the user of the address that `user` makes of the server, the namespace and the address.
pub(crate) async fn behind_as(
    user: impl FnOnce(&RedisServer, &str, String) -> String,
) -> (RedisServer, Proxy, Fixture) {
    let server = RedisServer::start(Options::default());
    let proxy = Proxy::start(&server.socket()).await;
    let Place::Redis { namespace, .. } = Place::redis_on(&server) else { unreachable!("it is Redis") };
    let url = user(&server, &namespace, proxy.url());
    let f = Fixture::at(Place::Redis { url, namespace }).await;
    let mut instance = Instance::join(&f.store, "warm", 1).await;
    fill(&f.store, "warm", &jobs(0..1)).await;
    let claim = instance.claim_one("warm").await;
    instance.enter(&claim, &[gate(&job_lock(0), 1000)]).await;
    instance.settle(vec![claim.frees(Verdict::Done, &[job_lock(0)])]).await;
    (server, proxy, f)
}

/// Repeats an exchange until its reply comes, as the pool does.
pub(crate) async fn send(instance: &mut Instance, exchange: &Exchange) -> Exchanged {
    for _ in 0..200 {
        match instance.try_send(exchange).await {
            Ok(reply) => return reply,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        // The server is reached again in its own time.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the exchange never ends");
}

/// A failure with a record that is too long for the path.
fn too_long(claim: &Claimed) -> Verdict {
    let error = "e".repeat(20_000);
    Verdict::Failed { record: Bytes::from(format!("{{\"error\":\"{error}\",\"payload\":{}}}", claim.failure().len())) }
}

/// A failure with a record that is long enough to be sent in parts.
fn at_length(claim: &Claimed) -> Verdict {
    let error = format!("it broke at length{}", "h".repeat(3000));
    Verdict::Failed { record: Bytes::from(format!("{{\"error\":\"{error}\",\"payload\":{}}}", claim.failure().len())) }
}

#[tokio::test]
async fn an_end_that_is_cut_off_is_named_and_the_others_are_recorded() {
    let (_server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 12).await;
    fill(&f.store, "q", &jobs(0..13)).await;
    let numbers: Vec<usize> = (1..=12).collect();
    let claims = instance.claim(&["q"], &numbers).await;
    assert_eq!(claims.len(), 12);
    proxy.bound(Direction::Requests, LONGEST);
    let ends = |claims: &[Claimed]| {
        claims
            .iter()
            .enumerate()
            .map(|(n, claim)| claim.ends(if n == 7 { too_long(claim) } else { claim.failed() }))
            .collect()
    };
    let exchange = Exchange { settlements: ends(&claims), ..instance.next_claim(&["q"], &numbers) };
    let reply = send(&mut instance, &exchange).await;
    assert_eq!((reply.undone.as_slice(), reply.lost.as_slice()), (&[7][..], &[][..]));
    let [refused] = &reply.refused[..] else { panic!("{:?}", reply.refused) };
    assert_eq!(refused.part, Part::Settlement { index: 7, extras: Vec::new() });
    let told = refused.error.to_string();
    for words in ["the end of a job of task add", "client-query-buffer-limit", "of a proxy on the way"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(reply.more, "it claims with the next exchange");
    assert_eq!(failed(&f.store).await.len(), 11, "each of the others once");
    assert_eq!(counters(&f.store).await, (1, 11));
    // The next exchange goes on, and the end that is known delays nobody for long.
    let before = proxy.closed_for_length();
    let exchange =
        Exchange { settlements: vec![claims[7].ends(too_long(&claims[7]))], ..instance.next_claim(&["q"], &[1]) };
    assert_eq!(send(&mut instance, &exchange).await.undone, [0]);
    assert_eq!(proxy.closed_for_length() - before, 1, "it is not searched for again");
    let claims_next = instance.next_claim(&["q"], &[1]);
    let reply = send(&mut instance, &claims_next).await;
    assert_eq!(claimed(&claims_next, &reply).len(), 1);
    // The limit is raised.
    proxy.bound(Direction::Requests, u64::MAX);
    let exchange = Exchange { settlements: vec![claims[7].ends(too_long(&claims[7]))], ..instance.next() };
    let reply = send(&mut instance, &exchange).await;
    assert_eq!((reply.undone.len(), reply.lost.len()), (0, 0));
    assert_eq!(failed(&f.store).await.len(), 12);
}

#[tokio::test]
async fn what_is_too_long_together_goes_in_parts() {
    let (_server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 30).await;
    fill(&f.store, "q", &jobs(0..30)).await;
    let numbers: Vec<usize> = (1..=30).collect();
    let claims = instance.claim(&["q"], &numbers).await;
    proxy.bound(Direction::Requests, LONGEST);
    let record = |claim: &Claimed| Bytes::from([&claim.failure()[..], "x".repeat(4000).as_bytes()].concat());
    let settlements = claims[..20].iter().map(|claim| claim.ends(Verdict::Failed { record: record(claim) })).collect();
    // One that is not ours any more, and ten at their gates.
    let lost = claims[20].ends(Verdict::Done);
    instance.settle(vec![claims[20].ends(Verdict::Done)]).await;
    let enters =
        claims[21..].iter().enumerate().map(|(n, claim)| claim.enters(&[gate(&job_lock(n / 2), 1000)])).collect();
    let exchange = Exchange { settlements: [settlements, vec![lost]].concat(), enters, ..instance.next() };
    // Besides the answer is lost that the number of the whole was taken, and that to a part which was applied.
    let lost = [&b"!0,!1,!2"[..], &claims[3].failure()].map(|needle| proxy.cut_at(Cut::BeforeReply, &[needle]));
    let reply = send(&mut instance, &exchange).await;
    for lost in lost {
        soon("the answer is lost", lost).await.expect("the proxy must tell");
    }
    assert_eq!((reply.lost.as_slice(), reply.undone.len(), reply.refused.len()), (&[20][..], 0, 0));
    let taken: Vec<bool> = reply.entered.iter().map(|entered| *entered == Entered::Taken).collect();
    assert_eq!(taken, [true, false, true, false, true, false, true, false, true], "{:?}", reply.entered);
    assert!(failed(&f.store).await == claims[..20].iter().map(record).collect::<Vec<_>>(), "in their order");
    assert_eq!(counters(&f.store).await, (2, 20));
}

#[tokio::test]
async fn replies_that_are_cut_off_become_shorter_until_they_pass() {
    let (_server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 8).await;
    let long = |n: usize| Bytes::from(format!(r#"{{"class":"add","queue":"q","args":[{n},"{}"]}}"#, "x".repeat(9000)));
    let all: Vec<Bytes> = (0..8).map(long).chain([job(99)]).collect();
    fill(&f.store, "q", &all).await;
    proxy.bound(Direction::Replies, LONGEST);
    let (mut ran, mut held): (BTreeSet<Bytes>, Vec<Claimed>) = (BTreeSet::new(), Vec::new());
    let numbers: Vec<usize> = (1..=8).collect();
    while ran.len() < all.len() {
        let settlements = held.iter().map(|claim| claim.ends(Verdict::Done)).collect();
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &numbers) };
        let reply = send(&mut instance, &exchange).await;
        assert_eq!((reply.lost.len(), reply.undone.len()), (0, 0));
        held = claimed(&exchange, &reply);
        assert!(held.iter().all(|claim| ran.insert(claim.claim.payload.clone())), "each once");
    }
    assert!(ran == all.into_iter().collect());
    assert!(proxy.closed_for_length() > 0, "the first replies were too long");
    let ended = held.iter().map(|claim| claim.ends(Verdict::Done)).collect();
    let exchange = Exchange { settlements: ended, ..instance.next() };
    send(&mut instance, &exchange).await;
    proxy.bound(Direction::Replies, u64::MAX);
    assert_eq!(counters(&f.store).await, (10, 0));
    assert_eq!(queued(&f.store, "q").await, [""; 0]);
}

#[tokio::test]
async fn a_path_that_loses_long_calls_now_and_then_ends_no_job_for_its_length() {
    let (_server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    fill(&f.store, "q", &jobs(0..1)).await;
    let claim = instance.claim_one("q").await;
    let record = Bytes::from([&claim.failure()[..], "y".repeat(4000).as_bytes()].concat());
    // The whole twice, and the part that it is as often; a call as long as that passes.
    let lost: Vec<_> = (0..4).map(|_| proxy.cut_at(Cut::BeforeRequest, &["yyyyyyyy"])).collect();
    let settlements = vec![claim.ends(Verdict::Failed { record: record.clone() })];
    let exchange = Exchange { settlements, ..instance.next() };
    let reply = send(&mut instance, &exchange).await;
    for lost in lost {
        soon("the call is lost", lost).await.expect("the proxy must tell");
    }
    assert_eq!((reply.undone.len(), reply.refused.len(), reply.lost.len()), (0, 0, 0));
    assert_eq!(failed(&f.store).await, [record]);
}

/// What a worker did is counted once for it, also if its count goes with an exchange of which only the fence finds the answer.
#[tokio::test]
async fn what_an_exchange_counted_whose_answers_are_lost_is_not_counted_again() {
    let (server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let long = |n: usize| Bytes::from(format!(r#"{{"class":"add","queue":"q","args":[{n},"{}"]}}"#, "z".repeat(3000)));
    let all: Vec<Bytes> = (0..42).map(long).collect();
    fill(&f.store, "q", &all).await;
    let mut claims = instance.claim(&["q"], &[1, 2]).await;
    // So many full exchanges that a worker's own count lags.
    for _ in 0..19 {
        let settlements = claims.iter().map(|claim| claim.ends(Verdict::Done)).collect();
        let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[1, 2]) };
        let reply = instance.send(&exchange).await;
        claims = claimed(&exchange, &reply);
        assert_eq!(claims.len(), 2);
    }
    let counted = |n: usize| {
        let key = f.key(&format!("stat:processed:{}", instance.worker(n).name()));
        server.command(&["GET", &key]).texts().concat()
    };
    assert_ne!(counted(1), "19", "its count lags");
    let exchange = Exchange {
        settlements: vec![claims[0].ends(Verdict::Done), claims[1].ends(at_length(&claims[1]))],
        ..instance.next()
    };
    let lost: Vec<_> = (0..2).map(|_| proxy.cut_at(Cut::BeforeReply, &["it broke at length"])).collect();
    let reply = send(&mut instance, &exchange).await;
    for lost in lost {
        soon("the answer is lost", lost).await.expect("the proxy must tell");
    }
    assert_eq!((reply.lost.len(), reply.undone.len()), (0, 0));
    let claims = instance.claim(&["q"], &[1]).await;
    instance.settle_one(&claims[0], Verdict::Done).await;
    let key = f.key(&format!("stat:processed:{}", instance.worker(1).name()));
    assert_eq!(server.command(&["GET", &key]).texts(), ["21"]);
    assert_eq!(counters(&f.store).await, (19 * 2 + 2 + 1, 1));
}

/// An instance that is buried while it finds out what is cut off leaves nothing behind.
#[tokio::test]
async fn an_instance_that_is_buried_between_the_parts_leaves_no_lane() {
    let (server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 2).await;
    fill(&f.store, "q", &jobs(0..2)).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    proxy.bound(Direction::Requests, LONGEST);
    let exchange = Exchange { settlements: vec![claims[0].ends(too_long(&claims[0]))], ..instance.next() };
    for _ in 0..2 {
        instance.try_send(&exchange).await.expect_err("it is cut off");
    }
    proxy.bound(Direction::Requests, u64::MAX);
    let observer = f.handle().await;
    for claim in &claims {
        let working = observer.working(std::slice::from_ref(&claim.worker)).await.expect("working").remove(0);
        assert!(observer.force_clean(&claim.worker, working.as_ref(), None, &[]).await.expect("force_clean"));
    }
    let state = instance.state().await.expect("it is registered");
    assert!(observer.bury(&state).await.expect("bury"));
    let reply = send(&mut instance, &exchange).await;
    assert!(reply.dead);
    let lane = f.key("windlass:lane:a");
    assert_eq!(server.command(&["KEYS", &lane]).texts(), [""; 0]);
    // Nor does a lane that begins only now.
    instance.reopen().await;
    let exchange = instance.next_claim(&["q"], &[1]);
    assert!(instance.send(&exchange).await.dead);
    assert_eq!(server.command(&["KEYS", &lane]).texts(), [""; 0]);
}
