//! What people correct over HTTP: queues, delayed jobs, workers. On both stores.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::world::{World, configure, listens};

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
    let hourly = "name = \"hourly\"\nfrequency = \"1h\"\nqueue = \"elsewhere\"\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/hourly.toml"), hourly).unwrap();
}

fn delete(world: &World, path: &str) -> Answer {
    world.place.send("DELETE", path, &[], b"")
}

#[test]
fn all_queues_are_paused_and_resumed_at_once() {
    World::both("", tasks, |world| {
        let post = |path: &str| world.place.send("POST", path, &[], b"").json();
        assert_eq!(post("/api/v1/queues/other/pause")["changed"], true);
        assert_eq!(post("/api/v1/pause"), json!({"paused": true, "changed": true}));
        assert_eq!(post("/api/v1/pause")["changed"], false);
        world.place.json("POST", "/api/v1/tasks/note/jobs", "[]");
        assert_eq!(world.place.get("/api/v1/queues").json()["all_paused"], true);
        assert_eq!(world.place.get("/api/v1/queues/default").json()["length"], 1);
        let resumed = post("/api/v1/resume");
        assert_eq!((&resumed["paused"], &resumed["still_paused"]), (&json!(false), &json!(["other"])));
        eventually("its job runs", || world.place.get("/api/v1/stats").json()["processed"] == 1);
    });
}

#[test]
fn a_queue_is_deleted_by_who_knows_what_it_holds() {
    World::both("", tasks, |world| {
        let post = |task: &str, n: u32| {
            world.place.json("POST", &format!("/api/v1/tasks/{task}/jobs?queue=waiting"), &format!("[{n}]"));
        };
        (0..3).for_each(|n| post("note", n));
        post("locked", 1);
        for (query, kind) in [("", "malformed"), ("?expect=x", "malformed"), ("?expect=3", "changed")] {
            assert_eq!(delete(world, &format!("/api/v1/queues/waiting{query}")).problem(), kind, "{query}");
        }
        assert_eq!(world.place.get("/api/v1/queues/waiting").json()["length"], 4);
        let deleted = delete(world, "/api/v1/queues/waiting?expect=4");
        assert_eq!((deleted.status, deleted.json()), (200, json!({"queue": "waiting", "deleted": 4})));
        assert_eq!(delete(world, "/api/v1/queues/waiting?expect=0").problem(), "unknown-queue");
        post("locked", 1);
        assert_eq!(world.place.get("/api/v1/queues/waiting").json()["length"], 1, "its lock went with the job");
    });
}

#[test]
fn delayed_jobs_are_run_and_deleted() {
    World::both("", tasks, |world| {
        let delay = |args: &str, at: &str| {
            let path = format!("/api/v1/tasks/note/jobs?queue=waiting&at={at}");
            assert_eq!(world.place.json("POST", &path, args).status, 201);
        };
        delay("[1]", "@2000000000");
        delay("[2]", "@2000000000");
        delay("[1]", "@2100000000");
        let gone = delete(world, "/api/v1/delayed?task=note&queue=waiting&args=%5B1%5D").json();
        let due: Vec<&Value> = gone["times"].as_array().unwrap().iter().map(|time| &time["ms"]).collect();
        assert_eq!(
            (&gone["deleted"], due),
            (&json!(2), vec![&json!(2_000_000_000_000_i64), &json!(2_100_000_000_000_i64)])
        );
        assert_eq!(delete(world, "/api/v1/delayed?task=note&args=%5B9%5D").json()["deleted"], 0);
        for (query, kind) in [
            ("", "malformed"),
            ("?task=note&args=%5B", "malformed"),
            ("?task=nite", "unknown-task"),
            ("?task=note&queue=nowhere", "unknown-queue"),
        ] {
            assert_eq!(delete(world, &format!("/api/v1/delayed{query}")).problem(), kind, "{query}");
        }
        let run = |second: &str| world.place.send("POST", &format!("/api/v1/delayed/{second}/promote"), &[], b"");
        assert_eq!(run("2000000000").json(), json!({"jobs": 1, "ticks": 0}));
        eventually("it is on its queue", || world.place.get("/api/v1/queues/waiting/jobs").json()["length"] == 1);
        assert_eq!(run("2000000000").problem(), "not-found");
        assert_eq!(run("soon").problem(), "malformed");
    });
}

#[test]
fn a_worker_is_removed_only_if_it_is_dead() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    tasks(&folder);
    configure(&folder, "listen = \"127.0.0.1:0\"");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let place = listens(&daemon);
    let clean = |name: &str| place.send("DELETE", &format!("/api/v1/workers/{name}"), &[], b"");
    let mut own = String::new();
    eventually("it has a worker", || {
        let page = place.get("/api/v1/workers").json();
        own = page["items"][0]["name"].as_str().unwrap_or_default().to_owned();
        !own.is_empty()
    });
    let lives = clean(&own.replace('+', "%2B"));
    assert_eq!((lives.status, lives.problem().as_str()), (409, "changed"), "{lives:?}");
    // One of node-resque that pinged long ago and has a job, and one of Ruby that never pings.
    let record =
        r#"{"run_at":"2020","queue":"mail","worker":"gone:1","payload":{"class":"note","queue":"mail","args":[7]}}"#;
    let ping = r#"{"time":1000000000,"name":"gone:1","queues":"mail"}"#;
    server.command(&["SADD", "resque:workers", "gone:1:mail", "ruby:2:mail"]);
    server.command(&["SET", "resque:worker:gone:1:mail", record]);
    server.command(&["SET", "resque:worker:ping:gone:1", ping]);
    let ruby = clean("ruby:2");
    assert_eq!((ruby.status, ruby.problem().as_str()), (409, "changed"), "{ruby:?}");
    assert_eq!(ruby.json()["command"], "windlass workers force-clean ruby:2");
    let cleaned = clean("gone:1");
    let told = cleaned.json();
    assert_eq!((cleaned.status, &told["failed"], &told["class"]), (200, &json!(true), &json!("note")), "{told}");
    assert_eq!(place.get("/api/v1/failed").json()["items"][0]["args"], json!([7]));
    assert_eq!(clean("gone:1").problem(), "unknown-worker");
    daemon.stop();
}
