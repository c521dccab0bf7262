//! Jobs whose payload does not name their queue: when Windlass delays them, they return to that queue, no matter which
//! scheduler promotes them. Also
//! the identity of a job while other programs move, take and delete it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::waiting::{eventually, now_ms};
use crate::world::{Settings, World};

/// Who moves due jobs to their queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promoter {
    Windlass,
    NodeResque,
    ResqueScheduler,
}

/// One poll of resque-scheduler, which drops the queue of the jobs that it moves.
fn poll_as_resque_scheduler(world: &World) {
    let now = (now_ms() / 1000).to_string();
    for second in world.texts(&["ZRANGEBYSCORE", "resque:delayed_queue_schedule", "-inf", &now]) {
        let list = format!("resque:delayed:{second}");
        let items = world.texts(&["LRANGE", &list, "0", "99"]);
        for item in &items {
            let job: Value = serde_json::from_str(item).expect("resque-scheduler reads JSON");
            let queue = job["queue"].as_str().expect("without a queue it loses the job");
            let moved = format!(r#"{{"class":{},"args":{}}}"#, job["class"], job["args"]);
            world.redis(&["SREM", &format!("resque:timestamps:{item}"), &format!("delayed:{second}")]);
            world.redis(&["SADD", "resque:queues", queue]);
            world.redis(&["RPUSH", &format!("resque:queue:{queue}"), &moved]);
        }
        world.redis(&["LTRIM", &list, &items.len().to_string(), "-1"]);
        if world.int(&["LLEN", &list]) == 0 {
            world.redis(&["ZREM", "resque:delayed_queue_schedule", &second]);
        }
    }
}

/// Waits, while due jobs are moved.
fn promoting(world: &World, promoter: Promoter, what: &str, mut holds: impl FnMut() -> bool) {
    eventually(&format!("{what}, promoted by {promoter:?}"), || {
        if promoter == Promoter::ResqueScheduler {
            poll_as_resque_scheduler(world);
        }
        holds()
    });
}

fn come_back(promoter: Promoter) {
    let world = World::new();
    let retry = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 2\nretry_delay = 1000\n";
    world.failing_task("rt", retry);
    world.task_file(
        "lt",
        "name = \"lt\"\nqueue = \"math\"\n[run]\nexec = [\"./job\", \"\", \"75\"]\nretry_later = \"1s\"\nretry_later_limit = 1\n",
    );
    world.gated_task("held", "plugins = [\"JobLock\"]");
    world.redis(&["SADD", "resque:queues", "math"]);
    let mut payloads = Vec::new();
    for class in ["rt", "lt"] {
        payloads.push(format!(r#"{{"class":"{class}","args":["none"]}}"#));
        payloads.push(format!(r#"{{"class":"{class}","args":["other"],"queue":"elsewhere"}}"#));
        payloads.push(format!(r#"{{"class":"{class}","queue":null,"args":["null"]}}"#));
        payloads.push(format!(r#"{{"class":"{class}","queue":"","args":["blank"]}}"#));
        payloads.push(format!(r#"{{"class":"{class}","queue":7,"args":["number"]}}"#));
    }
    for payload in &payloads {
        world.redis(&["RPUSH", "resque:queue:math", payload]);
    }
    for _ in 0..2 {
        world.redis(&["RPUSH", "resque:queue:math", r#"{"class":"held","args":[1]}"#]);
    }
    let mut peer = world.peer("{}");
    if promoter == Promoter::NodeResque {
        peer.start_scheduler("peer", "");
    }
    let scheduler = promoter == Promoter::Windlass;
    let daemon = world.daemon(&Settings { scheduler, min: 4, max: 4, ..Settings::default() });
    promoting(&world, promoter, "all fail in the end", || world.failed().len() == payloads.len());
    let of = |class: &'static str| world.begun().into_iter().filter(move |run| run.task() == class);
    eventually("one of two waits for the lock", || of("held").count() == 1);
    world.open("held");
    promoting(&world, promoter, "both ran", || of("held").count() == 2);
    eventually("they are settled", || world.counter("resque:stat:processed") == 2);
    daemon.stop();
    let mut ids = BTreeMap::<String, Vec<String>>::new();
    for run in world.begun() {
        assert_eq!(run.queue(), "math", "{promoter:?}");
        if run.task() != "held" {
            ids.entry(format!("{} {}", run.task(), run.args())).or_default().push(run.id());
        }
    }
    assert_eq!(ids.len(), payloads.len());
    for (job, ids) in ids {
        assert_eq!(ids.len(), 2, "{job}, promoted by {promoter:?}");
        assert_eq!(ids[0], ids[1], "{job}, promoted by {promoter:?}");
    }
    let mut left = world.texts(&["KEYS", "resque:queue:*"]);
    for pattern in ["resque:delayed*", "resque:timestamps:*", "*resque-retry*"] {
        left.extend(world.texts(&["KEYS", pattern]));
    }
    assert_eq!(left, Vec::<String>::new(), "{promoter:?}");
}

#[test]
fn what_is_put_off_here_comes_back_when_windlass_promotes() {
    come_back(Promoter::Windlass);
}

#[test]
fn what_is_put_off_here_comes_back_when_node_resque_promotes() {
    come_back(Promoter::NodeResque);
}

#[test]
fn what_is_put_off_here_comes_back_when_resque_scheduler_promotes() {
    come_back(Promoter::ResqueScheduler);
}

#[test]
fn a_job_that_node_resque_deletes_lends_its_id_to_nobody() {
    let world = World::new();
    let retry = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = \"1h\"\n";
    world.failing_task("rt", retry);
    let mut peer = world.peer("{}");
    let once = |runs: usize| {
        world.redis(&["RPUSH", "resque:queue:math", r#"{"class":"rt","args":["x"]}"#]);
        let daemon = world.daemon(&Settings { scheduler: false, ..Settings::default() });
        world.wait_ended(runs);
        eventually("it is put off", || world.int(&["ZCARD", "resque:delayed_queue_schedule"]) > 0);
        daemon.stop();
    };
    world.redis(&["SADD", "resque:queues", "math"]);
    once(1);
    let deleted = peer.queue("delDelayed", r#"["math","rt",["x"]]"#);
    assert_eq!(deleted.as_array().map(Vec::len), Some(1), "node-resque finds what was put off: {deleted}");
    assert_eq!(world.int(&["HLEN", "resque:windlass:identity"]), 1);
    let leader = world.daemon(&Settings::scheduler_only());
    eventually("the leader sweeps", || world.texts(&["KEYS", "resque:windlass:identity*"]).is_empty());
    leader.stop();
    world.redis(&["DEL", "resque:delayed_queue_schedule"]);
    once(2);
    let runs = world.ended();
    assert_ne!(runs[0].id(), runs[1].id());
}

#[test]
fn a_job_retried_by_hand_has_the_id_it_had() {
    let world = World::new();
    world.failing_task("bad", "");
    world.push("math", r#"{"class":"bad","args":[1]}"#);
    let daemon = world.daemon(&Settings::default());
    for runs in 1..=3 {
        world.wait_ended(runs);
        eventually("it fails", || world.failed().len() == 1);
        let record: Value = serde_json::from_str(&world.failed()[0]).expect("a record is JSON");
        let run = &record["windlass"];
        assert_eq!((run["attempt"].as_u64(), run["redelivered"].as_u64()), (Some(runs as u64), Some(0)), "{record}");
        assert!(run["ms"].is_u64() && run["id"] == world.ended()[0].id(), "{record}");
        if runs < 3 {
            world.windlass(&["failed", "retry", "0"]).json();
        }
    }
    daemon.stop();
    let jobs = world.ended().into_iter().map(|run| serde_json::from_str::<Value>(&run.job).expect("a job is JSON"));
    let told: Vec<_> = jobs.map(|job| (job["id"].clone(), job["attempt"].clone())).collect();
    let id = told[0].0.clone();
    assert_eq!(told, [(id.clone(), 1.into()), (id.clone(), 2.into()), (id, 3.into())]);
}

#[test]
fn a_delayed_job_that_names_no_queue_is_failed_with_the_remedy() {
    let world = World::new();
    world.task("add", "");
    let job = r#"{"class":"add","args":[1]}"#;
    world.redis(&["RPUSH", "resque:delayed:1700000000", job]);
    world.redis(&["ZADD", "resque:delayed_queue_schedule", "1700000000", "1700000000"]);
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("it is failed", || world.failed().len() == 1);
    daemon.stop();
    let refused = world.windlass(&["failed", "retry", "0"]);
    assert!(refused.code != Some(0) && refused.said().contains("--queue Q"), "{refused:?}");
    assert!(world.failed()[0].contains("failed retry ID --queue Q"), "{}", world.failed()[0]);
    world.windlass(&["failed", "retry", "0", "--queue", "math"]).json();
    assert_eq!((world.queued("math"), world.failed().len()), (vec![job.to_owned()], 0));
}
