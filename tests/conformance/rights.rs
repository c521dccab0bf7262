//! Each arrow on a Redis that refuses one command: nothing is lost, nothing is doubled, and the command is named.
//!
//! The commands are read out of the scripts of the arrow, so that a new call is a new case. Each is taken from a user
//! while the arrow is repeated, and given back.
//!
//! Longer than 400 lines because each arrow has its own jobs and its own expectation.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use windlass::job::{Failure, LockKey};
use windlass::store::effect::{Admission, Retry, RetryKeys, Verdict};
use windlass::store::inspection::RemoveFailed;
use windlass::store::instance::Extend;
use windlass::store::moving::{Decline, Identify, PutBack, RenewSource, TakenIn, Waiting};
use windlass::store::periodic::{Purpose, Reconcile};
use windlass::store::queueing::{
    Enqueued, Entered, Exchange, Exchanged, Schedule, ScheduleBatch, Scheduled, Settlement, When,
};
use windlass::store::redis::RedisStore;
use windlass::store::role::Whole;
use windlass::store::scheduling::{Fire, Fired, Promoted};
use windlass::store::workers::{Recovered, Recovery};
use windlass::store::{Store, StoreError, TimeSource};

use crate::fixture::{Fixture, NOW_MS, NOW_S, Place};
use crate::instance::{Claimed, Instance, claimed, record};
use crate::look::{
    delay, delayed, failed, fill, gate, job, job_lock, jobs, lock, promote_all, promotion, push, queue, queued,
    seconds, take,
};
use crate::marks::mark;
use crate::support::redis::RedisServer;
use crate::support::resp::Reply;
use crate::support::verbs::Verbs as _;
use crate::tick::tick;

/// Makes a test of each arrow: its scripts, besides the prelude.
macro_rules! arrows {
    ($($arrow:ident: [$($script:literal),+];)+) => {
        mod refused {
            $(
                #[tokio::test]
                async fn $arrow() {
                    for command in super::commands(&["prelude", $($script),+]) {
                        super::$arrow(&super::World::new(&command).await).await;
                    }
                }
            )+
        }
    };
}

mod partly;
mod upkeep;

arrows! {
    claim: ["places", "departed", "identity", "recall", "lane", "done", "claim"];
    settle: ["locks", "places", "departed", "identity", "delay", "cadence", "verdict", "lane", "settle", "claim"];
    done: ["places", "departed", "identity", "recall", "lane", "done", "claim"];
    enter: ["locks", "places", "departed", "identity", "delay", "cadence", "verdict", "lane", "settle", "enter", "claim"];
    enqueue: ["locks", "admit", "departed", "enqueue"];
    schedule: ["schedule"];
    promote: ["locks", "places", "delay", "unlink", "trim_second", "promote"];
    recover: ["locks", "places", "departed", "identity", "delay", "cadence", "verdict", "recover"];
    force_clean: ["locks", "force_clean"];
    retry_failed: ["locks", "places", "identity", "remember", "admit", "failed", "retry_failed"];
    remove_failed: ["failed", "remove_failed"];
    fire: ["locks", "admit", "fire"];
    reconcile: ["locks", "places", "identity", "delay", "recall", "forget", "unlink", "erase", "cadence", "reconcile"];
    withdraw: ["places", "departed", "identity", "recall", "forget", "unlink", "erase", "withdraw"];
    delete_delayed: ["places", "identity", "recall", "forget", "unlink", "erase", "delete_delayed"];
    set_aside: ["places", "departed", "identity", "recall", "page", "unlink", "trim_second", "set_aside"];
    take_in: ["locks", "places", "identity", "remember", "delay", "items", "moved", "take_in"];
    put_back: ["locks", "places", "departed", "identity", "remember", "delay", "items", "unlink", "aside", "put_back"];
    decline: ["identify", "moved", "decline", "aside", "renew_source"];
    extend: ["locks", "members", "extend"];
}

/// How often an arrow is repeated while its command is refused.
const TIMES: usize = 3;

/// The commands that scripts call.
fn commands(scripts: &[&str]) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/scripts");
    let mut commands = BTreeSet::new();
    for script in scripts {
        let text = std::fs::read_to_string(folder.join(format!("{script}.lua"))).expect("a script of this name");
        let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
        let quoted = code.join("\n");
        let words =
            quoted.split('\'').filter(|word| word.len() > 2 && word.bytes().all(|one| one.is_ascii_uppercase()));
        commands.extend(
            words
                .filter(|word| !["WRONGTYPE", "NOPERM", "WITHSCORES", "COUNT", "MAXLEN", "MOVED"].contains(word))
                .map(str::to_owned),
        );
    }
    assert!(!commands.is_empty());
    commands
}

/// A store whose user may be refused one command.
struct World {
    f: Fixture,
    user: String,
    command: String,
}

impl World {
    async fn new(command: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let user = format!("u{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let server = RedisServer::shared();
        server.command(&["ACL", "SETUSER", &user, "on", ">secret", "~*", "&*", "+@all"]);
        let url = server.url().replace("redis+unix://", &format!("redis+unix://{user}:secret@"));
        let Place::Redis { namespace, .. } = Place::redis() else { unreachable!("it is Redis") };
        let f = Fixture::at(Place::Redis { url, namespace }).await;
        Self { f, user, command: command.to_owned() }
    }

    fn refuse(&self) {
        self.change('-');
    }

    fn allow(&self) {
        self.change('+');
    }

    fn change(&self, sign: char) {
        let rule = format!("{sign}{}", self.command.to_lowercase());
        let reply = RedisServer::shared().command(&["ACL", "SETUSER", &self.user, &rule]);
        assert_eq!(reply, Reply::Text(b"OK".to_vec()), "{rule}");
    }

    /// An error must name the command that is refused.
    fn check<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.names_it(&error);
                None
            }
        }
    }

    fn names_it(&self, error: &StoreError) {
        let (text, command) = (error.to_string(), &self.command);
        let named = text.to_uppercase().contains(command.as_str());
        assert!(
            matches!(error, StoreError::Unsupported(_) | StoreError::MissingRights(_)) && named,
            "{command}: {text}"
        );
    }

    /// How often a job exists anywhere: in a queue, delayed, failed, on record, set aside.
    fn copies(&self, payload: &Bytes) -> usize {
        let server = RedisServer::shared();
        let payload = String::from_utf8_lossy(payload).into_owned();
        let mut copies = 0;
        for key in server.command(&["KEYS", &self.f.key("*")]).texts() {
            let held = match server.command(&["TYPE", &key]).texts().concat().as_str() {
                "list" => server.command(&["LRANGE", &key, "0", "-1"]).texts(),
                "string" => server.command(&["GET", &key]).texts(),
                _ => continue,
            };
            copies += held.iter().filter(|held| held.contains(&payload)).count();
        }
        copies
    }

    #[track_caller]
    fn stands_once(&self, payload: &Bytes) {
        let (copies, text) = (self.copies(payload), String::from_utf8_lossy(payload).into_owned());
        assert_eq!(copies, 1, "without {} the job {text} stands {copies} times", self.command);
    }

    #[track_caller]
    fn stand_once(&self, payloads: &[Bytes]) {
        for payload in payloads {
            self.stands_once(payload);
        }
    }

    /// Sends an exchange while the command is refused, as often as a lane would, and at last when it is given back.
    async fn exchange(&self, instance: &mut Instance, exchange: &Exchange, whole: &[Bytes]) -> Exchanged {
        self.refuse();
        let mut reply = None;
        for _ in 0..TIMES {
            if reply.is_none() {
                reply = self.check(instance.try_send(exchange).await);
            }
            self.stand_once(whole);
        }
        self.allow();
        match reply {
            Some(reply) => {
                reply.findings.iter().for_each(|finding| self.names_it(finding));
                reply
            }
            None => instance.send(exchange).await,
        }
    }

    /// Settles, and what could not be recorded again.
    async fn settles(&self, instance: &mut Instance, settlements: Vec<Settlement>, whole: &[Bytes]) {
        let exchange = Exchange { settlements, ..instance.next() };
        let reply = self.exchange(instance, &exchange, whole).await;
        assert_eq!(reply.lost, [0_usize; 0], "{}", self.command);
        let undone: Vec<Settlement> = reply.undone.iter().map(|index| exchange.settlements[*index].clone()).collect();
        if !undone.is_empty() {
            let again = Exchange { settlements: undone, ..instance.next() };
            let reply = instance.send(&again).await;
            assert_eq!((reply.lost, reply.undone), (Vec::new(), Vec::new()), "{}", self.command);
        }
        assert_eq!(instance.working().await, [], "{}: what is settled is on record no more", self.command);
    }
}

async fn claim(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    let mut instance = Instance::join(&w.f.store, "a", 3).await;
    // One that is known already.
    let known = instance.claim_one("q").await;
    instance.settle_one(&known, known.requeued()).await;
    let exchange = instance.next_claim(&["q"], &[1, 2, 3]);
    let reply = w.exchange(&mut instance, &exchange, &jobs(0..3)).await;
    let mut claims = claimed(&exchange, &reply);
    let left: Vec<usize> = (1..=3).filter(|n| !claims.iter().any(|one| one.worker == instance.worker(*n))).collect();
    claims.extend(instance.claim(&["q"], &left).await);
    let mut payloads: Vec<Bytes> = claims.iter().map(|one| one.claim.payload.clone()).collect();
    payloads.sort();
    assert_eq!(payloads, jobs(0..3), "{}", w.command);
    w.stand_once(&jobs(0..3));
    let ids = claims.iter().filter(|one| one.claim.identity.id == known.claim.identity.id).count();
    assert_eq!(ids, 1, "{}: it keeps its identity, and no other job gets it", w.command);
    let ends = claims.iter().map(|one| one.ends(Verdict::Done)).collect();
    assert_eq!(instance.settle(ends).await, [0_usize; 0]);
    assert!(jobs(0..3).iter().all(|job| w.copies(job) == 0));
}

async fn done(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    let mut instance = Instance::join(&w.f.store, "a", 3).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    w.settles(&mut instance, claims.iter().map(|one| one.ends(Verdict::Done)).collect(), &[]).await;
    assert!(jobs(0..3).iter().all(|job| w.copies(job) == 0), "{}", w.command);
}

async fn settle(w: &World) {
    fill(&w.f.store, "q", &jobs(0..6)).await;
    let mut instance = Instance::join(&w.f.store, "a", 6).await;
    let claims = instance.claim(&["q"], &[1, 2, 3, 4, 5, 6]).await;
    let retry = Retry {
        keys: RetryKeys { counter: "resque-retry:a:1".into(), failure: "failure-resque-retry:a:1".into() },
        last_error: Bytes::from_static(b"{}"),
        attempts: 3,
        delays_ms: vec![1000],
        identity: claims[3].claim.identity.next_attempt(),
        last: Some(claims[3].failure()),
    };
    let retry_ended = Retry { attempts: 1, last: Some(claims[4].failure()), ..retry.clone() };
    let ends = vec![
        claims[0].failed(),
        claims[1].requeued(),
        claims[2].retried(5000),
        Verdict::Attempted(Box::new(retry)),
        Verdict::Attempted(Box::new(retry_ended)),
        Verdict::Done,
    ];
    let ends = claims.iter().zip(ends).map(|(one, verdict)| one.frees(verdict, &[job_lock(1)])).collect();
    w.settles(&mut instance, ends, &jobs(0..5)).await;
    w.stand_once(&jobs(0..5));
    assert_eq!(w.copies(&job(5)), 0);
    assert_eq!(queued(&w.f.store, "q").await, [job(1)]);
    keeps_its_id(w, &mut instance, &claims[1]).await;
}

/// A job that was given back is the same when it is claimed again.
async fn keeps_its_id(w: &World, instance: &mut Instance, before: &Claimed) {
    let again = instance.claim_one("q").await;
    let id = |one: &Claimed| (one.claim.payload.clone(), one.claim.identity.id.clone());
    assert_eq!(id(&again), id(before), "{}: it keeps its identity", w.command);
}

async fn enter(w: &World) {
    w.f.plant_lock(&job_lock(1), "held");
    fill(&w.f.store, "q", &jobs(0..2)).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let claims = instance.claim(&["q"], &[1, 2]).await;
    let enters = vec![claims[0].enters(&[gate(&job_lock(1), 1000)]), claims[1].enters(&[gate(&job_lock(2), 1000)])];
    let exchange = Exchange { enters, ..instance.next() };
    let reply = w.exchange(&mut instance, &exchange, &jobs(0..2)).await;
    w.stand_once(&jobs(0..2));
    for (claim, entered) in claims.iter().zip(reply.entered) {
        match entered {
            Entered::Taken | Entered::Undone => instance.settle_one(claim, claim.requeued()).await,
            Entered::PutBack { .. } => {}
            other => panic!("{}: {other:?}", w.command),
        }
    }
    assert_eq!(instance.working().await, []);
    w.stand_once(&jobs(0..2));
}

async fn enqueue(w: &World) {
    let all = [push("q", &job(0), &[]), push("q", &job(1), &[take(&lock(1), 60)]), push("p", &job(2), &[])];
    let once = Admission::Once { mark: mark("k") };
    for batch in [&all[..], &[push("q", &job(3), &[take(&lock(3), 60)])], &[push("q", &job(4), &[once])]] {
        w.refuse();
        let mut enqueued = None;
        for _ in 0..TIMES {
            if enqueued.is_none() {
                enqueued = w.check(w.f.store.enqueue(batch).await);
            }
        }
        w.allow();
        let enqueued = match enqueued {
            Some(enqueued) => enqueued,
            None => w.f.store.enqueue(batch).await.expect("enqueue"),
        };
        assert!(enqueued.iter().all(|one| *one == Enqueued::Yes), "{}: {enqueued:?}", w.command);
    }
    w.stand_once(&jobs(0..5));
}

async fn schedule(w: &World) {
    let at = |n| Schedule { payload: job(n), when: When::At(NOW_S + 1) };
    for (jobs, mark) in [(vec![at(0), at(1)], None), (vec![at(2)], None), (vec![at(3)], Some(mark("k")))] {
        let batch = ScheduleBatch { jobs, mark, known: None };
        w.refuse();
        let mut scheduled = None;
        for _ in 0..TIMES {
            if scheduled.is_none() {
                scheduled = w.check(w.f.store.run(batch.clone()).await);
            }
        }
        w.allow();
        let scheduled = match scheduled {
            Some(scheduled) => scheduled,
            None => w.f.store.run(batch).await.expect("schedule"),
        };
        assert!(scheduled.iter().all(|one| *one != Scheduled::Marked), "{}: {scheduled:?}", w.command);
    }
    w.stand_once(&jobs(0..4));
    w.f.pass(5);
    assert_eq!(promote_all(&w.f.store, "q", 10).await, 4);
    assert_eq!(queued(&w.f.store, "q").await, jobs(0..4));
}

async fn promote(w: &World) {
    for n in 0..4 {
        delay(&w.f.store, &job(n), When::At(NOW_S + 1)).await;
    }
    w.f.pass(5);
    let due = w.f.store.due(10, &[]).await.expect("due");
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.promote(&promotion("q", NOW_S + 1, &due.jobs)).await);
        w.stand_once(&jobs(0..4));
    }
    w.allow();
    promote_all(&w.f.store, "q", 10).await;
    assert_eq!(queued(&w.f.store, "q").await, jobs(0..4), "{}", w.command);
    assert_eq!(seconds(&w.f.store).await, [], "{}", w.command);
    assert_eq!(w.f.store.promote(&promotion("q", NOW_S + 1, &due.jobs)).await.expect("again"), Promoted::Moved(0));
    w.stand_once(&jobs(0..4));
}

async fn recover(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    let mut instance = Instance::join(&w.f.store, "a", 3).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let counter = instance.state().await.expect("state").counter;
    let verdicts = [claims[0].failed(), claims[1].requeued(), claims[2].retried(1000)];
    let recoveries: Vec<Recovery> = instance
        .working()
        .await
        .into_iter()
        .zip(verdicts)
        .map(|(record, verdict)| Recovery {
            instance: Some(("a".to_owned(), counter)),
            queue: queue("q"),
            payload: record.payload.clone().expect("payload"),
            record,
            verdict,
            free: vec![job_lock(1)],
            tick: None,
            run: None,
        })
        .collect();
    w.refuse();
    for _ in 0..TIMES {
        for recovery in &recoveries {
            w.check(w.f.store.recover(recovery).await);
        }
        w.stand_once(&jobs(0..3));
    }
    w.allow();
    for recovery in &recoveries {
        assert_ne!(w.f.store.recover(recovery).await.expect("recover"), Recovered::AlreadyCleaned);
    }
    w.stand_once(&jobs(0..3));
    assert_eq!(instance.working().await, []);
    keeps_its_id(w, &mut instance, &claims[1]).await;
}

async fn force_clean(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    let working = instance.working().await.remove(0);
    let stuck = Failure::stuck("host", NOW_MS).record(claim.worker.name(), "q", &job(0), NOW_MS);
    let clean = || w.f.store.force_clean(&claim.worker, Some(&working), Some(&stuck), &[]);
    w.refuse();
    for _ in 0..TIMES {
        w.check(clean().await);
        w.stands_once(&job(0));
    }
    w.allow();
    clean().await.expect("force-clean");
    w.stands_once(&job(0));
    assert_eq!(failed(&w.f.store).await, std::slice::from_ref(&stuck));
}

async fn retry_failed(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 1).await;
    let claim = instance.claim_one("q").await;
    instance.settle_one(&claim, claim.failed()).await;
    let keys = RetryKeys { counter: "resque-retry:add:0".to_owned(), failure: "failure-resque-retry:add:0".to_owned() };
    let not_repeating = Admission::NotRepeating { plugin: "DelayQueueLock", keys };
    let (record, name, payload) = (claim.failure(), queue("q"), job(0));
    let admissions = [take(&lock(0), 60), not_repeating];
    let retry = || w.f.store.retry_failed(&record, &name, &payload, &admissions, None);
    w.refuse();
    for _ in 0..TIMES {
        w.check(retry().await);
        w.stands_once(&job(0));
    }
    w.allow();
    retry().await.expect("retry");
    assert_eq!(queued(&w.f.store, "q").await, [job(0)], "{}", w.command);
    assert!(failed(&w.f.store).await.is_empty(), "{}", w.command);
}

async fn remove_failed(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    let mut instance = Instance::join(&w.f.store, "a", 3).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    instance.settle(claims.iter().map(|one| one.ends(one.failed())).collect()).await;
    let list = w.f.key("failed");
    let records = failed(&w.f.store).await;
    let remove = || w.f.store.run(RemoveFailed { records: records[..2].iter().map(Into::into).collect() });
    w.refuse();
    for _ in 0..TIMES {
        w.check(remove().await);
        let left = w.f.redis_command(&["LRANGE", &list, "0", "-1"]).texts();
        assert!(
            left.iter().map(String::as_bytes).eq(records.iter().map(|record| &record[..])) || left.len() == 1,
            "{}: all or nothing: {left:?}",
            w.command
        );
    }
    w.allow();
    remove().await.expect("remove");
    assert_eq!(failed(&w.f.store).await, records[2..], "{}", w.command);
}

async fn fire(w: &World) {
    for (n, seen_s) in [(0, None), (1, Some(NOW_S))] {
        let fire = Fire {
            id: "daily".to_owned(),
            seen_s,
            last_s: NOW_S + 60 * i64::try_from(n).expect("small"),
            job: Some(push("q", &job(n), &[take(&lock(n), 60)])),
        };
        w.refuse();
        for _ in 0..TIMES {
            w.check(w.f.store.fire(&fire).await);
        }
        w.allow();
        let fired = w.f.store.fire(&fire).await.expect("fire");
        assert!(matches!(fired, Fired::No | Fired::Yes(Enqueued::Yes)), "{}: {fired:?}", w.command);
        w.stands_once(&job(n));
    }
}

async fn reconcile(w: &World) {
    let job_lock = LockKey::Namespaced("workerslock:clean:q:[{}]".to_owned());
    let look = |purpose| Reconcile {
        tick: tick(30),
        forms: vec![tick(30).payload],
        queue_lock: Some((lock(7), 60)),
        job_lock: Some(job_lock.clone()),
        grace_s: 5,
        workers: Vec::new(),
        silent: Vec::new(),
        attempts: Vec::new(),
        purpose,
        stale_due_s: None,
    };
    for purpose in [Purpose::Look, Purpose::Run] {
        w.refuse();
        for _ in 0..TIMES {
            w.check(w.f.store.reconcile(&look(purpose)).await);
            assert!(w.copies(&tick(30).payload) <= 1, "{}", w.command);
        }
        w.allow();
        // What could not be pushed is overdue.
        w.f.pass(60);
        w.f.store.reconcile(&look(Purpose::Look)).await.expect("reconcile");
        w.stands_once(&tick(30).payload);
    }
}

async fn withdraw(w: &World) {
    let tick = tick(30);
    fill(&w.f.store, "q", std::slice::from_ref(&tick.payload)).await;
    delay(&w.f.store, &tick.payload, When::At(NOW_S + 9)).await;
    let (task, name, forms) = (&tick.task, &tick.queue, [tick.payload.clone()]);
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.stop(task, name, &forms).await);
    }
    w.allow();
    w.f.store.stop(task, name, &forms).await.expect("stop");
    assert_eq!(w.copies(&tick.payload), 0, "{}", w.command);
    assert_eq!(seconds(&w.f.store).await, [], "{}", w.command);
}

async fn delete_delayed(w: &World) {
    delay(&w.f.store, &job(0), When::At(NOW_S + 9)).await;
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.delete_delayed(&job(0)).await);
    }
    w.allow();
    w.f.store.delete_delayed(&job(0)).await.expect("delete");
    assert_eq!(w.copies(&job(0)), 0, "{}", w.command);
    assert_eq!(seconds(&w.f.store).await, [], "{}", w.command);
    delay(&w.f.store, &job(0), When::At(NOW_S + 9)).await;
    assert_eq!(delayed(&w.f.store).await, [job(0)]);
}

async fn set_aside(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    delay(&w.f.store, &job(3), When::At(NOW_S + 9)).await;
    delay(&w.f.store, &job(4), When::At(NOW_S + 9)).await;
    w.f.redis_command(&["SET", &w.f.key("stat:processed"), "7"]);
    let mut moved = Vec::new();
    loop {
        w.refuse();
        for _ in 0..TIMES {
            w.check(w.f.store.set_aside(2).await);
            assert!(jobs(0..5).iter().all(|job| w.copies(job) <= 1), "{}", w.command);
        }
        w.allow();
        let Some(batch) = w.f.store.set_aside(2).await.expect("set aside") else { break };
        moved.extend(batch.items.iter().map(|item| match item {
            Waiting::Queued { payload, .. } | Waiting::Delayed { payload, .. } => payload.clone(),
            other => Bytes::from(format!("{other:?}")),
        }));
        w.f.store.let_go(&batch.id).await.expect("let go");
    }
    let counted = format!("{:?}", Waiting::Counted { processed: 7, failed: 0 });
    let all: Vec<Bytes> = jobs(0..5).into_iter().chain([Bytes::from(counted)]).collect();
    assert_eq!(moved, all, "{}", w.command);
}

async fn take_in(w: &World) {
    let from = w.f.sibling().await;
    fill(&from.store, "q", &jobs(0..2)).await;
    delay(&from.store, &job(2), When::At(NOW_S + 9)).await;
    while let Some(batch) = from.store.set_aside(10).await.expect("set aside") {
        w.refuse();
        for _ in 0..TIMES {
            w.check(w.f.store.take_in(&batch, &[]).await);
        }
        w.allow();
        w.f.store.take_in(&batch, &[]).await.expect("take in");
        from.store.let_go(&batch.id).await.expect("let go");
    }
    w.stand_once(&jobs(0..3));
}

async fn put_back(w: &World) {
    fill(&w.f.store, "q", &jobs(0..3)).await;
    delay(&w.f.store, &job(3), When::At(NOW_S + 9)).await;
    w.f.redis_command(&["RPUSH", &w.f.key("failed"), &String::from_utf8_lossy(&job(4))]);
    let mut later = Vec::new();
    // What is put back is set aside next, so the store is emptied first, and each batch put back into the empty store.
    while let Some(batch) = w.f.store.set_aside(2).await.expect("set aside") {
        let put_back = PutBack { batch: batch.clone(), targets: Vec::new() };
        let mut done = false;
        w.refuse();
        for _ in 0..TIMES {
            done |= w.check(w.f.store.run(put_back.clone()).await) == Some(true);
            w.stand_once(&jobs(0..5)[later.len()..]);
        }
        w.allow();
        assert_ne!(w.f.store.run(put_back.clone()).await.expect("put back"), done, "{}: once", w.command);
        w.stand_once(&jobs(0..5)[later.len()..]);
        let again = w.f.store.set_aside(2).await.expect("set aside").expect("it is back");
        assert_eq!(again.items, batch.items, "{}", w.command);
        w.f.store.let_go(&again.id).await.expect("let go");
        later.extend(again.items);
    }
    assert_eq!(later.len(), 5, "{}", w.command);
}

/// The steps that only look at records of moves and write them.
async fn decline(w: &World) {
    let from = w.f.sibling().await;
    fill(&w.f.store, "q", &jobs(0..2)).await;
    fill(&from.store, "q", &jobs(2..4)).await;
    let ours = w.f.store.set_aside(2).await.expect("set aside").expect("a batch");
    let theirs = from.store.set_aside(2).await.expect("set aside").expect("a batch");
    let identify = Identify { fresh: "here".to_owned(), mark: Some("mark".to_owned()) };
    let renew = RenewSource { id: ours.id.clone(), fresh: "new".to_owned() };
    let decline = Decline { id: theirs.id.clone() };
    w.refuse();
    for _ in 0..TIMES {
        w.check(w.f.store.run(identify.clone()).await);
        w.check(w.f.store.run(renew.clone()).await);
        w.check(w.f.store.run(decline.clone()).await);
    }
    w.allow();
    let identity = w.f.store.run(identify).await.expect("identify");
    assert_eq!((identity.id.as_str(), identity.mark.as_deref()), ("here", Some("mark")), "{}", w.command);
    assert!(w.f.store.run(renew).await.expect("renew"), "{}", w.command);
    assert_eq!(w.f.store.run(decline).await.expect("decline"), TakenIn::Declined, "{}", w.command);
    assert_eq!(w.f.store.take_in(&theirs, &[]).await.expect("take in"), TakenIn::Declined, "{}", w.command);
    let renewed = w.f.store.set_aside(2).await.expect("set aside").expect("it stands");
    assert_eq!((renewed.id.source.as_str(), renewed.items), ("new", ours.items), "{}", w.command);
}

async fn extend(w: &World) {
    fill(&w.f.store, "q", &[job(0)]).await;
    let mut instance = Instance::join(&w.f.store, "a", 2).await;
    let claim = instance.claim_one("q").await;
    let before = instance.state().await.expect("state").counter;
    let extend = Extend { publish: true, census: true, ..instance.extension() };
    w.refuse();
    for _ in 0..TIMES {
        if let Some(extended) = w.check(w.f.store.extend(&extend).await) {
            assert!(!extended.dead && extended.removed.is_empty(), "{}: {extended:?}", w.command);
            extended.findings.iter().for_each(|finding| w.names_it(finding));
        }
    }
    w.allow();
    let after = instance.state().await.expect("state").counter;
    // The lease is extended whatever one command is refused.
    assert_eq!(after, before + 3, "{}", w.command);
    instance.settle_one(&claim, Verdict::Done).await;
}

/// A daemon knows all missing rights before it claims anything.
#[tokio::test]
async fn who_joins_is_told_every_right_that_is_missing() {
    let w = World::new("MSET").await;
    let server = RedisServer::shared();
    server.command(&["ACL", "SETUSER", &w.user, "-mset", "-ltrim", "-rpush"]);
    let error = w.f.store.join(&record("a", 1)).await.expect_err("it must be refused");
    let StoreError::MissingRights(text) = &error else { panic!("{error}") };
    assert!(text.contains(&format!("ACL SETUSER {} +rpush +ltrim +mset", w.user)), "{text}");
    assert_eq!(server.command(&["EXISTS", &w.f.key("windlass:instances"), &w.f.key("windlass:probe")]), Reply::Int(0));
    server.command(&["ACL", "SETUSER", &w.user, "+mset", "+ltrim", "+rpush", "resetkeys", "~elsewhere:*"]);
    let error = w.f.store.join(&record("a", 1)).await.expect_err("it must be refused");
    assert!(error.to_string().contains(&w.f.key("*")), "{error}");
    server.command(&["ACL", "SETUSER", &w.user, "~*"]);
    w.f.store.join(&record("a", 1)).await.expect("it is given back");
}

/// Every single missing command is found, except those that have a substitute, TYPE, which only words messages, and INFO,
/// without which only the memory of the server is not told.
#[tokio::test]
async fn every_right_that_a_daemon_takes_is_probed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/scripts");
    let scripts = std::fs::read_dir(folder).expect("the scripts").map(|entry| entry.expect("an entry").path());
    let names: Vec<String> =
        scripts.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(names.len() > 20);
    for command in commands(&names)
        .iter()
        .filter(|command| !["UNLINK", "LSET", "PTTL", "TYPE", "INFO", "GETRANGE", "STRLEN"].contains(&command.as_str()))
    {
        let w = World::new(command).await;
        w.refuse();
        let error = w.f.store.join(&record("a", 1)).await.expect_err(command);
        w.names_it(&error);
    }
}

#[tokio::test]
async fn a_store_whose_time_is_its_own_needs_the_right_to_it() {
    let w = World::new("TIME").await;
    let Place::Redis { url, namespace } = &w.f.place else { unreachable!("it is Redis") };
    let store: Store<Whole> = RedisStore::connect(url, namespace, TimeSource::Store).await.expect("it opens").into();
    fill(&store, "q", &jobs(0..3)).await;
    let mut instance = Instance::join(&store, "a", 3).await;
    let claims = instance.claim(&["q"], &[1, 2, 3]).await;
    let ends = vec![claims[0].requeued(), claims[1].retried(5000), claims[2].failed()];
    w.settles(&mut instance, claims.iter().zip(ends).map(|(one, end)| one.ends(end)).collect(), &jobs(0..3)).await;
    let exchange = instance.next_claim(&["q"], &[1, 2, 3]);
    let reply = w.exchange(&mut instance, &exchange, &jobs(0..3)).await;
    assert!(reply.claims.len() <= 1);
    w.stand_once(&jobs(0..3));
}
