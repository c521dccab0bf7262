//! Ruby's Resque, resque-scheduler and resque-web by their recorded bytes and commands (resque 3.0, resque-scheduler
//! 5.0, goworker): the tests write their bytes and repeat their actions command by command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::resque_scheduler::RubyScheduler;
use crate::waiting::{after, eventually, throughout};
use crate::world::{Settings, World};

#[test]
fn a04_a06_a_ruby_job_without_a_queue_runs_and_fails_under_its_lists_name() {
    let world = World::new();
    world.task("Add", "");
    world.failing_task("Boom", "");
    let job = r#"{"class":"Boom","args":[1.0,1.0e+20,25000000000000000000000000]}"#;
    let daemon = world.daemon(&Settings::default());
    world.push("math", r#"{"class":"Add","args":[1,2]}"#);
    world.push("math", job);
    eventually("one fails", || world.failed().len() == 1);
    daemon.stop();
    let added = &world.ended()[0];
    assert_eq!((added.queue(), added.args()), ("math".to_owned(), "[1,2]".to_owned()));
    let record = &world.failed()[0];
    assert!(record.contains(&format!(r#""payload":{job}"#)), "the bytes are kept: {record}");
    assert_eq!(serde_json::from_str::<Value>(record).unwrap()["queue"], "math");
    // What Ruby's worker reads of a job of ours: class and args, by name; the queue is its list's.
    world.windlass(&["enqueue", "Add", "--args", "[1,2]"]).json();
    let ours: Value = serde_json::from_str(&world.queued("math")[0]).unwrap();
    assert_eq!((&ours["class"], &ours["args"]), (&json!("Add"), &json!([1, 2])));
}

#[test]
fn a10_workers_on_all_queues_find_a_queue_of_ours() {
    let world = World::new();
    let mut peer = world.peer(r#"{"add":{}}"#);
    peer.start_worker("peer:1", "\"*\"");
    let task = "name = \"add\"\nqueue = \"brandnew\"\n[run]\nbuiltin = \"noop\"\n";
    world.task_file("add", task);
    world.windlass(&["enqueue", "add", "--args", "[1]"]).json();
    assert_eq!(peer.wait_ran("add")["args"], json!([1]));
    peer.stop_worker("peer:1");
    // Ruby's patterns are matched against this set.
    assert_eq!(world.texts(&["SMEMBERS", "resque:queues"]), ["brandnew"]);
}

#[test]
fn b07_b15_jobs_of_resque_scheduler_are_moved_as_they_stand() {
    let world = World::new();
    world.redis(&["HSET", "resque:delayed:last_enqueued_at", "tick", "2026-11-24 03:33:02 +0000"]);
    let job = r#"{"class":"Add","args":[1.0,4],"queue":"math"}"#;
    world.delay(1000, job);
    world.delay(4_000_000_000, r#"{"class":"Add","args":[5],"queue":"math"}"#);
    let listed = world.windlass(&["delayed", "timestamps"]).json();
    assert!(!listed.to_string().contains("last_enqueued"), "{listed}");
    world.windlass(&["stats"]).json();
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("the due one is moved", || world.queued("math") == [job]);
    daemon.stop();
    assert_eq!(world.int(&["EXISTS", &format!("resque:timestamps:{job}")]), 0);
    assert_eq!(world.int(&["HLEN", "resque:delayed:last_enqueued_at"]), 1, "it is somebody else's");
    assert_eq!(world.texts(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1"]), ["4000000000"]);
}

/// What resque-web needs of the records that its pages show; anything else is its error 500.
fn check_pages(world: &World) {
    for id in world.workers() {
        let parts: Vec<&str> = id.split(':').collect();
        assert_eq!(parts.len(), 3, "overview and workers split a name into three: {id}");
        if let Some(record) = world.text(&["GET", &format!("resque:worker:{id}")]) {
            let record: Value = serde_json::from_str(&record).unwrap();
            assert!(record["queue"].is_string() && record["run_at"].is_string(), "{record}");
            assert!(record["payload"]["class"].is_string() && record["payload"]["args"].is_array(), "{record}");
        }
        assert!(world.text(&["GET", &format!("resque:worker:{id}:started")]).is_some());
    }
    for record in world.failed() {
        let record: Value = serde_json::from_str(&record).unwrap();
        for text in ["worker", "failed_at", "exception", "error", "queue"] {
            assert!(record[text].is_string(), "{text}: {record}");
        }
        let backtrace = record["backtrace"].as_array().unwrap_or_else(|| panic!("a list: {record}"));
        assert!(backtrace.iter().all(Value::is_string));
    }
    for counter in ["processed", "failed"] {
        let text = world.text(&["GET", &format!("resque:stat:{counter}")]);
        assert!(text.is_none_or(|text| text.parse::<u64>().is_ok()));
    }
}

#[test]
fn b16_c07_the_pages_of_resque_web_can_show_what_we_write() {
    let world = World::new();
    world.gated_task("hold", "");
    world.failing_task("bad", "");
    let daemon = world.daemon(&Settings { min: 3, max: 3, more: "unknown = \"fail\"", ..Settings::default() });
    for payload in [r#"{"class":"bad","args":[1]}"#, "{bad", "null", "[1,2]", r#"{"class":"nobody","args":{}}"#] {
        world.push("math", payload);
    }
    eventually("all fail", || world.failed().len() == 5);
    world.windlass(&["enqueue", "hold", "--args", r#"{"a":[]}"#]).json();
    world.windlass(&["enqueue", "hold", "--at", "@4000000000", "--args", "[7]"]).json();
    world.wait_begun(2);
    check_pages(&world);
    // The page of delayed jobs: scores, lengths and the first job of each second.
    assert_eq!(world.int(&["ZCARD", "resque:delayed_queue_schedule"]), 1);
    assert_eq!(world.texts(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1"]), ["4000000000"]);
    let first: Value =
        serde_json::from_str(&world.text(&["LINDEX", "resque:delayed:4000000000", "0"]).unwrap()).unwrap();
    assert_eq!((&first["class"], &first["args"]), (&json!("hold"), &json!([7])));
    // Its "queue now" is a transfer like any other, and leaves nothing of ours behind.
    let mut page = RubyScheduler::connect(&world, "elsewhere:20702");
    world.open("hold");
    assert_eq!(page.move_batch("4000000000", Duration::ZERO), Some(1));
    world.wait_ended(3);
    assert_eq!(world.texts(&["KEYS", "resque:timestamps:*"]), Vec::<String>::new());
    daemon.stop();
    check_pages(&world);
}

#[test]
fn c16_a_ruby_worker_on_this_host_prunes_none_of_ours() {
    let world = World::new();
    let daemon = world.daemon(&Settings::default());
    let ours = world.only_worker();
    // Its rule: a worker with its own host name whose process is not in its list of Resque processes.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_ne!(ours.split(':').next().unwrap(), host);
    // Its other rule uses heartbeats, which we do not write.
    assert_eq!(world.int(&["EXISTS", "resque:workers:heartbeat"]), 0);
    daemon.stop();
}

#[test]
fn c18_rubys_switch_pauses_ours_and_ours_is_rubys() {
    let world = World::new();
    world.task("good", "");
    let daemon = world.daemon(&Settings::default());
    let ours = world.only_worker();
    // Ruby ignores blanks around it and its case.
    world.redis(&["SET", "resque:pause-all-workers", " TRUE\n"]);
    world.push("math", r#"{"class":"good","args":[1]}"#);
    throughout("nothing is claimed", after(Duration::from_millis(800)), || world.queued("math").len() == 1);
    let ping = format!("resque:worker:ping:{}", ours.rsplit_once(':').unwrap().0);
    let pinged = world.text(&["GET", &ping]);
    eventually("it still pings", || world.text(&["GET", &ping]) != pinged);
    assert_eq!(world.windlass(&["queues"]).json()["all_paused"], json!(true));
    world.redis(&["DEL", "resque:pause-all-workers"]);
    world.wait_ended(1);
    // A text that Ruby does not read as true pauses nothing.
    world.redis(&["SET", "resque:pause-all-workers", "yes"]);
    world.push("math", r#"{"class":"good","args":[2]}"#);
    world.wait_ended(2);
    assert_eq!(world.windlass(&["queues", "pause", "--all"]).json()["changed"], json!(true));
    assert_eq!(world.text(&["GET", "resque:pause-all-workers"]).as_deref(), Some("true"));
    world.push("math", r#"{"class":"good","args":[3]}"#);
    throughout("nothing is claimed", after(Duration::from_millis(500)), || world.queued("math").len() == 1);
    assert_eq!(world.windlass(&["queues", "resume", "--all"]).json()["changed"], json!(true));
    assert_eq!(world.int(&["EXISTS", "resque:pause-all-workers"]), 0);
    world.wait_ended(3);
    daemon.stop();
}

#[test]
fn c18_a_paused_full_queue_keeps_nobody_busy() {
    let world = World::new();
    world.task("good", "");
    let calls = || -> u64 {
        let stats = world.text(&["INFO", "commandstats"]).unwrap();
        let count = |line: &str| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok();
        stats.lines().filter_map(count).sum()
    };
    let in_two_seconds = || {
        let before = calls();
        // The passing of time is what is measured.
        std::thread::sleep(Duration::from_secs(2));
        calls() - before
    };
    let daemon = world.daemon(&Settings { min: 3, max: 3, ..Settings::default() });
    let idle = in_two_seconds();
    world.windlass(&["queues", "pause", "math"]).json();
    for n in 0..50 {
        world.push("math", &format!(r#"{{"class":"good","args":[{n}]}}"#));
    }
    let paused = in_two_seconds();
    assert!(paused <= idle * 2 + 60, "{paused} commands in two seconds over a paused queue, {idle} over an empty one");
    let view = &world.windlass(&["queues"]).json()["queues"][0];
    assert_eq!((&view["queue"], &view["length"], &view["paused"]), (&json!("math"), &json!(50), &json!(true)));
    world.windlass(&["queues", "resume", "math"]).json();
    world.wait_ended(50);
    daemon.stop();
}
