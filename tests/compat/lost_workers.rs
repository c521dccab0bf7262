//! C: what happens to the jobs of workers that die or are removed.

use serde_json::Value;

use crate::waiting::{eventually, now_ms};
use crate::workers::{json, name};
use crate::world::{Settings, World};

#[test]
fn c11_a_killed_workers_job_is_run_again_once_with_the_same_id() {
    let world = World::new();
    world.gated_task("hold", r#"plugins = ["JobLock"]"#);
    let daemon = world.daemon(&Settings::default());
    let payload = r#"{"class":"hold","queue":"math","args":[1.0,12345678901234567]}"#;
    world.push("math", payload);
    let first = world.wait_begun(1)[0].clone();
    let worker = world.only_worker();
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]).len(), 1);
    daemon.kill();
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 1, "the record outlives its worker");

    let daemon = world.daemon(&Settings::default());
    let again = world.wait_begun(2)[1].clone();
    assert_eq!((again.id(), again.args()), (first.id(), first.args()));
    assert_eq!((first.redelivered(), again.redelivered()), (0, 1));
    world.open("hold");
    world.wait_ended(1);
    eventually("the job is done", || world.counter("resque:stat:processed") == 1);
    assert_eq!(world.begun().len(), 2, "it was run again once");
    eventually("nothing is left of the dead worker", || {
        let left = world.texts(&["KEYS", &format!("resque:worker*{}*", name(&worker))]);
        left.is_empty() && world.workers().iter().all(|other| *other != worker)
    });
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]), Vec::<String>::new());
    assert_eq!((world.failed(), world.queued("math")), (vec![], vec![]));
    daemon.stop();
}

#[test]
fn c11_a_killed_workers_job_fails_where_that_is_the_policy() {
    let world = World::new();
    world.gated_task("hold", "on_crash = \"fail\"\nplugins = [\"JobLock\"]");
    let daemon = world.daemon(&Settings::default());
    let payload = r#"{"class":"hold","queue":"math","args":[1.0]}"#;
    world.push("math", payload);
    world.wait_begun(1);
    let worker = world.only_worker();
    daemon.kill();
    let daemon = world.daemon(&Settings::default());
    eventually("the job is failed", || world.failed().len() == 1);
    let record = &world.failed()[0];
    assert!(record.contains(&format!(r#""payload":{payload}"#)), "{record}");
    assert_eq!(json(record)["backtrace"][1], "queue#forceCleanWorker", "node-resque's retryStuckJobs finds it");
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]), Vec::<String>::new());
    eventually("nothing is left of the dead worker", || !world.workers().contains(&worker));
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 0);
    daemon.stop();
    assert_eq!((world.failed().len(), world.queued("math"), world.begun().len()), (1, vec![], 1));
}

#[test]
fn c12_a_worker_that_node_resque_cleaned_away_is_not_recovered_a_second_time() {
    let world = World::new();
    world.gated_task("hold", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings { scheduler: false, ..Settings::default() });
    peer.queue("enqueue", r#"["math","hold",[{"n":7}]]"#);
    world.wait_begun(1);
    let worker = world.only_worker();
    daemon.kill();
    peer.start_scheduler("peer:1", r#""stuckWorkerTimeout":1000"#);
    let cleaned = peer.wait_for("cleanStuckWorker", |event| event["event"] == "cleanStuckWorker");
    assert_eq!(cleaned["worker"], name(&worker));
    peer.stop_scheduler("peer:1");
    let failed = world.failed();
    assert_eq!(failed.len(), 1);
    assert_eq!(json(&failed[0])["payload"].to_string(), r#"{"class":"hold","queue":"math","args":[{"n":7}]}"#);
    assert_eq!(world.workers(), Vec::<String>::new());
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 1, "node-resque leaves it behind");

    let daemon = world.daemon(&Settings::default());
    eventually("the leftover is removed", || world.int(&["EXISTS", &format!("resque:worker:{worker}")]) == 0);
    // A job that still came back would be run before this one.
    world.task("after", "");
    daemon.stop();
    let daemon = world.daemon(&Settings::default());
    world.push("math", r#"{"class":"after","queue":"math","args":[]}"#);
    world.wait_ended(1);
    assert_eq!((world.begun().len(), world.failed().len()), (2, 1), "the job is failed, and was not run again");
    daemon.stop();
}

/// node-resque removes an idle worker. A job that the worker claims before it notices belongs to nobody else, so it must
/// be run.
#[test]
fn c12_what_a_worker_claims_after_node_resque_cleaned_it_idle_is_not_lost() {
    let world = World::new();
    world.gated_task("hold", "");
    world.task("good", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    let worker = world.only_worker();
    eventually("it is idle", || world.only_worker_is_idle());
    assert_eq!(peer.queue("forceCleanWorker", &format!(r#"["{}"]"#, name(&worker))), Value::Null);
    assert_eq!(world.workers(), Vec::<String>::new());
    peer.queue("enqueue", r#"["math","hold",[1]]"#);
    world.wait_begun(1);
    eventually("it is registered again", || world.workers() == [&*worker]);
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 1, "the job is still its own");
    world.open("hold");
    peer.queue("enqueue", r#"["math","good",[2]]"#);
    world.wait_ended(2);
    eventually("both are counted", || world.counter("resque:stat:processed") == 2);
    assert_eq!((world.begun().len(), world.failed().len()), (2, 0));
    daemon.stop();
}

/// The same while a job runs: that one is failed by node-resque, and ends here.
#[test]
fn c12_a_job_whose_worker_node_resque_cleans_is_failed_once_and_killed() {
    let world = World::new();
    world.gated_task("hold", "");
    world.task("good", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    peer.queue("enqueue", r#"["math","hold",[1.5,"\u00e9",{"b":1,"a":[]}]]"#);
    world.wait_begun(1);
    let worker = world.only_worker();
    let cleaned = peer.queue("forceCleanWorker", &format!(r#"["{}"]"#, name(&worker)));
    assert_eq!(cleaned["queue"], "math");
    peer.queue("enqueue", r#"["math","good",[2]]"#);
    world.wait_ended(1);
    assert_eq!(world.ended()[0].task(), "good", "its place is free for the next");
    eventually("that is counted", || world.counter("resque:stat:processed") == 1);
    assert_eq!((world.failed().len(), world.workers()), (1, vec![worker]));
    daemon.stop();
}

#[test]
fn c13_a_node_resque_worker_that_stopped_pinging_is_cleaned_away_whole() {
    let world = World::new();
    let mut peer = world.peer(r#"{"wait":{"behaviour":"wait"}}"#);
    peer.start_worker("peer:77", r#"["math"]"#);
    peer.queue("enqueue", r#"["math","wait",[{"n":1}]]"#);
    peer.wait_ran("wait");
    peer.kill();
    let daemon = world.daemon(&Settings { more: "stuck_worker_timeout = \"1s\"", ..Settings::scheduler_only() });
    eventually("its job is failed", || world.failed().len() == 1);
    let record = json(&world.failed()[0]);
    assert_eq!(record["payload"], serde_json::json!({"class": "wait", "queue": "math", "args": [{"n": 1}]}));
    assert_eq!(record["backtrace"][1], "queue#forceCleanWorker");
    for key in ["worker:peer:77:math", "worker:peer:77:math:started", "worker:ping:peer:77", "worker:peer:77"] {
        assert_eq!(world.int(&["EXISTS", &format!("resque:{key}")]), 0, "{key}");
    }
    assert!(!world.workers().iter().any(|worker| worker.starts_with("peer:77")));
    daemon.stop();
}

#[test]
fn c13_the_job_lock_of_a_killed_node_resque_worker_is_freed_with_it() {
    let world = World::new();
    let mut peer = world.peer(r#"{"wait":{"behaviour":"wait","plugins":["JobLock"]}}"#);
    peer.start_worker("peer:77", r#"["math"]"#);
    peer.queue("enqueue", r#"["math","wait",[1,"a b"]]"#);
    peer.wait_ran("wait");
    peer.kill();
    let locks = || world.texts(&["KEYS", "resque:workerslock:*"]);
    assert_eq!(locks(), [r#"resque:workerslock:wait:math:[1,"a b"]"#]);
    let daemon = world.daemon(&Settings { more: "stuck_worker_timeout = \"1s\"", ..Settings::scheduler_only() });
    eventually("its job is failed", || world.failed().len() == 1);
    assert_eq!(locks(), Vec::<String>::new());
    daemon.stop();
}

#[test]
fn force_clean_frees_the_job_lock_of_a_node_resque_worker_and_a_ruby_heartbeat() {
    let world = World::new();
    let mut peer = world.peer(r#"{"wait":{"behaviour":"wait","plugins":["JobLock"]}}"#);
    peer.start_worker("peer:77", r#"["math"]"#);
    peer.queue("enqueue", r#"["math","wait",[1]]"#);
    peer.wait_ran("wait");
    peer.kill();
    world.redis(&["SADD", "resque:workers", "ruby:1:math"]);
    world.redis(&["HSET", "resque:workers:heartbeat", "ruby:1:math", "2026-11-24T03:28:19+00:00"]);
    for name in ["peer:77", "ruby:1"] {
        let answer = world.windlass(&["workers", "force-clean", name, "--yes"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]), Vec::<String>::new());
    assert_eq!(world.int(&["HLEN", "resque:workers:heartbeat"]), 0);
}

#[test]
fn c13_its_job_is_enqueued_again_where_the_configuration_says_so() {
    let world = World::new();
    let mut peer = world.peer(r#"{"wait":{"behaviour":"wait"}}"#);
    peer.start_worker("peer:77", r#"["math"]"#);
    peer.queue("enqueue", r#"["math","wait",[{"n":1}]]"#);
    peer.wait_ran("wait");
    peer.kill();
    let more = "stuck_worker_timeout = \"1s\"\nretry_stuck_jobs = true";
    let daemon = world.daemon(&Settings { more, ..Settings::scheduler_only() });
    eventually("it is on its queue again", || world.queued("math").len() == 1);
    daemon.stop();
    assert_eq!(json(&world.queued("math")[0])["args"], serde_json::json!([{"n": 1}]));
    assert_eq!(world.failed(), Vec::<String>::new());
}

#[test]
fn c14_a_ping_without_registration_still_leads_to_the_job() {
    let world = World::new();
    let old = now_ms() / 1000 - 100;
    let ping = |name: &str| {
        let ping = format!(r#"{{"time":{old},"name":"{name}","queues":"math,other"}}"#);
        world.redis(&["SET", &format!("resque:worker:ping:{name}"), &ping]);
    };
    ping("gone:1");
    ping("gone:2");
    world.redis(&["SADD", "resque:workers", "gone:3:math,other"]);
    ping("gone:3");
    let record = |name: &str| {
        let payload = r#"{"class":"add","args":[1,2],"queue":"math"}"#;
        format!(
            r#"{{"run_at":"Tue Nov 24 2026 03:26:17 GMT+0000","worker":"{name}","payload":{payload},"queue":"math"}}"#
        )
    };
    world.redis(&["SET", "resque:worker:gone:1:math,other", &record("gone:1")]);
    world.redis(&["SET", "resque:worker:gone:3:math,other", &record("gone:3")]);
    let more = "stuck_worker_timeout = \"2s\"";
    let daemon = world.daemon(&Settings { more, ..Settings::scheduler_only() });
    eventually("the registered one is removed", || world.workers().is_empty());
    // Pings are not searched in the whole Redis: they are looked up by name.
    for name in ["gone:1", "gone:2"] {
        let answer = world.windlass(&["workers", "force-clean", name, "--yes"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    let left = || world.texts(&["KEYS", "resque:worker:*gone:*"]);
    eventually("nothing is left of them", || left().is_empty());
    let failed = world.failed();
    assert_eq!(failed.len(), 2, "the jobs of two, and nothing for the idle one: {failed:#?}");
    for record in &failed {
        assert!(record.contains(r#""payload":{"class":"add","args":[1,2],"queue":"math"}"#), "{record}");
    }
    assert_eq!(world.counter("resque:stat:failed"), 2, "counted only where there is a record");
    daemon.stop();
}

#[test]
fn a_record_that_the_store_brought_back_does_not_block_its_worker_for_good() {
    let world = World::new();
    world.task("add", "");
    let daemon = world.daemon(&Settings { lease: "1s", ..Settings::default() });
    let worker = world.only_worker();
    // As after a failover to a replica that was behind: the end of the job was recorded and is lost.
    let instance = world.texts(&["HKEYS", "resque:windlass:instances"]).remove(0);
    let record = format!(
        r#"{{"claim":"{instance}-0-9-0","run_at":"2026-11-24T03:26:18.000Z","queue":"math","worker":"{}","payload":{{"class":"add","queue":"math","args":[1]}}}}"#,
        name(&worker)
    );
    world.redis(&["SET", &format!("resque:worker:{worker}"), &record]);
    world.push("math", r#"{"class":"add","queue":"math","args":[2]}"#);
    let ended = world.wait_ended(2);
    daemon.stop();
    let mut runs: Vec<_> = ended.iter().map(|run| (run.args(), run.redelivered())).collect();
    runs.sort();
    assert_eq!(runs, [("[1]".to_owned(), 1), ("[2]".to_owned(), 0)]);
}

#[test]
fn c15_a_record_of_an_earlier_life_under_the_same_name_is_recovered_before_anything_is_claimed() {
    let world = World::new();
    world.task("early", "");
    // The name holds the process id, which the system gives: so the next few thousand names have a record.
    let host = {
        let daemon = world.daemon(&Settings::default());
        let worker = world.only_worker();
        daemon.stop();
        worker.split_once(':').map(|(host, _)| host.to_owned()).expect("a worker has three parts")
    };
    const SCRIPT: &str = r#"
        local pid, limit = tonumber(ARGV[1]), tonumber(ARGV[3])
        for i = 1, 5000 do
            pid = pid + 1
            if pid >= limit then pid = 2 end
            local name = ARGV[2] .. ':' .. pid .. '+1'
            redis.call('SET', 'resque:worker:' .. name .. ':math',
                '{"claim":"0123456789abcdef-0-1-0","run_at":"2026-11-24T03:26:17.000Z","queue":"math","worker":"' .. name ..
                '","payload":{"class":"early","queue":"math","args":["' .. pid .. '"]}}')
        end
        return redis.status_reply('OK')"#;
    let limit = std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("/proc must be mounted");
    let newest = std::process::Command::new("true").spawn().map(|mut child| {
        let pid = child.id();
        child.wait().map(|_| pid)
    });
    let newest = newest.and_then(|waited| waited).expect("a process must start").to_string();
    world.redis(&["EVAL", SCRIPT, "0", &newest, &host, limit.trim()]);
    world.push("math", r#"{"class":"early","queue":"math","args":["later"]}"#);

    let daemon = world.daemon(&Settings::default());
    let ended = world.wait_ended(2);
    let worker = world.only_worker();
    let pid = worker.split([':', '+']).nth(1).expect("a worker's name holds its process id");
    let args: Vec<_> = ended.iter().map(|run| run.args()).collect();
    assert_eq!(args, [format!(r#"["{pid}"]"#), r#"["later"]"#.to_owned()], "the earlier job first");
    assert_eq!(ended[0].redelivered(), 1);
    eventually("both are done", || world.counter("resque:stat:processed") == 2);
    assert_eq!(world.int(&["EXISTS", &format!("resque:worker:{worker}")]), 0);
    daemon.stop();
}

/// A node-resque worker records its job by Lua's JSON, and names the lock by JavaScript's.
#[test]
fn force_clean_frees_a_job_lock_whose_arguments_the_record_shows_changed() {
    let world = World::new();
    let mut peer = world.peer(r#"{"wait":{"behaviour":"wait","plugins":["JobLock"]}}"#);
    peer.start_worker("peer:77", r#"["math"]"#);
    let args = r#"[{"b":1,"a":[],"c":{}},1e20,0.1234567890123456,1700000000000123]"#;
    peer.queue("enqueue", &format!(r#"["math","wait",{args}]"#));
    peer.wait_ran("wait");
    peer.kill();
    let other = "resque:workerslock:wait:math:[2]";
    world.redis(&["SET", other, "1900000000"]);
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]).len(), 2);
    let answer = world.windlass(&["workers", "force-clean", "peer:77", "--yes"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]), [other]);
}

#[test]
fn force_clean_names_the_locks_between_which_a_record_does_not_decide() {
    let world = World::new();
    world.redis(&["SADD", "resque:workers", "peer:78:math"]);
    let payload = r#"{"class":"wait","args":[{}],"queue":"math"}"#;
    let record = format!(r#"{{"run_at":"x","worker":"peer:78","payload":{payload},"queue":"math"}}"#);
    world.redis(&["SET", "resque:worker:peer:78:math", &record]);
    let locks = ["workerslock:wait:math:[[]]", "workerslock:wait:math:[{}]"];
    for lock in locks {
        world.redis(&["SET", &format!("resque:{lock}"), "1900000000"]);
    }
    let answer = world.windlass(&["workers", "force-clean", "peer:78", "--yes"]).json();
    assert_eq!(answer["locks_left"], serde_json::json!(locks));
    assert_eq!(world.texts(&["KEYS", "resque:workerslock:*"]).len(), 2, "either may be another job's");
}
