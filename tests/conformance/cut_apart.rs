//! An exchange of which the path cuts off what is too long and the server refuses what needs a key of others: both are found, and all
//! else goes on, each once.

use bytes::Bytes;
use windlass::job::LockKey;
use windlass::store::effect::Verdict;
use windlass::store::queueing::{Entered, Exchange, Extra, Part};

use crate::cut_off::{LONGEST, behind_as, send};
use crate::fixture::{Fixture, soon};
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{counters, failed, fill, gate, job_lock, jobs, queued};
use crate::support::proxy::{Cut, Direction, Proxy};
use crate::support::redis::RedisServer;

/// A store behind a proxy, whose user may touch the keys of the namespace only, on a server that knows the scripts.
async fn behind() -> (RedisServer, Proxy, Fixture) {
    behind_as(|server, namespace, url| {
        server.command(&["ACL", "SETUSER", "poor", "on", ">secret", &format!("~{namespace}:*"), "&*", "+@all"]);
        url.replace("redis://", "redis://poor:secret@")
    })
    .await
}

/// A lock that this user may not touch.
fn outside() -> LockKey {
    LockKey::Verbatim("outside".to_owned())
}

fn record(claim: &Claimed) -> Bytes {
    Bytes::from([&claim.failure()[..], "x".repeat(3000).as_bytes()].concat())
}

#[tokio::test]
async fn what_is_too_long_together_goes_without_what_is_refused() {
    for lost in [false, true] {
        let (_server, proxy, f) = behind().await;
        let mut instance = Instance::join(&f.store, "a", 16).await;
        fill(&f.store, "q", &jobs(0..16)).await;
        let numbers: Vec<usize> = (1..=16).collect();
        let claims = instance.claim(&["q"], &numbers).await;
        proxy.bound(Direction::Requests, LONGEST);
        let end = |(n, claim): (usize, &Claimed)| {
            let free = if n == 7 { vec![outside()] } else { Vec::new() };
            claim.frees(Verdict::Failed { record: record(claim) }, &free)
        };
        let settlements = claims[..12].iter().enumerate().map(end).collect();
        let gates = [job_lock(0), outside(), job_lock(1), job_lock(0)];
        let enters = claims[12..].iter().zip(gates).map(|(claim, lock)| claim.enters(&[gate(&lock, 1000)])).collect();
        let exchange = Exchange { settlements, enters, ..instance.next() };
        // Also if the answer to a part is lost that was applied without what is refused.
        let cut = lost.then(|| proxy.cut_at(Cut::BeforeReply, &[&claims[6].failure()[..]]));
        let reply = send(&mut instance, &exchange).await;
        if let Some(cut) = cut {
            soon("the answer is lost", cut).await.expect("the proxy must tell");
        }
        assert_eq!((reply.undone.as_slice(), reply.lost.as_slice()), (&[7][..], &[][..]));
        let parts: Vec<&Part> = reply.refused.iter().map(|refused| &refused.part).collect();
        let lock = vec![Extra::Lock(outside())];
        assert_eq!(parts, [&Part::Settlement { index: 7, extras: lock }, &Part::Enter(1)]);
        for refused in &reply.refused {
            assert!(refused.error.to_string().contains("ACL SETUSER poor ~outside"), "{}", refused.error);
        }
        let (taken, busy) = (Entered::Taken, Entered::PutBack { plugin: "JobLock" });
        assert_eq!(reply.entered, [taken.clone(), Entered::Undone, taken, busy]);
        let others: Vec<Bytes> = [&claims[..7], &claims[8..12]].concat().iter().map(record).collect();
        assert!(failed(&f.store).await == others, "each of the others once, in their order");
        // Without its lock it is recorded as well.
        instance.settlements(vec![claims[7].ends(Verdict::Failed { record: record(&claims[7]) })]).await;
        assert_eq!(counters(&f.store).await, (1, 12));
    }
}

#[tokio::test]
async fn replies_that_are_cut_off_become_shorter_for_what_is_left_of_an_exchange_too() {
    let (_server, proxy, f) = behind().await;
    let mut instance = Instance::join(&f.store, "a", 8).await;
    fill(&f.store, "first", &jobs(100..102)).await;
    let first = instance.claim(&["first"], &[1, 2]).await;
    let long = |n: usize| Bytes::from(format!(r#"{{"class":"add","queue":"q","args":[{n},"{}"]}}"#, "x".repeat(9000)));
    let all: Vec<Bytes> = (0..8).map(long).collect();
    fill(&f.store, "q", &all).await;
    proxy.bound(Direction::Replies, LONGEST);
    let settlements = vec![first[0].frees(Verdict::Done, &[outside()]), first[1].ends(Verdict::Done)];
    let exchange = Exchange { settlements, ..instance.next_claim(&["q"], &[2, 3, 4, 5, 6, 7, 8]) };
    let reply = send(&mut instance, &exchange).await;
    assert!(proxy.closed_for_length() > 0, "the first reply was too long");
    assert_eq!((reply.undone.as_slice(), reply.lost.as_slice(), reply.refused.len()), (&[0][..], &[][..], 1));
    let claims = claimed(&exchange, &reply);
    let mut ran: Vec<Bytes> = claims.iter().map(|claim| claim.claim.payload.clone()).collect();
    proxy.bound(Direction::Replies, u64::MAX);
    let left = queued(&f.store, "q").await;
    ran.extend(left);
    assert!(ran == all, "each is claimed or waits, once");
    instance.settlements(vec![first[0].ends(Verdict::Done)]).await;
    assert_eq!(counters(&f.store).await, (3, 0));
    assert_eq!(queued(&f.store, "first").await, [""; 0]);
}
