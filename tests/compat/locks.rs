//! F: QueueLock, JobLock and DelayQueueLock, shared with node-resque.

use std::time::Duration;

use serde_json::{Value, json};

use crate::waiting::{after, eventually, eventually_some, now_ms, throughout};
use crate::world::{Settings, World};

const QUEUE_LOCK: &str = r#"plugins = ["QueueLock"]"#;
const JOB_LOCK: &str = r#"plugins = ["JobLock"]"#;
const ADD: &str = r#"{"class":"add","queue":"math","args":[1,2]}"#;
const ADD_LOCK: &str = "lock:add:math:[1,2]";

impl World {
    fn enqueue_add(&self) -> Value {
        self.windlass(&["enqueue", "add", "--args", "[1,2]"]).json()
    }

    /// The one JobLock, without namespace, and its value.
    fn job_lock(&self) -> Option<(String, String)> {
        let key = self.texts(&["KEYS", "resque:workerslock:*"]).pop()?;
        let value = self.text(&["GET", &key])?;
        Some((key.trim_start_matches("resque:").to_owned(), value))
    }
}

fn refused_by(answer: &Value) -> Option<&str> {
    match answer["enqueued"].as_bool() {
        Some(true) => None,
        Some(false) => answer["refused_by"].as_str(),
        None => panic!("`enqueued` must be there: {answer}"),
    }
}

#[test]
fn f01_a_second_equal_job_is_refused_while_the_first_waits() {
    let world = World::new();
    world.task("add", "plugins = [\"QueueLock\"]\n[plugin_options.QueueLock]\nlock_timeout = 100");
    let mut peer = world.peer("{}");
    assert_eq!(refused_by(&world.enqueue_add()), None);
    let before = now_ms() / 1000;
    assert_eq!(refused_by(&world.enqueue_add()), Some("QueueLock"));
    assert_eq!(world.queued("math"), [ADD]);
    let value = world.text(&["GET", &format!("resque:{ADD_LOCK}")]).expect("the lock is held");
    let until: i64 = value.parse().expect("an integer");
    assert!((before + 95..=before + 105).contains(&until), "now + 100 + 1: {until}");
    let ttl = world.int(&["TTL", &format!("resque:{ADD_LOCK}")]);
    assert!((90..=100).contains(&ttl), "{ttl}");
    assert_eq!(peer.queue("locks", "[]"), json!({ ADD_LOCK: value }));
    let ours = world.windlass(&["locks"]).json().to_string();
    assert!(ours.contains(ADD_LOCK), "{ours}");
    // Another order of members is another lock, and other arguments too.
    assert_eq!(refused_by(&world.windlass(&["enqueue", "add", "--args", "[2,1]"]).json()), None);
}

#[test]
fn f02_a_lock_that_node_resque_took_holds_here_and_either_side_frees_it() {
    let world = World::new();
    world.task("add", QUEUE_LOCK);
    let mut peer = world.peer(r#"{"add":{"plugins":["QueueLock"]}}"#);
    assert_eq!(peer.queue("enqueue", r#"["math","add",[1,2]]"#), true);
    assert_eq!(refused_by(&world.enqueue_add()), Some("QueueLock"));
    world.windlass(&["locks", "delete", ADD_LOCK]).json();
    assert_eq!(refused_by(&world.enqueue_add()), None);
    assert_eq!(peer.queue("enqueue", r#"["math","add",[1,2]]"#), false, "ours holds there");
    assert_eq!(peer.queue("delLock", &format!("[{ADD_LOCK:?}]")), 1);
    assert_eq!(peer.queue("enqueue", r#"["math","add",[1,2]]"#), true);
    assert_eq!(world.queued("math"), [ADD, ADD, ADD]);
}

#[test]
fn f03_the_queue_lock_is_free_before_the_job_runs() {
    let world = World::new();
    world.gated_task("add", QUEUE_LOCK);
    let daemon = world.daemon(&Settings::default());
    world.enqueue_add();
    world.wait_begun(1);
    assert_eq!(world.int(&["EXISTS", &format!("resque:{ADD_LOCK}")]), 0);
    assert_eq!(refused_by(&world.enqueue_add()), None, "the same job may wait while one runs");
    assert_eq!(refused_by(&world.enqueue_add()), Some("QueueLock"), "but only one");
    world.open("add");
    world.wait_ended(2);
    daemon.stop();
}

#[test]
fn f04_equal_jobs_with_job_lock_never_run_at_once_on_both_sides() {
    let world = World::new();
    world.gated_task("add", JOB_LOCK);
    let mut peer = world.peer(r#"{"add":{"plugins":["JobLock"],"behaviour":"wait"}}"#);
    // node-resque holds the lock, our copy waits.
    peer.queue("enqueue", r#"["math","add",[1,2]]"#);
    peer.start_worker("peer:1", r#"["math"]"#);
    peer.wait_ran("add");
    let daemon = world.daemon(&Settings::default());
    let held = world.job_lock().expect("node-resque holds the lock");
    world.enqueue_add();
    eventually("our copy is put back", || world.int(&["ZCARD", "resque:delayed_queue_schedule"]) == 1);
    assert_eq!(world.job_lock(), Some(held), "the holder's lock is untouched");
    assert_eq!(world.begun().len(), 0, "and did not run");
    assert_eq!(peer.release(), 1);
    peer.wait_for("the end there", |event| event["event"] == "worker success");
    peer.stop_worker("peer:1");
    // Ours runs now, and its lock keeps node-resque out.
    world.wait_begun(1);
    let (key, held) = world.job_lock().expect("we hold the lock");
    assert_eq!(key, "workerslock:add:math:[1,2]");
    assert!(
        held.split(':').next().is_some_and(|seconds| seconds.parse::<i64>().is_ok()),
        "node-resque can read {held}"
    );
    peer.forget_events();
    world.push("math", ADD);
    peer.start_worker("peer:2", r#"["math"]"#);
    eventually("node-resque puts its copy back", || world.int(&["EXISTS", "resque:delayed_queue_schedule"]) == 1);
    peer.stop_worker("peer:2");
    assert_eq!(peer.events("ran"), Vec::<Value>::new());
    assert_eq!(world.job_lock(), Some((key, held)));
    assert_eq!(world.begun().len(), 1);
    world.open("add");
    world.wait_ended(2);
    eventually("both are done", || world.counter("resque:stat:processed") == 3);
    daemon.stop();
    assert_eq!(world.failed(), Vec::<String>::new());
    assert_eq!(world.job_lock(), None);
}

#[test]
fn f05_a_running_jobs_lock_is_renewed_and_a_foreign_one_left_alone() {
    let world = World::new();
    world.gated_task("add", "plugins = [\"JobLock\"]\n[plugin_options.JobLock]\nlock_timeout = 3");
    let daemon = world.daemon(&Settings { lease: "1500ms", ..Settings::default() });
    world.enqueue_add();
    world.wait_begun(1);
    let (key, _) = world.job_lock().expect("the job holds its lock");
    let key = format!("resque:{key}");
    throughout("the lock is held twice as long as it would last", after(Duration::from_secs(6)), || {
        world.int(&["PTTL", &key]) > 0
    });
    // This lock is another's: it must survive the end of our job and further renewals.
    world.redis(&["SET", &key, "4000000000"]);
    let last = world.redis(&["GET", &key]);
    world.open("add");
    world.wait_ended(1);
    eventually("the job is done", || world.counter("resque:stat:processed") == 1);
    daemon.stop();
    assert_eq!(world.redis(&["GET", &key]), last);
    assert_eq!(world.int(&["TTL", &key]), -1, "not even its time was touched");
}

#[test]
fn f06_waiters_of_the_same_second_all_run() {
    let world = World::new();
    world.gated_task("add", JOB_LOCK);
    let daemon = world.daemon(&Settings { min: 4, max: 4, ..Settings::default() });
    for _ in 0..4 {
        world.push("math", ADD);
    }
    world.wait_begun(1);
    eventually("three wait", || {
        let delayed = world.texts(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1"]);
        let lengths = delayed.iter().map(|second| world.int(&["LLEN", &format!("resque:delayed:{second}")]));
        lengths.sum::<i64>() == 3
    });
    assert_eq!(world.begun().len(), 1);
    world.open("add");
    world.wait_ended(4);
    eventually("all are done", || world.counter("resque:stat:processed") == 4);
    // Begins and ends take turns: no two ran at once.
    let phases: Vec<_> = world.runs().into_iter().map(|run| run.phase).collect();
    assert_eq!(phases, ["begin", "end"].repeat(4));
    daemon.stop();
    assert_eq!(world.failed(), Vec::<String>::new());
    assert_eq!(world.job_lock(), None);
}

#[test]
fn f07_a_delayed_copy_keeps_others_out_and_no_lock_is_left_behind() {
    let world = World::new();
    world.task("add", r#"plugins = ["QueueLock", "DelayQueueLock"]"#);
    let mut peer = world.peer("{}");
    peer.queue("enqueueAt", r#"[2000000000000,"math","add",[1,2]]"#);
    assert_eq!(refused_by(&world.enqueue_add()), Some("DelayQueueLock"));
    assert_eq!(peer.queue("locks", "[]"), json!({}));
    peer.queue("delDelayed", r#"["math","add",[1,2]]"#);
    assert_eq!(refused_by(&world.enqueue_add()), None);
}

#[test]
fn f11_a_killed_jobs_lock_does_not_outlive_its_recovery() {
    let world = World::new();
    world.gated_task("add", "plugins = [\"JobLock\"]\non_crash = \"fail\"");
    let daemon = world.daemon(&Settings::default());
    world.enqueue_add();
    world.wait_begun(1);
    assert!(world.job_lock().is_some());
    daemon.kill();
    let (_, old) = world.job_lock().expect("the lock outlives its worker");
    world.open("add");
    let daemon = world.daemon(&Settings::default());
    eventually("the job is recovered", || world.failed().len() == 1);
    assert!(world.job_lock().is_none_or(|(_, value)| value != old), "the dead worker's lock is free");
    world.enqueue_add();
    let again = eventually_some("the next one runs", || world.ended().pop());
    assert_eq!(again.task(), "add");
    daemon.stop();
    assert_eq!(world.job_lock(), None);
}

#[test]
fn f08_a_failing_job_is_tried_as_often_as_node_resque_tries_it() {
    let world = World::new();
    let options = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = 1000\n";
    world.failing_task("bad", options);
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    peer.queue("enqueue", r#"["math","bad",[1,{"x":[1]}]]"#);
    let counter = || world.text(&["GET", r#"resque:resque-retry:bad:1-{"x":[1]}"#]);
    for (runs, shown) in [(1, "0"), (2, "1")] {
        world.wait_ended(runs);
        eventually("the attempt is counted", || counter().as_deref() == Some(shown));
        let error = world.text(&["GET", r#"resque:failure-resque-retry:bad:1-{"x":[1]}"#]).expect("the last error");
        assert!(error.contains(r#""payload":[1,{"x":[1]}]"#), "{error}");
        assert!(world.int(&["TTL", r#"resque:resque-retry:bad:1-{"x":[1]}"#]) > 2);
        assert_eq!((world.failed().len(), world.counter("resque:stat:processed")), (0, 0));
    }
    eventually("it failed for good", || world.failed().len() == 1);
    daemon.stop();
    assert_eq!(world.ended().len(), 3);
    assert_eq!((world.counter("resque:stat:failed"), world.counter("resque:stat:processed")), (3, 0));
    assert_eq!(world.texts(&["KEYS", "*resque-retry*"]), Vec::<String>::new());
    let ids: std::collections::BTreeSet<_> = world.ended().iter().map(|run| run.id()).collect();
    assert_eq!(ids.len(), 1, "it is one job");
}

#[test]
fn f08_either_side_goes_on_where_the_other_began() {
    let world = World::new();
    let options = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 4\nretry_delay = 1\n";
    world.failing_task("boom", options);
    let definitions = r#"{"boom":{"behaviour":"boom","plugins":["Retry"],"pluginOptions":{"Retry":{"retryLimit":4,"retryDelay":1}}}}"#;
    let mut peer = world.peer(definitions);
    // Theirs, ours, theirs, ours: the job is run four times in all, no matter who takes it.
    peer.queue("enqueue", r#"["math","boom",["a b c"]]"#);
    for ours in [false, true, false, true] {
        eventually("it is there", || {
            let due = world.text(&["ZRANGE", "resque:delayed_queue_schedule", "0", "0"]);
            due.is_none_or(|_| world.queued("math").len() == 1) || {
                let daemon = world.daemon(&Settings::scheduler_only());
                eventually("it is due", || world.queued("math").len() == 1);
                daemon.stop();
                true
            }
        });
        assert_eq!(world.queued("math").len(), 1);
        if ours {
            let daemon = world.daemon(&Settings { scheduler: false, ..Settings::default() });
            eventually("it ran", || world.queued("math").is_empty() && world.only_worker_is_idle());
            daemon.stop();
        } else {
            peer.forget_events();
            peer.start_worker("peer:1", r#"["math"]"#);
            peer.wait_for("success or failure", |event| {
                event["event"] == "worker success" || event["event"] == "worker failure"
            });
            peer.stop_worker("peer:1");
        }
    }
    assert_eq!((world.failed().len(), world.counter("resque:stat:failed")), (1, 4));
    assert_eq!((world.ended().len(), world.texts(&["KEYS", "*resque-retry*"])), (2, Vec::new()));
}

#[test]
fn f09_the_keys_of_strange_arguments_are_node_resques() {
    let world = World::new();
    let options = "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 2\nretry_delay = \"1h\"\n";
    world.failing_task("b", options);
    let definitions = r#"{"b":{"behaviour":"boom","plugins":["Retry"],"pluginOptions":{"Retry":{"retryLimit":2,"retryDelay":3600000}}}}"#;
    let vectors = [r#"[1,{"x":[1]},"sp ace d"]"#, "[]", r#"["",null,true,1.5,1e21]"#, r#"["é\n ",{"2":1,"1":[]}]"#];
    let mut peer = world.peer(definitions);
    let keys = || {
        let mut keys = world.texts(&["KEYS", "*resque-retry*"]);
        keys.sort();
        keys
    };
    for args in vectors {
        peer.queue("enqueue", &format!(r#"["math","b",{args}]"#));
    }
    peer.start_worker("peer:1", r#"["math"]"#);
    eventually("theirs are tried", || keys().len() == 2 * vectors.len());
    peer.stop_worker("peer:1");
    let theirs = keys();
    world.redis(&["FLUSHALL"]);
    for args in vectors {
        peer.queue("enqueue", &format!(r#"["math","b",{args}]"#));
    }
    let daemon = world.daemon(&Settings::default());
    eventually("ours are tried", || keys().len() == 2 * vectors.len());
    daemon.stop();
    assert_eq!(keys(), theirs);
}

#[test]
fn a_force_cleaned_worker_of_ours_fails_its_job_frees_its_locks_and_kills_the_run() {
    let world = World::new();
    world.gated_task("hold", "plugins = [\"JobLock\"]");
    let daemon = world.daemon(&Settings { lease: "3s", ..Settings::default() });
    world.windlass(&["enqueue", "hold", "--args", "[1]"]).json();
    world.wait_begun(1);
    assert_eq!(world.int(&["EXISTS", "resque:workerslock:hold:math:[1]"]), 1);
    let worker = world.only_worker();
    let cleaned = world.windlass(&["workers", "force-clean", &worker, "--yes"]).json();
    assert_eq!(cleaned["class"], "hold");
    assert_eq!(world.failed().len(), 1);
    assert_eq!(world.int(&["EXISTS", "resque:workerslock:hold:math:[1]"]), 0, "its lock is free at once");
    // The owner notices when it next extends its lease: it kills the run, and its worker works again.
    eventually("the run is over", || daemon.log().contains("its claim was lost before"));
    world.open("hold");
    world.windlass(&["enqueue", "hold", "--args", "[2]"]).json();
    let ended = world.wait_ended(1);
    daemon.stop();
    assert_eq!(ended[0].args(), "[2]", "the first run never came to its end");
    assert_eq!((world.ended().len(), world.failed().len()), (1, 1));
    assert_eq!(world.counter("resque:stat:processed"), 1);
}

#[test]
fn f10_a_job_that_a_plugin_vetoes_before_its_run_leaves_no_trace() {
    let world = World::new();
    let plugin = world.path().join("tasks.d/policy");
    let script =
        "#!/bin/sh\ncase \"$WINDLASS_ARGS\" in '[1,2]') echo '{\"allow\":false,\"reason\":\"not these\"}';; esac\n";
    std::fs::write(&plugin, script).expect("the folder must be writable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&plugin, mode).expect("one's own file must be changeable");
    world.task("add", r#"plugins = ["JobLock", { exec = ["./policy"], hooks = ["before_perform"] }]"#);
    let mut peer = world.peer(r#"{"add":{}}"#);
    let daemon = world.daemon(&Settings::default());
    // The vetoed one first: when the other is done, it is over.
    peer.queue("enqueue", r#"["math","add",[1,2]]"#);
    peer.queue("enqueue", r#"["math","add",[3,4]]"#);
    let ran = world.wait_ended(1);
    eventually("the other is done", || world.counter("resque:stat:processed") == 1);
    assert_eq!(ran[0].args(), "[3,4]");
    assert_eq!(world.begun().len(), 1);
    let stats = peer.queue("stats", "[]");
    assert_eq!((&stats["processed"], &stats["failed"]), (&json!("1"), &Value::Null), "{stats}");
    assert_eq!(peer.queue("failedCount", "[]"), 0);
    let working = peer.queue("allWorkingOn", "[]").to_string();
    assert!(!working.contains("\"add\""), "{working}");
    assert_eq!(world.job_lock(), None);
    assert_eq!(world.queued("math"), Vec::<String>::new());
    assert!(daemon.log().contains(r#"plugin \"policy\": not these"#), "{}", daemon.log());
    daemon.stop();
}
