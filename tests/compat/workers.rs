//! C: how workers and their jobs are shown.

use serde_json::Value;

use crate::waiting::{after, eventually, eventually_some, now_ms, throughout};
use crate::world::{Settings, World};

/// A worker's name without its queues.
pub(crate) fn name(worker: &str) -> &str {
    worker.rsplit_once(':').expect("a worker has three parts").0
}

/// A text that must be JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn c01_an_idle_worker_is_registered_in_three_parts() {
    let world = World::new();
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings { queues: r#"["high","mail_*"]"#, ..Settings::default() });
    let worker = world.only_worker();
    let parts: Vec<_> = worker.split(':').collect();
    assert_eq!(parts.len(), 3, "{worker}");
    assert!(parts[0].ends_with("-windlass"), "the host part is not the bare host name: {worker}");
    assert!(parts[1].split('+').all(|part| part.parse::<u32>().is_ok()), "<pid>+<n>: {worker}");
    assert_eq!(parts[2], "high,mail_*", "the queues as configured");
    assert_eq!(peer.queue("workers", "[]")[name(&worker)], "high,mail_*");
    assert_eq!(peer.queue("allWorkingOn", "[]")[name(&worker)], "started");
    let started = world.text(&["GET", &format!("resque:worker:{worker}:started")]).expect("a start is on record");
    assert!(!started.is_empty());
    let ours = world.windlass(&["workers"]).json().to_string();
    assert!(ours.contains(&worker), "{ours}");
    daemon.stop();
}

#[test]
fn c02_a_running_job_is_on_record_where_node_resque_looks() {
    let world = World::new();
    world.gated_task("hold", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    let before = now_ms();
    peer.queue("enqueue", r#"["math","hold",[1,{"a":"b"}]]"#);
    world.wait_begun(1);
    let worker = world.only_worker();
    let record = json(&world.text(&["GET", &format!("resque:worker:{worker}")]).expect("a running job is on record"));
    assert_eq!(record["queue"], "math");
    assert_eq!(record["worker"], name(&worker));
    assert_eq!(record["payload"].to_string(), r#"{"class":"hold","queue":"math","args":[1,{"a":"b"}]}"#);
    let on = peer.queue("workingOn", &format!(r#"["{}","math"]"#, name(&worker)));
    assert_eq!(json(on.as_str().expect("workingOn gives the text")), record);
    let all = peer.queue("allWorkingOn", "[]");
    assert_eq!(all[name(&worker)], record);
    let run_at = record["run_at"].as_str().expect("run_at is a text");
    let run_at = chrono::DateTime::parse_from_rfc3339(run_at).expect("run_at is ISO 8601").timestamp_millis();
    assert!((before - 1000..=now_ms() + 1000).contains(&run_at), "{record}");
    let ours = world.windlass(&["workers", "show", name(&worker)]).json().to_string();
    assert!(ours.contains(r#""class":"hold""#) && ours.contains(r#""args":[1,{"a":"b"}]"#), "{ours}");
    world.open("hold");
    world.wait_ended(1);
    daemon.stop();
}

#[test]
fn c03_the_record_of_a_running_job_keeps_what_lua_would_mangle() {
    let world = World::new();
    world.gated_task("hold", "");
    let daemon = world.daemon(&Settings::default());
    let payload = r#"{"class":"hold","queue":"math","args":[[],12345678901234567,"a\/b",{"z":{},"a":1.0}]}"#;
    world.push("math", payload);
    world.wait_begun(1);
    let worker = world.only_worker();
    let record = world.text(&["GET", &format!("resque:worker:{worker}")]).expect("a running job is on record");
    assert!(record.ends_with(&format!(r#""payload":{payload}}}"#)), "{record}");
    world.open("hold");
    daemon.stop();
}

#[test]
fn c04_a_worker_pings_while_its_job_runs() {
    let world = World::new();
    world.gated_task("hold", "");
    let daemon = world.daemon(&Settings::default());
    world.push("math", r#"{"class":"hold","queue":"math","args":[]}"#);
    world.wait_begun(1);
    let worker = world.only_worker();
    let key = format!("resque:worker:ping:{}", name(&worker));
    let mut last = 0;
    for _ in 0..3 {
        let ping = eventually_some("a new ping", || {
            let ping = json(&world.text(&["GET", &key]).expect("there is always a ping"));
            ping["time"].as_i64().filter(|time| *time > last).map(|time| (time, ping))
        });
        last = ping.0;
        assert_eq!(ping.1["name"], name(&worker));
        assert_eq!(ping.1["queues"], "math");
        assert!((now_ms() / 1000 - last).abs() <= 5, "a fresh time: {ping:?}");
    }
    world.open("hold");
    daemon.stop();
}

#[test]
fn c05_c06_success_and_failure_are_counted_and_recorded_as_node_resque_does() {
    let world = World::new();
    world.task("good", "");
    world.failing_task("bad", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    let worker = world.only_worker();
    peer.queue("enqueue", r#"["math","good",[1]]"#);
    eventually("success is counted", || world.counter("resque:stat:processed") == 1);
    assert_eq!(world.counter(&format!("resque:stat:processed:{}", name(&worker))), 1);
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}"), "resque:failed"]), 0);

    peer.queue("enqueue", r#"["math","bad",[{"d":"x"}]]"#);
    eventually("failure is counted", || world.counter("resque:stat:failed") == 1);
    assert_eq!(world.counter(&format!("resque:stat:failed:{}", name(&worker))), 1);
    assert_eq!(world.counter("resque:stat:processed"), 1);
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 0);
    let failed = world.failed();
    assert_eq!(failed.len(), 1);
    let record = json(&failed[0]);
    let members: Vec<_> = record.as_object().expect("a record is an object").keys().cloned().collect();
    // node-resque's in its order; ours, which node-resque leaves as it is, behind them.
    assert_eq!(members, ["worker", "queue", "payload", "exception", "error", "backtrace", "failed_at", "windlass"]);
    assert_eq!(record["worker"], name(&worker));
    assert_eq!(record["queue"], "math");
    assert_eq!(record["payload"].to_string(), r#"{"class":"bad","queue":"math","args":[{"d":"x"}]}"#);
    assert!(record["exception"].is_string() && record["error"].is_string() && record["failed_at"].is_string());
    let backtrace = record["backtrace"].as_array().expect("a backtrace is an array");
    assert!(backtrace.iter().any(|line| line == "told to fail"), "the end of stderr: {record}");
    assert_eq!(peer.queue("failed", "[0,-1]")[0], record);
    assert_eq!(peer.queue("stats", "[]")["processed"], "1");
    daemon.stop();
}

#[test]
fn c08_a_clean_stop_leaves_nothing_behind() {
    let world = World::new();
    world.task("good", "");
    world.failing_task("bad", "");
    let daemon = world.daemon(&Settings { min: 2, max: 2, ..Settings::default() });
    eventually("both are registered", || world.workers().len() == 2);
    for class in ["good", "bad"] {
        world.push("math", &format!(r#"{{"class":"{class}","queue":"math","args":[]}}"#));
    }
    eventually("both are done", || world.counter("resque:stat:processed") + world.counter("resque:stat:failed") == 2);
    daemon.stop();
    assert_eq!(world.texts(&["KEYS", "resque:worker*"]), Vec::<String>::new());
    assert_eq!(world.texts(&["KEYS", "resque:stat:*:*"]), Vec::<String>::new());
    assert_eq!(world.int(&["EXISTS", "resque:resque_scheduler_leader_lock"]), 0);
    assert_eq!((world.counter("resque:stat:processed"), world.counter("resque:stat:failed")), (1, 1));
}

#[test]
fn c09_a_worker_on_all_queues_is_registered_at_every_moment() {
    let world = World::new();
    world.task("good", "");
    let daemon = world.daemon(&Settings { queues: r#"["*"]"#, ..Settings::default() });
    let worker = world.only_worker();
    world.push("first", r#"{"class":"good","queue":"first","args":[]}"#);
    eventually("a job of a new queue is done", || world.counter("resque:stat:processed") == 1);
    let mut count = 1;
    let there = || {
        let keys =
            [format!("resque:worker:ping:{}", name(&worker)), format!("resque:stat:processed:{}", name(&worker))];
        world.int(&["EXISTS", &keys[0], &keys[1]]) == 2 && world.workers() == [&*worker]
    };
    throughout("membership, ping and statistics are there", after(std::time::Duration::from_secs(2)), || {
        // New queues appear all the while.
        count += 1;
        if count % 100 == 0 {
            let queue = format!("queue{count}");
            world.push(&queue, &format!(r#"{{"class":"good","queue":"{queue}","args":[]}}"#));
        }
        there()
    });
    assert!(world.counter("resque:stat:processed") > 1, "the new queues were noticed");
    daemon.stop();
}

#[test]
fn c10_a_job_of_an_unknown_class_fails_and_the_next_one_runs() {
    let world = World::new();
    world.task("good", "");
    let mut peer = world.peer("{}");
    peer.queue("enqueue", r#"["math","nope",[1]]"#);
    peer.queue("enqueue", r#"["math","good",[2]]"#);
    let daemon = world.daemon(&Settings { more: "unknown = \"fail\"", ..Settings::default() });
    world.wait_ended(1);
    let failed = json(&world.failed()[0]);
    assert_eq!(failed["error"], r#"No job defined for class "nope""#);
    assert_eq!(failed["payload"].to_string(), r#"{"class":"nope","queue":"math","args":[1]}"#);
    daemon.stop();
}
