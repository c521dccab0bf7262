//! Requests with an `Idempotency-Key`, on both stores: one job for a key, and an answer that does not lie.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Answer, Place};
use crate::daemon::{Folder, eventually, signal};
use crate::support::redis::{Options, RedisServer};
use crate::world::{TOKEN, World, configure, listens};

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
}

fn post(place: &Place, key: &str, path: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    place.send("POST", &format!("/api/v1/{path}"), &headers, body.as_bytes())
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replay") == Some("true")
}

fn length(place: &Place, queue: &str) -> Value {
    place.get(&format!("/api/v1/queues/{queue}")).json()["length"].clone()
}

#[test]
fn the_same_request_is_done_once_and_answered_again() {
    World::both("", tasks, |world| {
        let place = &world.place;
        let path = "tasks/note/jobs?queue=waiting";
        let first = post(place, "\"k-1\"", path, "[1, 2]");
        assert!(first.status == 201 && !is_replay(&first), "{first:?}");
        for key in ["\"k-1\"", "k-1"] {
            let again = post(place, key, path, "[1,2]");
            assert!(again.status == 201 && is_replay(&again), "{again:?}");
            assert_eq!(again.json(), first.json());
        }
        // By the other route and by the command line it is the same request.
        let object = json!({"task": "note", "queue": "waiting", "args": [1, 2]}).to_string();
        assert!(is_replay(&post(place, "k-1", "jobs", &object)));
        let once = ["enqueue", "note", "--queue", "waiting", "--args", "[1,2]", "--once", "k-1"];
        assert_eq!((&world.cli(&once)["enqueued"], &world.cli(&once)["replayed"]), (&json!(true), &json!(true)));
        assert_eq!(length(place, "waiting"), 1);
        // Another request under the key is refused, whatever differs.
        for (path, body) in
            [(path, "[1]"), ("tasks/note/jobs?queue=other", "[1,2]"), ("tasks/note/jobs?queue=waiting&front", "[1,2]")]
        {
            let other = post(place, "k-1", path, body);
            assert_eq!((other.status, other.problem().as_str()), (422, "key-reused"), "{path}");
        }
        let (code, said) = world.folder.windlass(&["enqueue", "note", "--queue", "waiting", "--once", "k-1"]);
        assert!(code == Some(1) && said.contains("used for another request"), "{code:?}: {said}");
        assert_eq!(post(place, "k-2", path, "[1,2]").status, 201);
        assert_eq!(length(place, "waiting"), 2);
    });
}

#[test]
fn a_delayed_job_keeps_its_time_and_a_refusal_keeps_nothing() {
    World::both("", tasks, |world| {
        let place = &world.place;
        let first = post(place, "later", "tasks/note/jobs?in=1h", "[]");
        let again = post(place, "later", "tasks/note/jobs?in=1h", "[]");
        assert!(first.status == 201 && is_replay(&again), "{again:?}");
        assert_eq!(first.json(), again.json(), "the time is that of the first");
        assert_eq!(world.all("/api/v1/delayed", 50).len(), 1);
        assert_eq!(post(place, "later", "tasks/note/jobs?in=2h", "[]").problem(), "key-reused");
        // The job's own lock does not stand in the way of the answer.
        let path = "tasks/locked/jobs?queue=waiting";
        assert_eq!(post(place, "lock-1", path, "[]").status, 201);
        assert!(is_replay(&post(place, "lock-1", path, "[]")));
        let refused = post(place, "lock-2", path, "[]");
        assert_eq!((refused.status, &refused.json()["refused_by"]), (200, &json!("QueueLock")));
        place.send("DELETE", "/api/v1/queues/waiting?expect=1", &[], b"");
        let anew = post(place, "lock-2", path, "[]");
        assert!(anew.status == 201 && !is_replay(&anew), "nothing was done under it: {anew:?}");
        let twice = "tasks/note/jobs?at=@2000000000";
        place.json("POST", &format!("/api/v1/{twice}"), "[]");
        assert_eq!(post(place, "twice", twice, "[]").problem(), "already-enqueued");
    });
}

#[test]
fn a_key_that_is_none_is_refused_and_so_is_one_for_many_jobs() {
    let world = World::sqlite("", tasks);
    for key in ["", "\"", "\"a", &"x".repeat(256)] {
        assert_eq!(post(&world.place, key, "tasks/note/jobs?queue=waiting", "[]").problem(), "malformed", "{key:?}");
    }
    let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", "k")];
    let bulk = world.place.send("POST", "/api/v1/jobs/bulk", &headers, b"{\"task\":\"note\",\"queue\":\"waiting\"}\n");
    assert_eq!(bulk.problem(), "malformed");
    let two = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(world.place.send("POST", "/api/v1/tasks/note/jobs", &two, b"[]").problem(), "malformed");
    assert_eq!(world.cli(&["stats"])["processed"], 0);
    world.daemon.stop();
}

#[test]
fn holders_of_different_tokens_do_not_meet() {
    let shop = "{ name = \"shop\", role = \"operate\", token = \"a-token-of-the-shop\" }";
    let world = World::sqlite(&format!("token = \"{TOKEN}\"\ntokens = [{shop}]"), tasks);
    let post = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers =
            [("content-type", "application/json"), ("idempotency-key", "k"), ("authorization", bearer.as_str())];
        world.place.send("POST", "/api/v1/tasks/note/jobs?queue=waiting", &headers, b"[]")
    };
    assert!(!is_replay(&post(TOKEN)) && !is_replay(&post("a-token-of-the-shop")) && is_replay(&post(TOKEN)));
    assert_eq!(length(&world.place, "waiting"), 2);
    world.daemon.stop();
}

#[test]
fn many_at_once_lead_to_one_job() {
    World::both("", tasks, |world| {
        let (new, replays) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let answer = post(&world.place, "one", "tasks/note/jobs?queue=waiting", "[]");
                        match answer.status {
                            201 if is_replay(&answer) => replays.fetch_add(1, Ordering::Relaxed),
                            201 => new.fetch_add(1, Ordering::Relaxed),
                            _ => {
                                assert_eq!(answer.problem(), "under-way");
                                assert_eq!(answer.header("retry-after"), Some("1"));
                                0
                            }
                        };
                    }
                });
            }
        });
        assert_eq!(new.load(Ordering::Relaxed), 1);
        assert!(replays.load(Ordering::Relaxed) > 0);
        assert_eq!(length(&world.place, "waiting"), 1);
    });
}

#[test]
fn a_daemon_that_is_killed_leaves_one_job_for_each_key() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    for folder in [Folder::new("sqlite:store.db", ""), Folder::new(&server.url(), "")] {
        tasks(&folder);
        configure(&folder, "listen = \"127.0.0.1:0\"");
        let mut daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        let place = listens(&daemon);
        let sent = AtomicU32::new(0);
        let body = |n: u32| format!("[{n}]");
        let (keys, path) = (|n: u32| format!("key-{n}"), "tasks/note/jobs?queue=waiting");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let n = sent.load(Ordering::Relaxed);
                    let request = format!(
                        "POST /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                         idempotency-key: {}\r\ncontent-length: {}\r\n\r\n{}",
                        keys(n),
                        body(n).len(),
                        body(n)
                    );
                    // It is gone.
                    if place.connect().is_err() {
                        break;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    if place.try_raw(request.as_bytes()).is_none_or(|answer| answer.is_empty()) {
                        break;
                    }
                }
            });
            eventually("some are sent", || sent.load(Ordering::Relaxed) >= 20);
            signal(daemon.proper(), Signal::KILL);
        });
        daemon.wait();
        let next = folder.daemon_with_log("next");
        next.wait_log("[ worker ] started");
        let place = listens(&next);
        let sent = sent.load(Ordering::Relaxed);
        for n in 0..sent {
            let answer = post(&place, &keys(n), path, &body(n));
            assert_eq!(answer.status, 201, "{answer:?}");
            assert!(is_replay(&answer) || n + 1 >= sent, "{n} of {sent} was answered before");
        }
        assert_eq!(length(&place, "waiting"), sent);
        next.stop();
    }
}
