//! Jobs of megabytes end in each way as they are, and are not sent again for it.

use bytes::Bytes;
use windlass::job::LockKey;
use windlass::job::queue_member::with_queue;
use windlass::store::delayed::{DelayedIdentities, DelayedJob, ReadAttempts};
use windlass::store::effect::{Retry, RetryKeys, Verdict};
use windlass::store::queueing::Entered;
use windlass::store::workers::{Recovered, Recovery};

use crate::fixture::{Fixture, Place};
use crate::instance::{Claimed, Instance};
use crate::large::of_size;
use crate::look::{delayed_at, failed, fill, gate, job, locks, promote_all, push, queue, queued, seconds};
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

/// The ends after which a job waits or stands again, and the last one.
const ENDS: [fn(&Claimed) -> Verdict; 4] =
    [Claimed::requeued, |claim: &Claimed| claim.retried(0), attempt, Claimed::failed];

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
    let kept = attempts[0].as_ref().expect("an attempt failed");
    assert_eq!((kept.count, kept.last_error.is_none()), (1, true), "it holds the arguments, which are long");
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

/// Another program writes the record of a long job anew: the claim at its beginning stands, and the job ends all the same.
#[tokio::test]
async fn a_long_job_whose_record_was_written_anew_ends_as_it_was() {
    let f = Fixture::redis().await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let long = of_size(1, 200_000);
    let lock = LockKey::Namespaced(format!("workerslock:large:q:{}", String::from_utf8_lossy(&long)));
    let anew = |claim: &Claimed| {
        let key = f.key(&format!("worker:{}", claim.worker.id()));
        let record = f.redis_command(&["GET", &key]).texts().concat();
        let behind = record.strip_suffix('}').expect("a record is an object");
        f.redis_command(&["SET", &key, &format!("{behind},\"seen\":true}}")]);
    };
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    for verdict in ENDS {
        f.pass(5);
        promote_all(&f.store, "q", 1).await;
        let claim = instance.claim_one("q").await;
        anew(&claim);
        let settlement = claim.frees(verdict(&claim), std::slice::from_ref(&lock));
        let refused = instance.settlements(vec![settlement.clone()]).await;
        assert_eq!((refused.undone, refused.lost), (vec![0], Vec::new()));
        assert!(refused.findings[0].to_string().contains("another program wrote it anew"), "{:?}", refused.findings);
        let ended = instance.settlements(vec![settlement]).await;
        assert_eq!((ended.undone, ended.lost, ended.findings), (Vec::new(), Vec::new(), Vec::new()));
        assert_eq!(instance.working().await, []);
        if let Verdict::Failed { record } = verdict(&claim) {
            assert!(failed(&f.store).await == [record], "the record has the job as it was");
        }
    }
    // At its gates it is given back, and what ends it then is sent whole at once.
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    let claim = instance.claim_one("q").await;
    anew(&claim);
    assert_eq!(instance.enter(&claim, &[gate(&lock, 1000)]).await, Entered::Undone);
    assert!(instance.settlements(vec![claim.ends(claim.requeued())]).await.undone.is_empty());
    assert!(queued(&f.store, "q").await == [long]);
}

/// How many bytes a server has received.
fn received(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "stats"]).texts().concat();
    let line = stats.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:").map(str::to_owned));
    line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).expect("the server tells what it received")
}

/// A job of some megabytes.
fn megabytes() -> Bytes {
    let words: Vec<String> = (0..300_000).map(|n| format!("word{n}")).collect();
    Bytes::from(format!(r#"{{"class":"large","args":["{}"]}}"#, words.join(" ")))
}

/// How many bytes the ends of a job of some megabytes take on the way to the server.
#[tokio::test]
async fn a_long_job_that_ends_is_not_sent_again() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let received = || received(&server);
    let mut instance = Instance::join(&f.store, "a", 2).await;
    let long = megabytes();
    let lock = LockKey::Namespaced(format!("workerslock:large:q:{}", String::from_utf8_lossy(&long)));
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    let before = received();
    for verdict in ENDS {
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

/// How many bytes it takes to ask about such a job, and to hand it to a server that does not know the script.
#[tokio::test]
async fn a_long_job_that_is_asked_about_goes_once_at_most() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    let mut instance = Instance::join(&f.store, "a", 1).await;
    let long = megabytes();
    let once = 0..long.len() as u64 * 11 / 10;
    server.command(&["SCRIPT", "FLUSH"]);
    let before = received(&server);
    fill(&f.store, "q", std::slice::from_ref(&long)).await;
    let sent = received(&server) - before;
    assert!(once.contains(&sent), "{sent} bytes to enqueue a job of {}", long.len());
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, attempt(&claim)).await;
    let (put_off, second) = (with_queue(&long, "q"), seconds(&f.store).await[0].0);

    let before = received(&server);
    assert_eq!(f.store.scheduled_at(&put_off).await.expect("scheduled_at"), [second]);
    let sent = received(&server) - before;
    assert!(once.contains(&sent), "{sent} bytes to ask when it is due");

    let before = received(&server);
    let keys = [&put_off, &job(1)].map(|job| RetryKeys::of_job(job).expect("it is a job")).to_vec();
    let attempts = f.store.run(ReadAttempts { keys }).await.expect("read_attempts");
    let counts: Vec<_> = attempts.iter().map(|one| one.as_ref().map(|one| one.count)).collect();
    assert_eq!(counts, [Some(1), None]);
    let sent = received(&server) - before;
    assert!(once.contains(&sent), "{sent} bytes to ask how often it failed");

    let at = |second: i64, payload: &Bytes| DelayedJob { second, queue: queue("q"), payload: payload.clone() };
    let jobs = vec![at(second, &job(1)), at(second, &put_off), at(second + 1, &put_off), at(second, &long)];
    let before = received(&server);
    let known = f.store.run(DelayedIdentities { jobs }).await.expect("identities");
    let attempts: Vec<_> = known.iter().map(|one| one.as_ref().map(|one| one.attempt)).collect();
    assert_eq!(attempts, [None, Some(2), None, None], "only the one that stands there is known");
    let sent = received(&server) - before;
    assert!(sent < 100_000, "{sent} bytes to ask who it is");
}

/// A user who may run only what the server knows.
#[tokio::test]
async fn a_user_without_the_right_to_eval_hands_on_long_jobs_too() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    fill(&f.store, "q", &[job(1)]).await;
    server.command(&["ACL", "SETUSER", "poor", "on", ">p", "~*", "&*", "+@all", "-eval"]);
    let Place::Redis { url, namespace } = &f.place else { unreachable!("it is Redis") };
    let url = url.replace("redis+unix://", "redis+unix://poor:p@");
    let poor = Fixture::at(Place::Redis { url, namespace: namespace.clone() }).await;
    let long = megabytes();
    fill(&poor.store, "q", std::slice::from_ref(&long)).await;
    assert!(queued(&f.store, "q").await == [job(1), long.clone()]);
    server.command(&["SCRIPT", "FLUSH"]);
    for one in [job(2), long] {
        let refused = poor.store.enqueue(&[push("q", &one, &[])]).await.expect_err("nobody knows the script");
        assert!(refused.to_string().contains("type ACL SETUSER poor +eval ("), "{refused}");
    }
}
