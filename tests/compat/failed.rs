//! D: failed jobs, retried and removed from either side.

use crate::waiting::eventually;
use crate::world::{Settings, World};

/// A world with one failed job of class `bad` and these arguments, and the id under which it is listed.
fn with_failed(args: &str) -> (World, String) {
    let world = World::new();
    world.failing_task("bad", "");
    world.push("math", &format!(r#"{{"class":"bad","queue":"math","args":{args}}}"#));
    let daemon = world.daemon(&Settings::default());
    eventually("the job fails", || world.failed().len() == 1);
    daemon.stop();
    let listed = world.windlass(&["failed"]).json();
    let id = listed["failed"][0]["id"].as_str().unwrap_or_else(|| panic!("an id: {listed}")).to_owned();
    assert_eq!(listed["failed"][0]["args"].to_string(), args);
    (world, id)
}

#[test]
fn d03_a_failed_job_is_retried_with_its_bytes_and_only_once() {
    let args = r#"[1.0,{"b":[],"a":{}}]"#;
    let (world, id) = with_failed(args);
    world.windlass(&["failed", "retry", &id]).json();
    assert_eq!(world.failed(), Vec::<String>::new());
    assert_eq!(world.queued("math"), [format!(r#"{{"class":"bad","queue":"math","args":{args}}}"#)]);
    let again = world.windlass(&["failed", "retry", &id]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.said().contains(&id), "it is said which one is not there: {again:?}");
    assert_eq!(world.queued("math").len(), 1);
}

#[test]
fn d04_node_resque_removes_a_record_of_ours() {
    let (world, _) = with_failed(r#"[{"a":1,"text":"é \"quoted\" / 😀"}]"#);
    let mut peer = world.peer("{}");
    assert_eq!(peer.with_failed("removeFailed", 0), Ok(1.into()));
    assert_eq!(world.failed(), Vec::<String>::new());
}

#[test]
fn d04_node_resque_retries_a_record_of_ours() {
    let (world, _) = with_failed(r#"[{"a":1}]"#);
    let mut peer = world.peer("{}");
    peer.with_failed("retryAndRemoveFailed", 0).expect("node-resque finds the record by its bytes");
    assert_eq!(world.failed(), Vec::<String>::new());
    assert_eq!(world.queued("math"), [r#"{"class":"bad","queue":"math","args":[{"a":1}]}"#]);
}

#[test]
fn d08_a_retry_that_a_lock_refuses_leaves_the_record_and_says_so() {
    let world = World::new();
    world.failing_task("bad", "plugins = [\"QueueLock\"]");
    let daemon = world.daemon(&Settings::default());
    world.push("math", r#"{"class":"bad","queue":"math","args":[1]}"#);
    eventually("the job fails", || world.failed().len() == 1);
    daemon.stop();
    world.redis(&["SET", "resque:lock:bad:math:[1]", "4000000000", "EX", "3600"]);
    let answer = world.windlass(&["failed", "retry", "0"]);
    assert!(answer.said().contains("QueueLock"), "{answer:?}");
    assert_eq!((world.failed().len(), world.queued("math").len()), (1, 0));
    // A value of another program that is no number is held as well, and listed as it stands.
    world.redis(&["SET", "resque:lock:bad:math:[1]", "true"]);
    let answer = world.windlass(&["failed", "retry", "0"]);
    assert!(answer.said().contains("QueueLock"), "{answer:?}");
    assert!(world.windlass(&["locks"]).json().to_string().contains(r#""value":"true""#));
    assert_eq!((world.failed().len(), world.queued("math").len()), (1, 0));
}
