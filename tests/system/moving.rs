//! `store copy`, killed again and again: everything comes over, once.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::place::Place;
use crate::support::redis::{Options, RedisServer};

const JOBS: usize = 20_000;

fn lines(jobs: std::ops::Range<usize>) -> String {
    jobs.map(|n| format!("{{\"task\":\"add\",\"args\":[{n}]}}\n")).collect()
}

#[test]
fn a_copy_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let place = Place::new();
    let server = RedisServer::start(Options { durable: true, ..Options::default() });
    let url = server.url();
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..JOBS)).done();
    place.run(&["enqueue", "add", "--arg", "1", "--at", "@4000000000"]).done();
    let copy = ["store", "copy", "sqlite:windlass.db", &url, "--json"];
    let mut kills = 0;
    let done = loop {
        let mut child = place.command(&copy).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Later each time, so that it gets on even on a slow machine.
        std::thread::sleep(Duration::from_millis(20 + 15 * kills));
        if child.try_wait().unwrap().is_none() && kills < 40 {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            continue;
        }
        break child.wait_with_output().unwrap();
    };
    assert!(done.status.success() && kills > 0, "{kills} kills, {done:?}");
    let mut seen = BTreeMap::new();
    for job in server.command(&["LRANGE", "resque:queue:math", "0", "-1"]).texts() {
        *seen.entry(job).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), JOBS, "after {kills} kills");
    assert!(seen.values().all(|&times| times == 1));
    assert_eq!(server.command(&["LRANGE", "resque:delayed:4000000000", "0", "-1"]).texts().len(), 1);
    let queues = place.run(&["queues", "--json"]).json();
    assert_eq!(queues["queues"], json!([{"queue": "math", "length": 0}]));
}

#[test]
fn a_copy_says_what_it_did_and_refuses_what_cannot_be_meant() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let url = server.url();
    place.run(&["enqueue", "add", "--arg", "1"]).done();
    let said = place.run(&["store", "copy", "sqlite:windlass.db", &url]).done();
    assert!(said.starts_with("moved 1 queued, 0 delayed and 0 failed jobs, 0 periodic tasks from sqlite:"), "{said}");
    let said = place.run(&["store", "copy", "sqlite:windlass.db", &url]).done();
    assert!(said.starts_with("nothing to move in sqlite:"), "{said}");
    let twice = place.run(&["store", "copy", &url, &url]);
    assert_eq!(
        (twice.code, twice.stderr.as_str()),
        (64, "windlass: both addresses name the same store: give two different stores\n")
    );
    assert_eq!(place.run(&["store", "copy", "nonsense", &url]).code, 64);
    let apart = place.run(&["store", "copy", &url, &url, "--to-namespace", "other", "--json"]).json();
    assert_eq!(apart, json!({"queued": 1, "delayed": 0, "failed": 0, "periodic": 0}));
}
