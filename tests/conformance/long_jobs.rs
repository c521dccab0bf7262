//! Jobs of megabytes end in each way as they are, and are not sent again for it.

use bytes::Bytes;
use windlass::job::LockKey;
use windlass::job::queue_member::with_queue;
use windlass::store::delayed::ReadAttempts;
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::queueing::Entered;
use windlass::store::workers::{Recovered, Recovery};

use crate::fixture::{Fixture, Place};
use crate::instance::{Claimed, Instance};
use crate::large::of_size;
use crate::look::{delayed_at, failed, fill, gate, locks, promote_all, queue, queued, seconds};
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

behaviours! {
    a_long_job_ends_in_every_way_as_it_was,
    a_long_job_that_is_put_off_waits_as_it_is,
}

async fn a_long_job_ends_in_every_way_as_it_was(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let long = of_size(1, 200_000);
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.requeued()).await;
    assert!(queued(&f.store, "q").await == [long.clone()]);
    // Its record is found by its bytes, and its owner is dead.
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.claim.identity.redelivered, 1);
    let record = instance.working().await.remove(0);
    let recovery = |record: &windlass::store::working::WorkingRecord, verdict| Recovery {
        instance: None,
        record: record.clone(),
        queue: queue("q"),
        payload: long.clone(),
        verdict,
        free: Vec::new(),
        run: None,
        tick: None,
    };
    let mut other = record.clone();
    other.raw = Bytes::from([&record.raw[..record.raw.len() - 1], b" "].concat());
    let recovered = f.store.recover(&recovery(&other, claim.requeued())).await.expect("recover");
    assert_eq!(recovered, Recovered::No, "another record stands there");
    let recovered = f.store.recover(&recovery(&record, claim.requeued())).await.expect("recover");
    assert_eq!(recovered, Recovered::Yes);
    assert!(queued(&f.store, "q").await == [long.clone()]);
    for n in 1..=2 {
        let claim = instance.claim_one("q").await;
        assert!(claim.claim.payload == long);
        if n == 1 {
            instance.settle_one(&claim, claim.failed()).await;
            fill(&f.store, "q", std::slice::from_ref(&long)).await;
        } else {
            let record = instance.working().await.remove(0);
            let recovered = f.store.recover(&recovery(&record, claim.failed())).await.expect("recover");
            assert_eq!(recovered, Recovered::Yes);
        }
        let records = failed(&f.store).await;
        assert_eq!(records.len(), n);
        assert!(records[n - 1] == claim.failure(), "the record has the job as it was");
    }
    assert_eq!(instance.working().await.len(), 0);
}

/// A job like that of a client that names no queue, so that its bytes change when it is put off.
fn without_queue() -> Bytes {
    let words: Vec<String> = (0..20_000).map(|n| format!("word{n}")).collect();
    Bytes::from(format!(r#"{{"class":"large","args":["{}"]}}"#, words.join(" ")))
}

/// Retry's rule for a claim.
fn attempt(claim: &Claimed) -> Verdict {
    let payload = &claim.claim.payload;
    Verdict::Attempted(Box::new(Retry {
        keys: RetryKeys::of_job(payload).expect("it is a job"),
        last_error: Bytes::from([b"{\"payload\":", &payload[..], b"}"].concat()),
        attempts: 2,
        delays_ms: vec![1000],
        identity: claim.claim.identity.next_attempt(),
        last: Some(claim.failure()),
    }))
}

async fn a_long_job_that_is_put_off_waits_as_it_is(f: &Fixture) {
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let job = without_queue();
    let put_off = with_queue(&job, "q");
    let lock = LockKey::Namespaced(format!("workerslock:large:q:{}", String::from_utf8_lossy(&job)));
    fill(&f.store, "q", std::slice::from_ref(&job)).await;
    let waits = async |f: &Fixture| {
        let seconds = seconds(&f.store).await;
        assert_eq!(seconds.len(), 1);
        assert!(delayed_at(&f.store, seconds[0].0).await == [put_off.clone()]);
        assert_eq!(f.store.scheduled_at(&put_off).await.expect("scheduled_at"), [seconds[0].0]);
        f.pass(5);
        assert_eq!(promote_all(&f.store, "q", 10).await, 1);
        assert!(queued(&f.store, "q").await == [put_off.clone()]);
    };
    // By the end of a run, by the gates, and by an attempt that failed.
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.retried(1000)).await;
    waits(f).await;
    fill(&f.store, "other", std::slice::from_ref(&job)).await;
    let holds = instance.claim(&["other"], &[2]).await.remove(0);
    assert_eq!(instance.enter(&holds, &[gate(&lock, 1000)]).await, Entered::Taken);
    let claim = instance.claim_one("q").await;
    assert_eq!(claim.claim.identity.attempt, 2, "who it is went with it");
    assert_eq!(instance.enter(&claim, &[gate(&lock, 1000)]).await, Entered::PutBack { plugin: "JobLock" });
    instance.settle(vec![holds.frees(Verdict::Done, std::slice::from_ref(&lock))]).await;
    assert_eq!(locks(&f.store).await, [""; 0], "the lock is freed");
    waits(f).await;
    let claim = instance.claim_one("q").await;
    let read = ReadAttempts { keys: vec![RetryKeys::of_job(&put_off).expect("it is a job")] };
    instance.settle_one(&claim, attempt(&claim)).await;
    let attempts = f.store.run(read.clone()).await.expect("read_attempts");
    assert_eq!(attempts[0].as_ref().map(|attempts| attempts.count), Some(1));
    waits(f).await;
    // The last attempt, which its dead owner did not end.
    let claim = instance.claim_one("q").await;
    let record = instance.working().await.remove(0);
    let recovery = Recovery {
        instance: None,
        record,
        queue: queue("q"),
        payload: put_off.clone(),
        verdict: attempt(&claim),
        free: Vec::new(),
        run: None,
        tick: None,
    };
    assert_eq!(f.store.recover(&recovery).await.expect("recover"), Recovered::Yes);
    assert!(failed(&f.store).await == [claim.failure()], "the record has the job as it was");
    let attempts = f.store.run(read).await.expect("read_attempts");
    assert!(attempts[0].is_none(), "the state of Retry is gone");
    assert_eq!(instance.working().await.len(), 0);
    // Somebody removes the worker of such a job.
    fill(&f.store, "q", std::slice::from_ref(&job)).await;
    let claim = instance.claim_one("q").await;
    let record = instance.working().await.remove(0);
    let failure = claim.failure();
    for (seen, removed) in [(None, false), (Some(&record), true)] {
        let answer = f.store.force_clean(&claim.worker, seen, Some(&failure), &[]).await.expect("force_clean");
        assert_eq!(answer, removed);
    }
    assert!(failed(&f.store).await.last() == Some(&failure));
}

/// How many bytes the ends of a job of some megabytes take on the way to the server.
#[tokio::test]
async fn a_long_job_that_ends_is_not_sent_again() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let received = || {
        let stats = server.command(&["INFO", "stats"]).texts().concat();
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:").map(str::to_owned));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).expect("the server tells what it received")
    };
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let words: Vec<String> = (0..300_000).map(|n| format!("word{n}")).collect();
    let long = Bytes::from(format!(r#"{{"class":"large","args":["{}"]}}"#, words.join(" ")));
    let lock = LockKey::Namespaced(format!("workerslock:large:q:{}", String::from_utf8_lossy(&long)));
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    let before = received();
    let ends: [fn(&Claimed) -> Verdict; 4] =
        [Claimed::requeued, |claim: &Claimed| claim.retried(0), attempt, Claimed::failed];
    for verdict in ends {
        f.pass(5);
        promote_all(&f.store, "q", 1).await;
        let claim = instance.claim_one("q").await;
        assert_eq!(instance.enter(&claim, &[gate(&lock, 1000)]).await, Entered::Taken);
        instance.settle(vec![claim.frees(verdict(&claim), std::slice::from_ref(&lock))]).await;
    }
    assert_eq!(failed(&f.store).await.len(), 1);
    let sent = received() - before;
    assert!(long.len() > 3_000_000 && sent < 200_000, "{sent} bytes of a job of {}", long.len());
}
