//! B: delayed jobs, and their way to the queue.

use std::process::Child;

use serde_json::{Value, json};

use crate::waiting::{eventually, now_ms};
use crate::world::{Settings, World};

const ADD: &str = r#"{"class":"add","queue":"math","args":[1,2]}"#;

/// A time in the year 2033 that rounds up to a second: nothing in these tests makes it due.
const LATER_MS: &str = "1999999999500";

/// Every number under a key `ms`, wherever it stands, in order.
fn times(answer: &Value) -> Vec<i64> {
    match answer {
        Value::Array(items) => items.iter().flat_map(times).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match value.as_i64().filter(|_| key == "ms") {
                Some(ms) => vec![ms],
                None => times(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn b01_a_time_is_rounded_half_up_and_kept_in_three_places() {
    let world = World::new();
    world.task("add", "");
    world.windlass(&["enqueue", "add", "--args", "[1,2]", "--at", LATER_MS]).json();
    world.windlass(&["enqueue", "add", "--args", "[3]", "--at", "1999999999499"]).json();
    assert_eq!(world.texts(&["LRANGE", "resque:delayed:2000000000", "0", "-1"]), [ADD]);
    assert_eq!(world.texts(&["SMEMBERS", &format!("resque:timestamps:{ADD}")]), ["delayed:2000000000"]);
    assert_eq!(world.int(&["LLEN", "resque:delayed:1999999999"]), 1);
    assert_eq!(
        world.texts(&["ZRANGE", "resque:delayed_queue_schedule", "0", "-1", "WITHSCORES"]),
        ["1999999999", "1999999999", "2000000000", "2000000000"]
    );
    assert_eq!(world.queued("math"), Vec::<String>::new());
}

#[test]
fn b02_node_resque_finds_lists_and_deletes_what_is_delayed_here() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer("{}");
    world.windlass(&["enqueue", "add", "--args", "[1,2]", "--at", LATER_MS]).json();
    assert_eq!(peer.queue("scheduledAt", r#"["math","add",[1,2]]"#), json!([2_000_000_000]));
    let at = peer.queue("delayedAt", "[2000000000000]");
    assert_eq!(at["tasks"], json!([{"class": "add", "queue": "math", "args": [1, 2]}]));
    assert_eq!(peer.queue("timestamps", "[]"), json!([2_000_000_000_000_i64]));
    assert_eq!(peer.queue("delDelayed", r#"["math","add",[1,2]]"#), json!([2_000_000_000]));
    assert_eq!(
        times(&world.windlass(&["delayed", "find", "add", "--queue", "math", "--args", "[1,2]"]).json()),
        [0; 0]
    );
}

#[test]
fn b03_what_node_resque_delayed_is_found_and_deleted_here_without_a_trace() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer("{}");
    peer.queue("enqueueAt", r#"[2000000000000,"math","add",[1,2]]"#);
    peer.queue("enqueueAt", r#"[2000000007000,"math","add",[1,2]]"#);
    let add = ["add", "--queue", "math", "--args", "[1,2]"];
    let both = [2_000_000_000_000, 2_000_000_007_000];
    let list = world.windlass(&["delayed", "list"]).json();
    assert_eq!(times(&list), both, "{list}");
    assert!(list.to_string().contains(r#""args":[1,2]"#), "{list}");
    assert_eq!(times(&world.windlass(&[&["delayed", "find"], &add[..]].concat()).json()), both);
    assert_eq!(times(&world.windlass(&[&["delayed", "delete"], &add[..]].concat()).json()), both);
    assert_eq!(world.texts(&["KEYS", "resque:delayed*"]), Vec::<String>::new());
    assert_eq!(world.texts(&["KEYS", "resque:timestamps:*"]), Vec::<String>::new());
    assert_eq!(peer.queue("scheduledAt", r#"["math","add",[1,2]]"#), json!([]));
}

#[test]
fn b04_the_same_job_for_the_same_second_is_refused_or_suppressed() {
    let world = World::new();
    world.task("add", "");
    let again = ["enqueue", "add", "--args", "[1,2]", "--at", LATER_MS];
    world.windlass(&again).json();
    let refused = world.windlass(&again);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.said().to_lowercase().contains("already enqueued at this time"), "{refused:?}");
    world.windlass(&[&again[..], &["--suppress-duplicate"]].concat()).json();
    assert_eq!(world.int(&["LLEN", "resque:delayed:2000000000"]), 1);
}

#[test]
fn b05_of_many_equal_jobs_at_once_exactly_one_is_delayed() {
    let world = World::new();
    world.task("add", "");
    let start = || world.command(&["enqueue", "add", "--args", "[1,2]", "--at", LATER_MS]).spawn();
    let started: Vec<Child> = (0..20).map(|_| start().expect("the binary must start")).collect();
    let exits = started.into_iter().map(|child| child.wait_with_output().expect("one's own child can be waited for"));
    let codes: Vec<_> = exits.map(|output| output.status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 19, "{codes:?}");
    assert_eq!(world.int(&["LLEN", "resque:delayed:2000000000"]), 1);
}

#[test]
fn b06_each_side_sees_the_others_job_as_the_same() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer("{}");
    peer.queue("enqueueAt", r#"[1999999999500,"math","add",[1,2]]"#);
    let refused = world.windlass(&["enqueue", "add", "--args", "[1,2]", "--at", LATER_MS]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    world.windlass(&["enqueue", "add", "--args", "[3]", "--at", LATER_MS]).json();
    let error = peer.try_queue("enqueueAt", r#"[1999999999500,"math","add",[3]]"#).unwrap_err();
    assert!(error.contains("already enqueued at this time"), "{error}");
    assert_eq!(world.int(&["LLEN", "resque:delayed:2000000000"]), 2);
}

#[test]
fn b08_a_due_job_is_moved_as_it_was_written() {
    let world = World::new();
    let given = [
        r#"{"class":"add","queue":"math","args":[1.0]}"#,
        r#"{"class":"add","queue":"math","args":[1234567890123456789012345]}"#,
        r#"{"class":"add","args":[3,4],"queue":"math"}"#,
        r#"{ "extra" : 1e3, "queue":"math", "class":"add" }"#,
    ];
    let due = now_ms() / 1000 - 1;
    for payload in given {
        world.delay(due, payload);
    }
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("all are moved", || world.queued("math").len() == given.len());
    assert_eq!(world.queued("math"), given);
    assert_eq!(world.int(&["SISMEMBER", "resque:queues", "math"]), 1);
    eventually("the second is forgotten", || world.texts(&["KEYS", "resque:delayed*"]).is_empty());
    assert_eq!(world.texts(&["KEYS", "resque:timestamps:*"]), Vec::<String>::new());
    daemon.stop();
}

#[test]
fn b09_a_second_without_jobs_is_forgotten() {
    let world = World::new();
    world.redis(&["ZADD", "resque:delayed_queue_schedule", "1000", "1000"]);
    world.delay(2000, ADD);
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("the job behind it is moved", || world.queued("math") == [ADD]);
    eventually("nothing is left", || world.int(&["EXISTS", "resque:delayed_queue_schedule"]) == 0);
    daemon.stop();
    assert_eq!(world.failed(), Vec::<String>::new());
}

#[test]
fn b10_a_scheduler_killed_again_and_again_loses_and_doubles_nothing() {
    const JOBS: usize = 10_000;
    let world = World::new();
    // Equal bytes stand in two seconds: each must come out twice.
    world.delay_many(1000, JOBS / 2);
    world.delay_many(2000, JOBS / 2);
    let mut kills = 0;
    loop {
        let before = world.int(&["LLEN", "resque:queue:math"]);
        let daemon = world.daemon(&Settings::scheduler_only());
        let moved = || world.int(&["LLEN", "resque:queue:math"]);
        eventually("some are moved", || moved() > before || moved() == JOBS as i64);
        daemon.kill();
        // A dead leader's lock runs out by itself; this saves the time.
        world.redis(&["DEL", "resque:resque_scheduler_leader_lock"]);
        kills += 1;
        if moved() == JOBS as i64 {
            break;
        }
    }
    // The last kill may have fallen between the last job and the bookkeeping.
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("the seconds are forgotten", || world.texts(&["KEYS", "resque:delayed*"]).is_empty());
    daemon.stop();
    let mut queued = world.queued("math");
    assert_eq!(queued.len(), JOBS, "after {kills} kills");
    queued.sort_unstable();
    assert!(queued.chunks(2).all(|pair| pair[0] == pair[1]), "each job was delayed twice and must be there twice");
    queued.dedup();
    assert_eq!(queued.len(), JOBS / 2);
    assert_eq!(world.texts(&["KEYS", "resque:timestamps:*"]), Vec::<String>::new());
}

#[test]
fn b11_what_is_no_job_holds_up_nobody() {
    let world = World::new();
    let given = ["{bad", "null", r#"{"class":"add","args":[1]}"#, ADD];
    for payload in given {
        world.delay(1000, payload);
    }
    world.delay(2000, ADD);
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("the good ones are moved", || world.queued("math") == [ADD, ADD]);
    let failed = world.failed();
    assert_eq!(failed.len(), 3, "{failed:#?}");
    assert!(failed[0].contains("{bad") && failed[1].contains("null"), "{failed:#?}");
    assert!(failed[2].contains(r#""payload":{"class":"add","args":[1]}"#), "a job without a queue: {}", failed[2]);
    world.delay(3000, ADD);
    eventually("it still looks", || world.queued("math").len() == 3);
    daemon.stop();
}

#[test]
fn b12_beside_a_node_resque_scheduler_each_job_is_moved_once() {
    const JOBS: usize = 5_000;
    let world = World::new();
    let mut peer = world.peer("{}");
    world.delay_many(1000, JOBS);
    peer.start_scheduler("peer:1", r#""timeout":20,"leaderLockTimeout":2"#);
    let moved = || world.int(&["LLEN", "resque:queue:math"]);
    eventually("node-resque moves some", || moved() > 0);
    // From here on both schedulers work, because the lock may change its holder.
    let daemon = world.daemon(&Settings::scheduler_only());
    eventually("all are moved", || {
        world.redis(&["DEL", "resque:resque_scheduler_leader_lock"]);
        moved() >= JOBS as i64
    });
    eventually("the second is forgotten", || world.texts(&["KEYS", "resque:delayed*"]).is_empty());
    daemon.stop();
    peer.stop_scheduler("peer:1");
    world.assert_promoted_once(JOBS);
}

#[test]
fn b14_a_job_starts_in_its_second_and_not_before() {
    let world = World::new();
    world.task("add", "");
    let mut peer = world.peer("{}");
    let daemon = world.daemon(&Settings::default());
    for round in 0..3 {
        // A time just behind the half of a second is the worst case of rounding up.
        let at_ms = (now_ms() / 1000 + 2) * 1000 + 501;
        let second = at_ms / 1000 + 1;
        if round == 0 {
            world.windlass(&["enqueue", "add", "--args", "[0]", "--at", &at_ms.to_string()]).json();
        } else {
            peer.queue("enqueueAt", &format!(r#"[{at_ms},"math","add",[{round}]]"#));
        }
        let begun = &world.wait_begun(round + 1)[round];
        let late_ms = begun.at_ns / 1_000_000 - second * 1000;
        assert!(late_ms >= 0, "{late_ms} ms early");
        assert!(late_ms <= 1200, "{late_ms} ms late: more than a poll and a second");
    }
    daemon.stop();
}

#[test]
fn b17_times_are_listed_in_their_order() {
    let world = World::new();
    // Of different lengths, so that their order as text is another one.
    let mut seconds: Vec<i64> = (0..100).map(|n| (n * 7919 % 100 + 1) * 20_000_000 + 9_900_000_000 * (n % 2)).collect();
    for second in &seconds {
        world.delay(*second, ADD);
    }
    world.redis(&["HSET", "resque:delayed:last_enqueued_at", "tick", "2026-11-24 03:33:02 +0000"]);
    seconds.sort_unstable();
    let listed = times(&world.windlass(&["delayed", "timestamps"]).json());
    assert_eq!(listed, seconds.iter().map(|second| second * 1000).collect::<Vec<_>>());
}
