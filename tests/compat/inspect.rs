//! The commands that look and correct, on records of all programs: entries D and C of the checklist that need no
//! running job.

use serde_json::json;

use crate::waiting::{after, eventually, throughout};
use crate::world::{Settings, World};

/// Failure records as the programs of the Resque world write them.
const RUBY: &str = r#"{"failed_at":"2026/11/24 03:28:21 UTC","payload":{"class":"Boom","args":[1.0,1.0e+20]},"exception":"ArgumentError","error":"boom","backtrace":["rb_common.rb:7:in `perform'"],"worker":"vm:14321:math,other","queue":"math"}"#;
const RUBY_RETRIED: &str = r#"{"failed_at":"2026/11/24 03:28:21 UTC","payload":{"class":"Boom","args":[2]},"exception":"ArgumentError","error":"boom","backtrace":[],"worker":"vm:14321:math","queue":"math","retried_at":"2026/11/24 03:33:03 UTC"}"#;
const GO: &str = r#"{"failed_at":"2026-11-24T03:35:27.969266851Z","payload":{"class":"Amp","args":["a\u0026b"]},"exception":"Error","error":"e","backtrace":null,"worker":"vm:7-0:math","queue":"math"}"#;
const NODE: &str = r#"{"worker":"vm:11800","queue":"math","payload":{"class":"boom","queue":"math","args":[]},"exception":"TypeError","error":"bad","backtrace":["    at x"],"failed_at":"Tue Nov 24 2026 03:26:18 GMT+0000 (Coordinated Universal Time)"}"#;

#[test]
fn d01_d02_d05_records_of_every_writer_are_listed_and_removed_by_their_bytes() {
    let world = World::new();
    for record in [RUBY, RUBY_RETRIED, GO, NODE, "junk", "null"] {
        world.redis(&["RPUSH", "resque:failed", record]);
    }
    let listed = world.windlass(&["failed", "--start", "0"]).json();
    let failed = listed["failed"].as_array().unwrap();
    let classes: Vec<_> = failed.iter().map(|one| one["class"].clone()).collect();
    assert_eq!(classes, [json!("Boom"), json!("Boom"), json!("Amp"), json!("boom"), json!(null), json!(null)]);
    assert_eq!(failed[1]["retried_at"], "2026-11-24T03:33:03.000Z");
    assert_eq!(failed[0]["args"].to_string(), "[1.0,1.0e+20]".replace("1.0e+20", &failed[0]["args"][1].to_string()));
    for one in [0, 2, 5] {
        let id = failed[one]["id"].as_str().unwrap();
        world.windlass(&["failed", "remove", id]).json();
        let again = world.windlass(&["failed", "remove", id]);
        assert_eq!(again.code, Some(1), "{again:?}");
    }
    assert_eq!(world.failed(), [RUBY_RETRIED, NODE, "junk"]);
    // Its record holds the bytes that Ruby wrote, and those go back to the queue.
    world.redis(&["RPUSH", "resque:failed", RUBY]);
    world.windlass(&["failed", "retry", "-1"]).json();
    assert_eq!(world.queued("math"), [r#"{"class":"Boom","args":[1.0,1.0e+20]}"#]);
}

#[test]
fn d06_d07_all_stuck_jobs_are_retried_and_what_may_be_bent_is_told() {
    let world = World::new();
    let stuck = |worker: &str, args: &str| {
        format!(
            r#"{{"worker":"{worker}","queue":"math","payload":{{"class":"add","queue":"math","args":{args}}},"exception":"x","error":"x","backtrace":["killed","queue#forceCleanWorker","node-resque"],"failed_at":"Tue"}}"#
        )
    };
    for n in 0..250 {
        world.redis(&["RPUSH", "resque:failed", &stuck("h-windlass:1+1", &format!("[{n},{{}}]"))]);
        if n % 50 == 0 {
            world.redis(&["RPUSH", "resque:failed", GO]);
        }
    }
    world.redis(&["RPUSH", "resque:failed", &stuck("vm:1", "[{\"ids\":{}}]")]);
    world.redis(&["RPUSH", "resque:failed", &stuck("vm:1", "[1.7000000000001e+15]")]);
    world.redis(&["RPUSH", "resque:failed", &stuck("vm:1", "[7]")]);
    let answer = world.windlass(&["failed", "retry-stuck"]);
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((&answer["retried"], answer["not_retriable"].as_array().unwrap().len()), (&json!(251), 2));
    assert_eq!((world.queued("math").len(), world.failed().len()), (251, 7));
    assert_eq!(world.queued("math")[249], r#"{"class":"add","queue":"math","args":[249,{}]}"#);
    // node-resque's own command survives what we leave behind.
    let mut peer = world.peer("{}");
    world.redis(&["DEL", "resque:failed"]);
    world.failing_task("bad", "");
    world.push("math2", r#"{"class":"bad","args":[]}"#);
    let daemon = world.daemon(&Settings { queues: r#"["math2"]"#, ..Settings::default() });
    eventually("it failed", || world.failed().len() == 1);
    daemon.stop();
    peer.queue("retryStuckJobs", "[]");
    assert_eq!(world.failed().len(), 1);
}

#[test]
fn c17_workers_of_every_sort_are_listed_with_their_own_jobs() {
    let world = World::new();
    let working = |queue: &str, class: &str| {
        format!(
            r#"{{"queue":"{queue}","run_at":"2026-11-24T03:28:19Z","payload":{{"class":"{class}","args":[1,[],{{}}]}}}}"#
        )
    };
    for worker in ["lonely", "vm:1", "vm:14321:math,other", "vm:7-0:math", "vm:7-poller:math"] {
        world.redis(&["SADD", "resque:workers", worker]);
    }
    world.redis(&["SET", "resque:worker:vm:14321:math,other", &working("math", "SlowR")]);
    world.redis(&["SET", "resque:worker:vm:7-0:math", &working("math", "GoJob")]);
    world.redis(&["SET", "resque:worker:lonely", "junk"]);
    let listed = world.windlass(&["workers"]).json();
    let of = |id: &str| {
        let workers = listed["workers"].as_array().unwrap();
        workers.iter().find(|worker| worker["id"] == id).unwrap_or_else(|| panic!("{id}: {listed}"))["working"].clone()
    };
    assert_eq!(
        (of("vm:14321:math,other")["class"].clone(), of("vm:7-0:math")["class"].clone()),
        (json!("SlowR"), json!("GoJob"))
    );
    assert_eq!((of("vm:1"), of("vm:7-poller:math")), (json!(null), json!(null)));
    assert_eq!(of("lonely")["raw"], "junk");
    // Old ones are cleaned away by their ids; a record without a time stays.
    let cleaned = world.windlass(&["workers", "clean", "--older-than", "1h", "--yes"]).json();
    assert_eq!(cleaned["cleaned"].as_array().unwrap().len(), 2, "{cleaned}");
    assert_eq!(world.failed().len(), 2);
    assert_eq!(world.counter("resque:stat:failed"), 2);
    let details = world.windlass(&["details"]).json();
    assert_eq!((details["workers"].as_array().unwrap().len(), &details["failed"]), (3, &json!(2)));
}

#[test]
fn jobs_are_deleted_by_value_no_matter_who_spelt_them() {
    let world = World::new();
    world.task("add", "");
    let ruby = r#"{"class":"add","args":[1.0,{"x":"a&b"}]}"#;
    let ours = r#"{"class":"add","queue":"math","args":[1,{"x":"a&b"}]}"#;
    for payload in [ours, ruby, ours, r#"{"class":"add","args":[2]}"#, "{bad"] {
        world.push("math", payload);
    }
    let delete = |more: &[&str]| world.windlass(&[&["jobs", "delete", "add"], more].concat()).json();
    let args = ["--args", r#"[1,{"x":"a&b"}]"#];
    assert_eq!(delete(&[&args[..], &["--count", "-1"]].concat()), json!({"deleted": 1, "other_spellings": 0}));
    assert_eq!(world.queued("math")[..2], [ours, ruby]);
    assert_eq!(delete(&args), json!({"deleted": 1, "other_spellings": 0}));
    assert_eq!(delete(&args), json!({"deleted": 1, "other_spellings": 1}));
    assert_eq!(delete(&["--any-args", "--yes"])["deleted"], 1);
    assert_eq!(world.queued("math"), ["{bad"]);
}

#[test]
fn nothing_that_runs_by_itself_searches_the_whole_server() {
    let world = World::new();
    world.task("per", r#"frequency = "1s""#);
    world.redis(&["CONFIG", "RESETSTAT"]);
    let daemon = world.daemon(&Settings::default());
    world.wait_ended(2);
    throughout("it runs", after(std::time::Duration::from_secs(1)), || true);
    for listing in
        [&["queues"][..], &["failed"], &["workers"], &["delayed"], &["stats"], &["details"], &["periodic"], &["plan"]]
    {
        world.windlass(listing).json();
    }
    let stats = world.texts(&["INFO", "commandstats"]).concat();
    assert!(stats.contains("cmdstat_evalsha"), "{stats}");
    // HSCAN and SSCAN walk a hash or a set by its name, a bounded piece at a time.
    for command in ["cmdstat_scan:", "cmdstat_keys:"] {
        assert!(!stats.contains(command), "{command} {stats}");
    }
    daemon.stop();
}
