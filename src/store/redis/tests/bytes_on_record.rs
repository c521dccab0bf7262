//! What stands under each key, byte for byte.

use bytes::Bytes;

use super::server::{NOW_MS, Server, claiming, instance, job, lane_of, queue, settled, token, worker};
use crate::job::failure::iso_date;
use crate::job::{Failure, Identity, LockKey};
use crate::store::effect::{Admission, Busy, Gate, Next, Tick, Verdict};
use crate::store::instance::{Extend, LockRenewal, Removed, RemovedState};
use crate::store::queueing::{Enter, Entered, Schedule, Scheduled, When};
use crate::store::scheduling::{Leadership, Promote, PromoteTo, Promoted, Promotion};
use crate::store::verbs::Verbs as _;
use crate::store::workers::{Recovered, Recovery, SweepIdentities};

const JOB: &[u8] = br#"{"class":"add","queue":"math","args":[1,2]}"#;

#[tokio::test]
async fn a_working_record_splices_the_payload_as_it_stood() {
    let server = Server::start();
    let store = server.store().await;
    let strange: [&[u8]; 4] = [JOB, b"{bad}", b"\"a\\\x01\x7f\xff\"", b"null"];
    store.enqueue(&strange.map(|payload| job("math", payload))).await.unwrap();
    assert_eq!(server.cli(&["SMEMBERS", "resque:queues"]), "math");
    let mut lane = lane_of(&store, "00ff", 1).await.unwrap();
    let claims = lane.exchange(&claiming(1, 5)).await.unwrap().claims;
    assert_eq!(claims.iter().map(|claim| &claim.payload[..]).collect::<Vec<_>>(), strange);
    assert_eq!(
        server.cli(&["GET", "resque:worker:h-windlass:7+1:math"]),
        r#"{"claim":"00ff-1-1-0","worker":"h-windlass:7+1","run_at":"2026-11-24T03:26:17.500Z","queue":"math","payload":{"class":"add","queue":"math","args":[1,2]}}"#
    );
    let escaped = server.cli(&["GET", "resque:worker:h-windlass:7+3:math"]);
    assert!(escaped.contains(r#""payload":"\"a\\\u0001\u007f"#), "{escaped}");
    let workers: Vec<_> = (1..=5).map(worker).collect();
    let records = store.working(&workers).await.unwrap();
    for (record, payload) in records.iter().zip(strange) {
        assert_eq!(record.as_ref().unwrap().payload.as_deref(), Some(payload));
    }
    assert!(records[4].is_none());
}

#[tokio::test]
async fn settling_leaves_what_node_resque_leaves() {
    let server = Server::start();
    let store = server.store().await;
    store.enqueue(&[job("math", JOB), job("math", b"{2}"), job("math", b"{3}"), job("math", b"{4}")]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claims = lane.exchange(&claiming(1, 4)).await.unwrap().claims;
    let identity = claims[2].identity.redelivered();
    let mut settle = claiming(2, 0);
    settle.settlements = vec![
        settled(1, &claims[0], Verdict::Done),
        settled(2, &claims[1], Verdict::Failed { record: Bytes::from_static(b"{\"failed\"}") }),
        settled(3, &claims[2], Verdict::Requeued { identity: identity.clone() }),
        settled(4, &claims[3], Verdict::Delayed { delay_ms: 600, identity: claims[3].identity.clone() }),
    ];
    assert_eq!(lane.exchange(&settle).await.unwrap().lost, Vec::<usize>::new());
    assert_eq!(server.cli(&["MGET", "resque:stat:processed", "resque:stat:processed:h-windlass:7+1"]), "1\n1");
    assert_eq!(server.cli(&["MGET", "resque:stat:failed", "resque:stat:failed:h-windlass:7+2"]), "1\n1");
    assert_eq!(server.cli(&["LRANGE", "resque:failed", "0", "-1"]), "{\"failed\"}");
    assert_eq!(server.cli(&["LRANGE", "resque:queue:math", "0", "-1"]), "{3}");
    // 17.5 s + 0.6 s is due in the nineteenth second, never before.
    let due = (NOW_MS + 600) / 1000 + 1;
    assert_eq!(server.cli(&["LRANGE", &format!("resque:delayed:{due}"), "0", "-1"]), "{4}");
    assert_eq!(server.cli(&["SMEMBERS", "resque:timestamps:{4}"]), format!("delayed:{due}"));
    assert_eq!(
        server.cli(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1", "WITHSCORES"]),
        format!("{due}\n{due}")
    );
    assert_eq!(server.cli(&["KEYS", "resque:worker:*"]), "");
    // Anyone who claims the job again learns who it is, once.
    let again = lane.exchange(&claiming(3, 1)).await.unwrap().claims;
    assert_eq!(again[0].identity, identity);
    let record = server.cli(&["GET", "resque:worker:h-windlass:7+1:math"]);
    assert!(
        record.starts_with(
            r#"{"claim":"00ff-0-3-0","worker":"h-windlass:7+1","id":"00ff-0-1-2","attempt":1,"redelivered":1,"later":0,"run_at""#
        )
    );
    assert_eq!(server.cli(&["HKEYS", "resque:windlass:identity"]), "math\n{4}");
}

/// Under full load a worker's own count may lag, the count of all never; both are right once the queue is worked off.
#[tokio::test]
async fn workers_are_counted_once_there_is_time() {
    let server = Server::start();
    let store = server.store().await;
    store.register("00ff", &[worker(1), worker(2)]).await.unwrap();
    let numbers: Vec<String> = (0..400).map(|number| format!("{{{number}}}")).collect();
    store.enqueue(&numbers.iter().map(|raw| job("math", raw.as_bytes())).collect::<Vec<_>>()).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let mut claims = lane.exchange(&claiming(1, 2)).await.unwrap().claims;
    let counts =
        || server.cli(&["MGET", "resque:stat:processed:h-windlass:7+1", "resque:stat:processed:h-windlass:7+2"]);
    for sequence in 2..=201 {
        let mut exchange = claiming(sequence, 2);
        exchange.settlements =
            claims.iter().enumerate().map(|(at, claim)| settled(at + 1, claim, Verdict::Done)).collect();
        claims = lane.exchange(&exchange).await.unwrap().claims;
        assert_eq!(server.cli(&["GET", "resque:stat:processed"]), (2 * (sequence - 1)).to_string());
        match sequence {
            // Nobody knows yet that many will come.
            2..=8 => assert_eq!(counts(), format!("{0}\n{0}", sequence - 1)),
            // Often enough that a glance at them shows work.
            200 => assert_eq!(counts(), "199\n199"),
            _ => {}
        }
    }
    assert_eq!(claims.len(), 0);
    assert_eq!(counts(), "200\n200");
}

#[tokio::test]
async fn equal_jobs_keep_their_identities_apart_and_stale_ones_are_swept() {
    let server = Server::start();
    let store = server.store().await;
    store.enqueue(&[job("math", JOB), job("math", JOB)]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claims = lane.exchange(&claiming(1, 2)).await.unwrap().claims;
    let mut release = claiming(2, 0);
    for (at, claim) in claims.iter().enumerate().rev() {
        let verdict = Verdict::Requeued { identity: claim.identity.redelivered() };
        release.settlements.push(settled(at + 1, claim, verdict));
    }
    lane.exchange(&release).await.unwrap();
    let again = lane.exchange(&claiming(3, 2)).await.unwrap().claims;
    let mut ids: Vec<_> = again.iter().map(|claim| claim.identity.id.to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["00ff-0-1-0", "00ff-0-1-1"]);
    assert_eq!(server.cli(&["EXISTS", "resque:windlass:identity"]), "0");
    // Another program takes the released job; after a sweep one of the same bytes is a new job.
    let mut release = claiming(4, 0);
    release.settlements = vec![settled(1, &again[0], Verdict::Requeued { identity: again[0].identity.clone() })];
    lane.exchange(&release).await.unwrap();
    server.cli(&["LPOP", "resque:queue:math"]);
    server.clock.advance(100_000);
    assert_eq!(store.run(SweepIdentities { cursor: 0 }).await.unwrap(), 0);
    store.enqueue(&[job("math", JOB)]).await.unwrap();
    let new = lane.exchange(&claiming(5, 1)).await.unwrap().claims;
    assert_eq!(new[0].identity, Identity::first(&new[0].token));
}

#[tokio::test]
async fn locks_carry_the_values_that_node_resque_reads() {
    let server = Server::start();
    let store = server.store().await;
    let queue_lock = LockKey::queue_lock("add", "math", "[1,2]");
    let mut locked = job("math", JOB);
    locked.admissions = vec![
        Admission::TakeLock { plugin: "QueueLock", key: queue_lock.clone(), ttl_s: 60 },
        Admission::NotDelayed { plugin: "DelayQueueLock" },
    ];
    let outcome = store.enqueue(&[locked.clone(), locked]).await.unwrap();
    assert_eq!(format!("{outcome:?}"), "[Yes, Refused { plugin: \"QueueLock\" }]");
    let second = NOW_MS / 1000;
    assert_eq!(server.cli(&["GET", "resque:lock:add:math:[1,2]"]), (second + 61).to_string());

    let job_lock = LockKey::job_lock("add", "math", "[1,2]");
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claims = lane.exchange(&claiming(1, 1)).await.unwrap().claims;
    let mut enter = claiming(2, 0);
    let busy = Busy::PutBack { delay_ms: 1001 };
    enter.enters = vec![Enter {
        worker: worker(1),
        claim: claims[0].token.clone(),
        queue: queue("math"),
        payload: claims[0].payload.clone(),
        identity: claims[0].identity.clone(),
        gates: vec![
            Gate::FreeLock { key: queue_lock.clone() },
            Gate::TakeLock { plugin: "JobLock", key: job_lock.clone(), ttl_s: 60, busy: busy.clone() },
        ],
        run: None,
    }];
    assert_eq!(lane.exchange(&enter).await.unwrap().entered, [Entered::Taken]);
    assert_eq!(server.cli(&["EXISTS", "resque:lock:add:math:[1,2]"]), "0");
    let workers_lock = "resque:workerslock:add:math:[1,2]";
    assert_eq!(server.cli(&["GET", workers_lock]), format!("{}:00ff-0-1-0", second + 60));

    // A second job of these arguments waits; its own earlier lock is given back.
    store.enqueue(&[job("math", JOB)]).await.unwrap();
    let mut next = claiming(3, 0);
    next.idle = vec![worker(2)];
    let second_claim = lane.exchange(&next).await.unwrap().claims.remove(0);
    let other = LockKey::Verbatim("mine".to_owned());
    let mut enter = claiming(4, 0);
    enter.enters = vec![Enter {
        worker: worker(2),
        claim: second_claim.token.clone(),
        queue: queue("math"),
        payload: second_claim.payload.clone(),
        identity: second_claim.identity.clone(),
        gates: vec![
            Gate::TakeLock { plugin: "JobLock", key: other, ttl_s: 60, busy: busy.clone() },
            Gate::TakeLock { plugin: "JobLock", key: job_lock.clone(), ttl_s: 60, busy },
        ],
        run: None,
    }];
    assert_eq!(lane.exchange(&enter).await.unwrap().entered, [Entered::PutBack { plugin: "JobLock" }]);
    assert_eq!(server.cli(&["EXISTS", "mine"]), "0");
    assert_eq!(server.cli(&["EXISTS", "resque:worker:h-windlass:7+2:math"]), "0");
    assert_eq!(store.scheduled_at(&second_claim.payload).await.unwrap(), [(NOW_MS + 1001) / 1000 + 1]);

    // Only the holder frees the lock.
    let mut thief = settled(1, &claims[0], Verdict::Done);
    thief.claim = token("00ff-0-9-9");
    thief.free = vec![job_lock.clone()];
    let mut settle = claiming(5, 0);
    settle.settlements = vec![thief.clone()];
    assert_eq!(lane.exchange(&settle).await.unwrap().lost, [0]);
    assert_eq!(server.cli(&["EXISTS", workers_lock]), "1");
    thief.claim = claims[0].token.clone();
    let mut settle = claiming(6, 0);
    settle.settlements = vec![thief];
    assert!(lane.exchange(&settle).await.unwrap().lost.is_empty());
    assert_eq!(server.cli(&["EXISTS", workers_lock]), "0");
}

#[tokio::test]
async fn delayed_jobs_stand_where_node_resque_looks_and_move_as_they_are() {
    let server = Server::start();
    let store = server.store().await;
    let raw = Bytes::from_static(br#"{"class":"add","args":[1.0],"queue":"math"}"#);
    let at = |when| Schedule { payload: raw.clone(), when };
    // 17.500 s + 2.000 s is rounded half up, as JavaScript rounds.
    let second = NOW_MS / 1000 + 3;
    let outcome = store.schedule(&[at(When::In(2000)), at(When::At(second)), at(When::In(1999))]).await.unwrap();
    assert_eq!(outcome, [Scheduled::At(second), Scheduled::Duplicate(second), Scheduled::At(second - 1)]);
    assert_eq!(store.scheduled_at(&raw).await.unwrap(), [second - 1, second]);
    assert!(!store.due(10, &[]).await.unwrap().is_due());
    server.clock.advance(1500);
    let due = store.due(10, &[]).await.unwrap();
    assert_eq!((due.second, &due.jobs), (Some(second - 1), &vec![raw.clone()]));
    let lock = LockKey::queue_lock("add", "math", "[1]");
    let to = PromoteTo::Queue { queue: queue("math"), lock: Some((lock, 60)) };
    let batch =
        |leader: Option<&str>, second, jobs| Promotion { leader: leader.map(str::to_owned), ruby: None, second, jobs };
    let jobs = vec![Promote { payload: raw.clone(), long: None, to }];
    assert!(store.lead(Leadership::Scheduler, "a:1", 15_000).await.unwrap());
    let promoted = store.promote(&batch(Some("b:2"), second - 1, jobs.clone())).await.unwrap();
    assert_eq!(promoted, Promoted::NotLeader);
    let promoted = store.promote(&batch(Some("a:1"), second - 1, jobs.clone())).await.unwrap();
    assert_eq!(promoted, Promoted::Moved(1));
    assert_eq!(store.promote(&batch(None, second - 1, jobs)).await.unwrap(), Promoted::Moved(0));
    assert_eq!(store.queued(&queue("math"), 0, -1).await.unwrap(), std::slice::from_ref(&raw));
    assert_eq!(server.cli(&["EXISTS", "resque:lock:add:math:[1]"]), "1");
    assert_eq!(
        server.cli(&["SMEMBERS", &format!("resque:timestamps:{}", r#"{"class":"add","args":[1.0],"queue":"math"}"#)]),
        format!("delayed:{second}")
    );
    assert_eq!(server.cli(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1"]), second.to_string());
    // A second whose list somebody else emptied is tidied by an empty batch when it is due.
    server.clock.advance(1000);
    server.cli(&["DEL", &format!("resque:delayed:{second}")]);
    assert_eq!(store.promote(&batch(None, second, Vec::new())).await.unwrap(), Promoted::Moved(0));
    assert_eq!(server.cli(&["EXISTS", "resque:delayed_queue_schedule"]), "0");
}

#[tokio::test]
async fn a_registered_worker_looks_like_node_resques() {
    let server = Server::start();
    let store = server.store().await;
    let record = instance("00ff");
    store.join(&record).await.unwrap();
    let workers = [worker(1), worker(2)];
    assert!(store.register("00ff", &workers).await.unwrap().is_empty());
    let second = NOW_MS / 1000;
    assert_eq!(server.cli(&["SISMEMBER", "resque:workers", "h-windlass:7+1:math"]), "1");
    assert_eq!(server.cli(&["GET", "resque:worker:h-windlass:7+1:math:started"]), second.to_string());
    assert_eq!(
        server.cli(&["GET", "resque:worker:ping:h-windlass:7+1"]),
        format!(r#"{{"time":{second},"name":"h-windlass:7+1","queues":"math"}}"#)
    );
    assert_eq!(store.ping_of("h-windlass:7+1").await.unwrap(), Some((second, worker(1))));

    // Somebody cleans the first worker; the extension notices and registers it anew.
    assert!(store.force_clean(&worker(1), None, None, &[]).await.unwrap());
    let run_at = iso_date(NOW_MS);
    let standing = format!(r#"{{"claim":"00ff-0-1-0","run_at":"{run_at}","queue":"q","payload":{{"class":"c"}}}}"#);
    server.cli(&["SET", "resque:worker:h-windlass:7+1:math", &standing]);
    let failure = Failure::stuck("h", NOW_MS).record("h-windlass:7+1", "q", br#"{"class":"c"}"#, NOW_MS);
    server.cli(&["RPUSH", "resque:failed", std::str::from_utf8(&failure).unwrap()]);
    server.cli(&["SET", "resque:workerslock:x", "1:00ff-0-1-1", "EX", "5"]);
    let renew =
        |key: &str| LockRenewal { key: LockKey::Namespaced(key.to_owned()), claim: token("00ff-0-1-1"), ttl_s: 60 };
    let extend = Extend {
        progress: Vec::new(),
        ran: Vec::new(),
        record,
        publish: true,
        census: false,
        workers: workers.to_vec(),
        pinged: Vec::new(),
        locks: vec![renew("workerslock:x"), renew("workerslock:y")],
        done: Vec::new(),
        long: Vec::new(),
    };
    let extended = store.extend(&extend).await.unwrap();
    let removed = vec![Removed { index: 0, left: RemovedState::Failed(token("00ff-0-1-0")) }];
    assert_eq!((extended.dead, extended.removed, extended.lost_locks), (false, removed, vec![]));
    assert_eq!(server.cli(&["SISMEMBER", "resque:workers", "h-windlass:7+1:math"]), "1");
    assert_eq!(server.cli(&["EXISTS", "resque:worker:ping:h-windlass:7+1"]), "1");
    assert_eq!(server.cli(&["GET", "resque:workerslock:x"]), format!("{}:00ff-0-1-1", second + 60));
    assert_eq!(server.cli(&["EXISTS", "resque:worker:h-windlass:7+1:math"]), "0");
    assert_eq!(store.instances().await.unwrap()[0].counter, 2);

    server.cli(&["DEL", "resque:failed"]);
    store.leave(&extend.record).await.unwrap();
    server.cli(&["DEL", "resque:windlass:birth"]);
    assert_eq!(server.cli(&["KEYS", "resque:*"]), "resque:workerslock:x");
    assert!(store.extend(&extend).await.unwrap().dead);
    assert_eq!(server.cli(&["KEYS", "resque:*"]), "resque:workerslock:x");
}

#[tokio::test]
async fn a_tick_follows_the_schedule_and_respects_stopping() {
    let server = Server::start();
    let store = server.store().await;
    let payload = Bytes::from_static(br#"{"class":"per","queue":"math","args":[{}]}"#);
    let tick = Tick {
        task: crate::job::TaskName::as_stored("per"),
        queue: queue("math"),
        payload: payload.clone(),
        next: Next::Every { seconds: 10 },
        lock: None,
        halt: false,
        beside: false,
    };
    let second = NOW_MS / 1000;
    server.cli(&["HSET", "resque:windlass:periodic", "per", &format!("{} 10 0 math", second - 25)]);
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let mut sequence = 0;
    let mut run = async |tick: Tick| {
        store.enqueue(&[job("math", &payload)]).await.unwrap();
        let claims = lane.exchange(&claiming(sequence + 1, 1)).await.unwrap().claims;
        let mut settle = claiming(sequence + 2, 0);
        let mut settlement = settled(1, &claims[0], Verdict::Done);
        settlement.tick = Some(tick);
        settle.settlements = vec![settlement];
        assert!(lane.exchange(&settle).await.unwrap().lost.is_empty());
        sequence += 2;
    };
    run(tick.clone()).await;
    // Three periods after the entry's time is the first that lies ahead.
    assert_eq!(store.scheduled_at(&payload).await.unwrap(), [second + 5]);
    assert_eq!(server.cli(&["HGET", "resque:windlass:periodic", "per"]), format!("{} 10 0 math", second + 5));
    // One is delayed already: no second one.
    run(tick.clone()).await;
    assert_eq!(store.scheduled_at(&payload).await.unwrap(), [second + 5]);
    assert_eq!(store.delete_delayed(&payload).await.unwrap(), [second + 5]);
    server.cli(&["HSET", "resque:windlass:periodic", "per", &format!("{second} 10 1 math")]);
    run(tick).await;
    assert!(store.scheduled_at(&payload).await.unwrap().is_empty());
    assert!(store.periodic(&[]).await.unwrap().0[0].stopped);
}

#[tokio::test]
async fn a_dead_owners_job_is_recovered_once_from_its_exact_bytes() {
    let server = Server::start();
    let store = server.store().await;
    let record = instance("00ff");
    store.join(&record).await.unwrap();
    store.register("00ff", &[worker(1)]).await.unwrap();
    store.enqueue(&[job("math", b"{odd 1.0}")]).await.unwrap();
    let mut lane = lane_of(&store, "00ff", 0).await.unwrap();
    let claim = lane.exchange(&claiming(1, 1)).await.unwrap().claims.remove(0);
    let dead = store.instances().await.unwrap().remove(0);
    let working = store.working(&[worker(1)]).await.unwrap().remove(0).unwrap();
    let recovery = |counter| Recovery {
        instance: Some(("00ff".to_owned(), counter)),
        record: working.clone(),
        queue: queue("math"),
        payload: working.payload.clone().unwrap(),
        verdict: Verdict::Requeued { identity: working.identity.clone().unwrap().redelivered() },
        free: Vec::new(),
        tick: None,
        run: None,
    };
    assert!(!store.bury(&dead).await.unwrap());
    assert_eq!(store.recover(&recovery(dead.counter + 1)).await.unwrap(), Recovered::No);
    assert_eq!(store.recover(&recovery(dead.counter)).await.unwrap(), Recovered::Yes);
    assert_eq!(store.recover(&recovery(dead.counter)).await.unwrap(), Recovered::No);
    assert_eq!(server.cli(&["LRANGE", "resque:queue:math", "0", "-1"]), "{odd 1.0}");
    assert!(store.bury(&dead).await.unwrap());
    // What the dead one still had to say comes too late.
    let mut late = claiming(2, 1);
    late.settlements = vec![settled(1, &claim, Verdict::Done)];
    let exchanged = lane.exchange(&late).await.unwrap();
    assert!(exchanged.dead && exchanged.claims.is_empty());
    assert_eq!(server.cli(&["LLEN", "resque:queue:math"]), "1");
    assert_eq!(server.cli(&["EXISTS", "resque:stat:processed", "resque:workers"]), "0");
}
