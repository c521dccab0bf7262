//! A refused command may not stop the steps that do not need it: what ended is settled, the lease is extended, locks are
//! freed. What cannot be known is not taken for nothing.

use bytes::Bytes;
use windlass::store::effect::{Busy, Gate, Retry, RetryKeys, Verdict};
use windlass::store::queueing::{Entered, Exchange, When};
use windlass::store::scheduling::Leadership;
use windlass::store::wake::Watch;

use super::{TIMES, World, commands};
use crate::fixture::{NOW_S, soon};
use crate::instance::{Claimed, Instance, claimed};
use crate::look::{delay, failed, fill, gate, job, job_lock, jobs, lock, locks, promote_all, queue, queued, take};
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;

arrows! {
    retry: ["locks", "places", "identity", "delay", "verdict", "lane", "settle", "claim"];
    free: ["locks", "places", "identity", "delay", "verdict", "lane", "settle", "claim"];
    gates: ["locks", "places", "identity", "delay", "verdict", "lane", "settle", "enter", "claim"];
    due: ["page", "due"];
}

fn keys() -> RetryKeys {
    RetryKeys { counter: "resque-retry:a:1".into(), failure: "failure-resque-retry:a:1".into() }
}

fn attempted(one: &Claimed) -> Verdict {
    Verdict::Attempted(Box::new(Retry {
        keys: keys(),
        last_error: Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![1000],
        identity: one.claim.identity.next_attempt(),
        last: Some(one.failure()),
    }))
}

/// A job is repeated as often as it may be, whatever was refused at its first failure.
async fn retry(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    let mut repeated = 0;
    for run in 0..5 {
        let one = instance.claim_one("q").await;
        let exchange = Exchange { settlements: vec![one.ends(attempted(&one))], ..instance.next() };
        let mut reply =
            if run == 0 { w.exchange(&mut instance, &exchange, &[]).await } else { instance.send(&exchange).await };
        if !reply.undone.is_empty() {
            let left = w.f.redis_command(&["EXISTS", &w.f.key("resque-retry:a:1")]);
            assert_eq!(left, Reply::Int(0), "{}: what was not applied is not counted", w.command);
            w.stands_once(&job(0));
            let again = Exchange { settlements: exchange.settlements, ..instance.next() };
            reply = instance.send(&again).await;
        }
        assert_eq!((&reply.lost[..], &reply.undone[..]), (&[][..], &[][..]), "{}", w.command);
        w.stands_once(&job(0));
        if reply.repeated.is_empty() {
            break;
        }
        repeated += 1;
        w.f.pass(5);
        assert_eq!(promote_all(&w.f.store, "q", 10).await, 1);
    }
    assert_eq!((repeated, failed(&w.f.store).await.len()), (2, 1), "{}: three attempts", w.command);
}

/// A claim that is over holds no lock.
async fn free(w: &World) {
    fill(&w.f.store, "q", &jobs(0..7)).await;
    let mut instance = Instance::join(&w.f.store, "a", 7).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4, 5, 6, 7]).await;
    for (n, one) in claims.iter().enumerate() {
        assert_eq!(instance.enter(one, &[gate(&job_lock(n), 1000)]).await, Entered::Taken);
    }
    let ends = [
        Verdict::Done,
        claims[1].failed(),
        claims[2].requeued(),
        claims[3].retried(5000),
        attempted(&claims[4]),
        Verdict::DoneAtLast { keys: keys() },
        Verdict::Vetoed { retry: None },
    ];
    let settlements = claims.iter().zip(ends).enumerate();
    let settlements = settlements.map(|(n, (one, end))| one.frees(end, &[job_lock(n)])).collect();
    w.refuse();
    let mut exchange = Exchange { settlements, ..instance.next() };
    for _ in 0..TIMES {
        if let Some(reply) = w.check(instance.try_send(&exchange).await) {
            let kept: Vec<_> = reply.undone.iter().map(|index| exchange.settlements[*index].clone()).collect();
            w.allow();
            let (held, works) = (locks(&w.f.store).await, instance.working().await.len());
            assert!(held.len() <= works, "{}: {works} claims hold {held:?}", w.command);
            w.refuse();
            exchange = Exchange { settlements: kept, ..instance.next() };
        }
    }
    w.allow();
    let reply = instance.send(&exchange).await;
    assert_eq!((reply.lost, reply.undone), (Vec::new(), Vec::new()), "{}", w.command);
    assert_eq!((locks(&w.f.store).await, instance.working().await), (Vec::new(), Vec::new()), "{}", w.command);
    w.stand_once(&jobs(1..5));
}

/// A job whose gates are free is not put back or dropped, and one that runs has freed what it had to.
async fn gates(w: &World) {
    let (queue_lock, busy) = (lock(0), Busy::Drop { free: vec![lock(9)], tick: None, retry: None });
    let take_lock = |n| Gate::TakeLock { plugin: "JobLock", key: job_lock(n), ttl_s: 60, busy: busy.clone() };
    w.f.store.enqueue(&[crate::look::push("q", &job(0), &[take(&queue_lock, 60)])]).await.expect("enqueue");
    fill(&w.f.store, "q", &[job(1)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    w.f.plant_lock(&job_lock(7), "held");
    w.f.plant_lock(&lock(9), "1");
    let enters = vec![
        claims[0].enters(&[Gate::FreeLock { key: queue_lock.clone() }, take_lock(1), gate(&job_lock(2), 1000)]),
        // Its second gate is busy.
        claims[1].enters(&[take_lock(3), take_lock(7)]),
    ];
    let exchange = Exchange { enters, ..instance.next() };
    let reply = w.exchange(&mut instance, &exchange, &[]).await;
    let held = locks(&w.f.store).await;
    let is_held = |key: &windlass::job::LockKey| held.iter().any(|held| held == key.as_str());
    match &reply.entered[0] {
        Entered::Taken => assert!(!is_held(&queue_lock), "{}: {held:?}", w.command),
        Entered::Undone => assert!(!is_held(&job_lock(1)) && !is_held(&job_lock(2)), "{}: {held:?}", w.command),
        other => panic!("{}: {other:?}", w.command),
    }
    w.stands_once(&job(0));
    match &reply.entered[1] {
        Entered::Dropped { .. } => {
            assert_eq!(w.copies(&job(1)), 0, "{}", w.command);
            assert!(!is_held(&lock(9)), "{}: {held:?}", w.command);
        }
        Entered::Undone => w.stands_once(&job(1)),
        other => panic!("{}: {other:?}", w.command),
    }
    assert!(!is_held(&job_lock(3)), "{}: {held:?}", w.command);
}

/// A due second whose jobs may not be read is not taken for one whose key holds something else.
async fn due(w: &World) {
    for n in 0..3 {
        delay(&w.f.store, &job(n), When::At(NOW_S + 1)).await;
    }
    w.f.pass(5);
    w.refuse();
    for _ in 0..TIMES {
        if let Some(due) = w.check(w.f.store.due(10, &[]).await) {
            assert_eq!((due.jobs, due.broken), (jobs(0..3), None), "{}", w.command);
        }
    }
    w.allow();
    assert_eq!(promote_all(&w.f.store, "q", 10).await, 3, "{}", w.command);
}

/// Whatever else claims and promotions take may be missing.
#[tokio::test]
async fn what_ended_is_settled_while_a_right_is_missing_that_it_does_not_take() {
    // These every exchange takes. Without the time of a clock, all others are for claims, promotions, or what else.
    for command in commands(&["rights"]).iter().filter(|command| !["HGET", "HSET", "MGET"].contains(&command.as_str()))
    {
        let w = World::new(command).await;
        fill(&w.f.store, "q", &jobs(0..6)).await;
        let mut instance = Instance::join(&w.f.store, "a", 4).await;
        let claims = instance.claim(&["q"], &[1, 2, 3]).await;
        w.refuse();
        // Somebody meets the refusal.
        let _ = w.f.store.delete_delayed(&job(9)).await;
        let mut kept = Vec::new();
        for one in &claims {
            let claim = instance.next_claim(&["q"], &[4]);
            let exchange = Exchange { settlements: vec![one.ends(Verdict::Done)], ..claim };
            let reply = instance.try_send(&exchange).await.unwrap_or_else(|error| panic!("{command}: {error}"));
            assert_eq!((&reply.lost[..], &reply.undone[..]), (&[][..], &[][..]), "{command}");
            kept.extend(claimed(&exchange, &reply));
        }
        assert!(kept.len() <= 1, "{command}");
        w.allow();
        assert_eq!(instance.working().await.len(), kept.len(), "{command}: what ended is on record no more");
        assert_eq!(queued(&w.f.store, "q").await.len() + kept.len(), 3, "{command}");
    }
}

#[tokio::test]
async fn the_lease_is_extended_without_the_right_to_count() {
    let w = World::new("HINCRBY").await;
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    fill(&w.f.store, "q", &[job(0)]).await;
    let one = instance.claim_one("q").await;
    let counter = instance.state().await.expect("state").counter;
    let extend = instance.extension();
    w.refuse();
    for more in 1..=3 {
        let extended = w.f.store.extend(&extend).await.expect("extend");
        assert!(!extended.dead);
        extended.findings.iter().for_each(|finding| w.names_it(finding));
        assert_eq!(instance.state().await.expect("state").counter, counter + more);
    }
    let mut other = extend.clone();
    other.record.id = "nobody".to_owned();
    assert!(w.f.store.extend(&other).await.expect("extend").dead, "it has no registration");
    w.allow();
    assert!(w.f.store.extend(&other).await.expect("extend").dead, "and has none now");
    instance.settle_one(&one, Verdict::Done).await;
}

#[tokio::test]
async fn a_pause_that_may_not_be_read_is_not_taken_for_none() {
    for (command, name) in [("SMEMBERS", Some(queue("q"))), ("GET", None)] {
        let w = World::new(command).await;
        fill(&w.f.store, "q", &jobs(0..2)).await;
        let mut instance = Instance::join(&w.f.store, "a", 2).await;
        w.f.store.pause(name.as_ref()).await.expect("pause");
        w.refuse();
        let exchange = instance.next_claim(&["q"], &[1, 2]);
        let reply = instance.send(&exchange).await;
        assert_eq!(reply.claims.len(), 0, "{command}");
        reply.findings.iter().for_each(|finding| w.names_it(finding));
    }
    // A listing reads the names page by page.
    for command in ["SSCAN", "GET"] {
        let w = World::new(command).await;
        w.f.store.pause(Some(&queue("q"))).await.expect("pause");
        w.refuse();
        w.names_it(&w.f.store.paused().await.expect_err(command));
    }
}

#[tokio::test]
async fn a_length_that_may_not_be_read_is_not_taken_for_nought() {
    let w = World::new("LLEN").await;
    fill(&w.f.store, "q", &[job(0)]).await;
    let waker = w.f.store.waker().await.expect("waker");
    let watch = Watch { queues: vec![queue("q"), queue("odd")], ..Watch::default() };
    w.f.redis_command(&["SET", &w.f.key("queue:odd"), "x"]);
    w.refuse();
    waker.arm(&watch).await.expect("arm");
    w.names_it(&w.f.store.queues().await.expect_err("the listing"));
    w.allow();
    // Nothing changes any more, and the server will not send anything.
    soon("the next look", waker.woken()).await;
    assert!(waker.arm(&watch).await.expect("arm").ready);
    let lengths = w.f.store.queues().await.expect("queues").queues;
    assert_eq!(lengths.iter().map(|one| one.length).sum::<u64>(), 1, "a key that is no list counts as empty");
}

#[tokio::test]
async fn an_instance_leaves_without_the_right_to_delete() {
    let w = World::new("DEL").await;
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let one = instance.claim_one("q").await;
    w.refuse();
    instance.settle_one(&one, Verdict::Done).await;
    assert!(w.f.store.lead(Leadership::Scheduler, "a", 60_000).await.expect("lead"));
    w.f.store.resign(Leadership::Scheduler, "a").await.expect("resign");
    assert!(w.f.store.lead(Leadership::Scheduler, "b", 60_000).await.expect("lead"), "it was given up");
    w.f.store.unregister("a", &[instance.worker(2)]).await.expect("unregister");
    w.f.store.leave(&instance.record).await.expect("leave");
    w.allow();
    let left: Vec<String> = w.f.redis_command(&["KEYS", &w.f.key("*")]).texts();
    let left: Vec<&String> = left
        .iter()
        // The test of the rights leaves a key that expires; the birth mark and the counts of queues are the store's.
        .filter(|key| ![":probe", ":birth", ":departed"].iter().any(|end| key.ends_with(end)))
        .filter(|key| key.contains("windlass:") || key.contains(":worker"))
        .collect();
    assert_eq!(left, [""; 0], "nothing is left of it");
}
