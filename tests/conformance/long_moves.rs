//! Jobs of megabytes that people retry, move and delete, and that go to another store: as they are, and not sent more than once.

use bytes::Bytes;
use windlass::job::LockKey;
use windlass::store::delayed::{MoveDelayed, MoveTo};
use windlass::store::effect::Verdict;
use windlass::store::inspection::{
    DeleteEach, FailedJob, FailedRecord, JobsToDelete, QueueEnd, RemoveFailed, Retried, RetryFailed,
};
use windlass::store::instance::{Extend, LockRenewal, LongJob};
use windlass::store::moving::{Identify, SetAside, TakeIn, TakeInTarget, TakenIn, Target};
use windlass::store::queueing::{Entered, When};

use crate::fixture::{Fixture, NOW_S, Place};
use crate::inspect::fail;
use crate::instance::Instance;
use crate::look::{
    NOT_DELAYED, admit, delay, delayed_at, failed, fill, gate, job, locks, promote_all, queue, queued, refused,
    seconds, take,
};
use crate::support::redis::{Options, RedisServer};
use crate::support::verbs::Verbs as _;

behaviours! {
    long_jobs_go_back_from_the_failed_list_as_they_were,
    long_records_are_removed_wherever_they_stand_by_now,
    long_jobs_move_to_another_second_as_they_were,
    long_jobs_go_to_another_store_as_they_were,
}

/// A long job whose arguments have no two equal parts; those of different numbers have some in common.
fn long(n: usize, words: usize) -> Bytes {
    let words: Vec<String> = (0..words).map(|word| format!("word{word}")).collect();
    Bytes::from(format!(r#"{{"class":"large","queue":"q","args":[{n},"{}"]}}"#, words.join(" ")))
}

const WORDS: usize = 9000;

/// The lock that QueueLock takes for a job.
fn lock_of(payload: &Bytes) -> LockKey {
    LockKey::Namespaced(format!("lock:large:q:{}", String::from_utf8_lossy(payload)))
}

fn at(record: &Bytes, position: i64) -> FailedRecord {
    FailedRecord { record: record.clone(), position: Some(position) }
}

fn back(failed: FailedRecord, payload: &Bytes) -> FailedJob {
    FailedJob {
        failed,
        queue: queue("q"),
        payload: payload.clone(),
        admissions: Vec::new(),
        identity: None,
        mended: None,
    }
}

async fn long_jobs_go_back_from_the_failed_list_as_they_were(f: &Fixture) {
    let payloads = [long(0, WORDS), job(1), long(2, WORDS), long(2, WORDS), long(4, WORDS), long(5, WORDS)];
    let records = fail(f, &payloads).await;
    let locked = vec![take(&lock_of(&payloads[2]), 60)];
    let jobs = vec![
        back(at(&records[0], 0), &payloads[0]),
        // Seen elsewhere, and twice.
        back(at(&records[0], 3), &payloads[0]),
        back(at(&records[1], 5), &payloads[1]),
        FailedJob { admissions: locked.clone(), ..back(at(&records[2], 1), &payloads[2]) },
        FailedJob { admissions: locked, ..back((&records[3]).into(), &payloads[3]) },
        FailedJob { admissions: vec![NOT_DELAYED], ..back(at(&records[4], 400), &payloads[4]) },
    ];
    delay(&f.store, &payloads[4], When::At(NOW_S + 10)).await;
    let refused = |plugin| Retried::Refused { plugin };
    let expected =
        [Retried::Yes, Retried::Gone, Retried::Yes, Retried::Yes, refused("QueueLock"), refused("DelayQueueLock")];
    assert_eq!(f.store.run(RetryFailed { jobs: jobs.clone() }).await.expect("retry_failed"), expected);
    assert!(failed(&f.store).await == records[3..], "what is refused stays");
    assert!(queued(&f.store, "q").await == payloads[..3]);
    assert_eq!(locks(&f.store).await, [lock_of(&payloads[2]).as_str()]);
    // All that is left to be retried is gone.
    assert_eq!(
        f.store.run(RetryFailed { jobs: jobs[..2].to_vec() }).await.expect("retry_failed"),
        vec![Retried::Gone; 2]
    );
    f.store.delete_delayed(&payloads[4]).await.expect("delete_delayed");
    assert_eq!(f.store.run(RetryFailed { jobs: jobs[5..].to_vec() }).await.expect("retry_failed"), [Retried::Yes]);
    assert!(queued(&f.store, "q").await.last() == Some(&payloads[4]));
    assert!(failed(&f.store).await == [records[3].clone(), records[5].clone()]);
}

async fn long_records_are_removed_wherever_they_stand_by_now(f: &Fixture) {
    let payloads: Vec<Bytes> = (0..6).map(|n| if n == 3 { job(n) } else { long(n, WORDS) }).collect();
    let records = fail(f, &payloads).await;
    let remove = async |records: Vec<FailedRecord>| f.store.run(RemoveFailed { records }).await.expect("remove");
    assert_eq!(remove(vec![at(&records[0], 0)]).await, [true]);
    let meant = [at(&records[5], 5), at(&records[0], 0), at(&records[3], 3), (&records[1]).into()];
    assert_eq!(remove(meant.to_vec()).await, [true, false, true, true]);
    assert!(failed(&f.store).await == [records[2].clone(), records[4].clone()]);
}

async fn long_jobs_move_to_another_second_as_they_were(f: &Fixture) {
    let payloads: Vec<Bytes> = (0..5).map(|n| if n == 1 { job(n) } else { long(n, WORDS) }).collect();
    for payload in &payloads {
        delay(&f.store, payload, When::At(NOW_S + 5)).await;
    }
    let moved = async |which: &[usize], to: MoveTo| {
        let jobs = which.iter().map(|n| payloads[*n].clone()).collect();
        f.store.run(MoveDelayed { second: NOW_S + 5, jobs, to }).await.expect("move_delayed")
    };
    assert_eq!(moved(&[3, 1, 3], MoveTo::Second(NOW_S + 7)).await, 2, "one stands there once");
    assert!(delayed_at(&f.store, NOW_S + 7).await == [payloads[3].clone(), payloads[1].clone()]);
    assert_eq!(moved(&[2], MoveTo::Nowhere).await, 1);
    assert_eq!(f.store.scheduled_at(&payloads[2]).await.expect("scheduled_at"), [0_i64; 0]);
    assert_eq!(moved(&[2, 3], MoveTo::Now).await, 0);
    assert_eq!(moved(&[0], MoveTo::Now).await, 1);
    assert_eq!(promote_all(&f.store, "q", 5).await, 1);
    assert!(queued(&f.store, "q").await == payloads[..1]);
    assert_eq!(seconds(&f.store).await, [(NOW_S + 5, 1), (NOW_S + 7, 2)]);
    assert_eq!(f.store.delete_delayed(&payloads[4]).await.expect("delete_delayed"), [NOW_S + 5]);
}

async fn long_jobs_go_to_another_store_as_they_were(f: &Fixture) {
    let (target, payloads) = (f.sibling().await, [long(0, WORDS), long(1, WORDS)]);
    fill(&f.store, "q", &payloads[..1]).await;
    for payload in [&payloads[1], &job(9)] {
        delay(&f.store, payload, When::At(NOW_S + 5)).await;
    }
    let identity = target.store.run(Identify { fresh: "0f".to_owned(), mark: None }).await.expect("identify");
    let mut moved = 0;
    loop {
        let to = Target { id: identity.id.clone(), address: "there".to_owned() };
        let Some(batch) = f.store.run(SetAside { limit: 10, target: to }).await.expect("set_aside") else { break };
        let id = batch.id.clone();
        let once = TakeInTarget { lock: Some((lock_of(&payloads[0]), 60)), once: true };
        moved += batch.items.len();
        let targets = vec![once; batch.items.len()];
        assert_eq!(target.store.run(TakeIn { batch, targets }).await.expect("take_in"), TakenIn::Yes);
        f.store.let_go(&id).await.expect("let_go");
    }
    assert_eq!(moved, 3);
    assert!(queued(&target.store, "q").await == payloads[..1]);
    assert!(delayed_at(&target.store, NOW_S + 5).await == [payloads[1].clone(), job(9)]);
    assert_eq!(target.store.scheduled_at(&payloads[1]).await.expect("scheduled_at"), [NOW_S + 5]);
}

/// What reaches a server, without what the test itself says to it.
fn received(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "stats"]).texts().concat();
    let line = stats.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:").map(str::to_owned));
    line.and_then(|bytes| bytes.trim().parse().ok()).expect("the server tells what it received")
}

/// How many bytes the steps that people take with a job of megabytes, and the leases meanwhile, take on the way to the server.
#[tokio::test]
async fn a_long_job_is_sent_once_at_most() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    // A server that does not know a script yet gets the call again with its source: the first round teaches it.
    for (words, is_measured) in [(WORDS, false), (120_000, true)] {
        each_step(&server, &f, &long(words, words), is_measured).await;
    }
}

async fn each_step(server: &RedisServer, f: &Fixture, one: &Bytes, is_measured: bool) {
    let length = one.len() as u64;
    assert!(!is_measured || length > 1_000_000);
    let mut before = received(server);
    let mut sent = || {
        let now = received(server);
        now - std::mem::replace(&mut before, now)
    };
    let (never, once) = (0..200_000, length..length + 200_000);
    let sent_as = |sent: u64, expected: &std::ops::Range<u64>, what: &str| {
        assert!(!is_measured || expected.contains(&sent), "{what}: {sent} bytes of a job of {length}");
    };
    let lock = lock_of(one);
    // Nowhere -> queue and delayed.
    admit(&f.store, "q", one, &[take(&lock, 60), NOT_DELAYED]).await;
    sent_as(sent(), &once, "enqueue");
    assert_eq!(admit(&f.store, "q", one, &[take(&lock, 60)]).await, refused("QueueLock"));
    sent_as(sent(), &once, "enqueue");
    delay(&f.store, one, When::At(NOW_S + 5)).await;
    sent_as(sent(), &once, "schedule");
    for to in [MoveTo::Second(NOW_S + 6), MoveTo::Now] {
        let second = seconds(&f.store).await[0].0;
        let step = MoveDelayed { second, jobs: vec![one.clone()], to };
        assert_eq!(f.store.run(step).await.expect("move_delayed"), 1);
    }
    sent_as(sent(), &never, "move_delayed");
    f.store.delete_delayed(one).await.expect("delete_delayed");
    sent_as(sent(), &once, "delete_delayed");
    let locks = vec![lock];
    let each = JobsToDelete { payload: one.clone(), count: None, locks };
    let delete = DeleteEach { queue: queue("q"), to_delete: vec![each], from: QueueEnd::Head };
    assert_eq!(f.store.run(delete).await.expect("delete_each"), 1);
    sent_as(sent(), &once, "delete_each");
    // While it runs under a lock, and from the failed list.
    fill(&f.store, "q", std::slice::from_ref(one)).await;
    let mut instance = Instance::join(&f.store, &format!("a{length}"), 1).await;
    let claim = instance.claim_one("q").await;
    sent();
    let held = LockKey::Namespaced(format!("workerslock:large:q:{}", String::from_utf8_lossy(one)));
    assert_eq!(instance.enter(&claim, &[gate(&held, 1000)]).await, Entered::Taken);
    f.pass(50);
    let (token, worker, payload) = (claim.claim.token.clone(), claim.worker.clone(), one.clone());
    let locks = vec![LockRenewal { key: held.clone(), claim: token.clone(), ttl_s: 60 }];
    let extend = Extend { locks, long: vec![LongJob { claim: token, worker, payload }], ..instance.extension() };
    for _ in 0..2 {
        let extended = f.store.extend(&extend).await.expect("extend");
        assert_eq!((extended.lost_locks.len(), extended.deleted_locks.len()), (0, 0));
    }
    let ttl = f.redis_command(&["TTL".as_bytes(), f.key(held.as_str()).as_bytes()]);
    assert!(matches!(ttl, crate::support::resp::Reply::Int(50..=60)), "{ttl:?}");
    sent_as(sent(), &once, "the test itself has asked for the lock");
    instance.settle(vec![claim.frees(claim.failed(), &[held])]).await;
    let record = failed(&f.store).await.remove(0);
    let outcome = f.store.run(RetryFailed { jobs: vec![back(at(&record, 7), one)] }).await.expect("retry_failed");
    assert_eq!(outcome, [Retried::Yes]);
    sent_as(sent(), &never, "settle and retry_failed");
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.failed()).await;
    assert_eq!(f.store.remove_failed(&failed(&f.store).await.remove(0)).await.expect("remove_failed"), [true]);
    sent_as(sent(), &never, "remove_failed");
    // To another store and back.
    delay(&f.store, one, When::At(NOW_S + 500)).await;
    sent();
    let batch = f.store.set_aside(10).await.expect("set_aside").expect("it waits");
    sent_as(sent(), &never, "set_aside");
    let targets = vec![TakeInTarget::default()];
    assert!(f.store.run(windlass::store::moving::PutBack { batch, targets }).await.expect("put_back"));
    sent_as(sent(), &once, "put_back");
}

/// A record that is longer than the server takes in one argument or call: nobody sends it, so that it goes back all the same.
#[tokio::test]
async fn what_is_longer_than_a_call_may_be_is_retried_moved_and_removed() {
    let server = RedisServer::start(Options::default());
    let f = Fixture::at(Place::redis_on(&server)).await;
    for limit in ["proto-max-bulk-len", "client-query-buffer-limit"] {
        let one = long(1, 150_000);
        fill(&f.store, "q", std::slice::from_ref(&one)).await;
        delay(&f.store, &one, When::At(NOW_S + 5)).await;
        let mut instance = Instance::join(&f.store, limit, 1).await;
        let claim = instance.claim_one("q").await;
        server.command(&["CONFIG", "SET", limit, "1mb"]);
        assert!(one.len() > 1024 * 1024);
        instance.settle_one(&claim, claim.failed()).await;
        let retry = RetryFailed { jobs: vec![back((&failed(&f.store).await[0]).into(), &one)] };
        assert_eq!(f.store.run(retry).await.expect("retry_failed"), [Retried::Yes], "{limit}");
        let step = |second, to| f.store.run(MoveDelayed { second, jobs: vec![one.clone()], to });
        assert_eq!(step(NOW_S + 5, MoveTo::Second(NOW_S + 9)).await.expect("move_delayed"), 1, "{limit}");
        assert_eq!(step(NOW_S + 9, MoveTo::Nowhere).await.expect("move_delayed"), 1, "{limit}");
        let claim = instance.claim_one("q").await;
        instance.settle_one(&claim, claim.failed()).await;
        let record = failed(&f.store).await.remove(0);
        assert_eq!(f.store.remove_failed(&record).await.expect("remove_failed"), [true], "{limit}");
        fill(&f.store, "q", &[job(1)]).await;
        let claim = instance.claim_one("q").await;
        instance.settle_one(&claim, Verdict::Done).await;
        server.command(&["CONFIG", "SET", limit, "512mb"]);
    }
}
