//! A live ActionHero server on the same Redis: without processors it only enqueues and looks, with processors it shares
//! the work.

use std::time::Duration;

use serde_json::json;

use crate::peer::Peer;
use crate::waiting::{after, eventually, eventually_some, throughout};
use crate::world::{Settings, World};

fn actionhero(world: &World, options: &str) -> Peer {
    Peer::actionhero(&world.redis.socket(), options)
}

#[test]
fn a_server_without_processors_enqueues_and_windlass_works() {
    let world = World::new();
    world.task("reg", "");
    world.failing_task("bad", "");
    let mut server = actionhero(
        &world,
        r#"{"tasks":{"reg":{"inputs":{"a":{"required":true},"b":{"default":5}}},"plain":{},"bad":{}}}"#,
    );
    let daemon = world.daemon(&Settings::default());
    assert_eq!(server.task("enqueue", r#"["reg",{"a":1,"q":"é😀"}]"#), true);
    assert_eq!(server.task("enqueueIn", r#"[1,"reg",{"a":2}]"#), true);
    let refused = server.try_task("enqueue", r#"["reg",{}]"#).unwrap_err();
    assert!(refused.contains("a is a required input for task reg"), "{refused}");
    let runs = world.wait_ended(2);
    let mut args: Vec<_> = runs.iter().map(|run| (run.queue(), run.args())).collect();
    args.sort();
    let expected = [r#"[{"a":1,"q":"é😀","b":5}]"#, r#"[{"a":2,"b":5}]"#].map(|args| ("math".to_owned(), args.into()));
    assert_eq!(args, expected);

    // It shows our workers like its own.
    let worker = world.only_worker();
    let name = worker.rsplit_once(':').unwrap().0;
    // It reads the workers before the counters, and a job may end between them.
    let details = eventually_some("both are counted", || {
        Some(server.task("details", "[]")).filter(|details| {
            details["stats"]["processed"] == "2" && details["workers"] == json!({ (name): "started" })
        })
    });
    assert_eq!(details["queues"], json!({"math": {"length": 0}}));
    assert!(details["leader"].as_str().is_some_and(|leader| name.starts_with(leader)), "{details}");

    // A failure of ours is listed, and retried to us.
    assert_eq!(server.task("enqueue", r#"["bad",{"n":1}]"#), true);
    eventually("it failed", || server.task("failedCount", "[]") == 1);
    let failed = server.task("failed", "[0,0]");
    assert_eq!(failed[0]["payload"], json!({"class": "bad", "queue": "math", "args": [{"n": 1}]}));
    let record = failed[0].to_string();
    assert_eq!(server.task("retryAndRemoveFailed", &format!("[{record}]")), true);
    world.wait_ended(4);
    eventually("it failed again", || server.task("failedCount", "[]") == 1);
    let record = server.task("failed", "[0,0]")[0].to_string();
    assert_eq!(server.task("removeFailed", &format!("[{record}]")), 1);
    assert_eq!(world.failed(), Vec::<String>::new());
    daemon.stop();
    server.stop();
}

#[test]
fn what_it_delays_is_found_moved_and_deleted_by_either() {
    let world = World::new();
    world.task("plain", "");
    let mut server = actionhero(&world, r#"{"tasks":{"plain":{}}}"#);
    server.task("enqueueAt", r#"[1999999999500,"plain",{"a":1}]"#);
    server.task("enqueueAt", r#"[1999999999500,"plain",{"a":2}]"#);
    let args = ["--queue", "math", "--args", r#"{"a":1}"#];
    let found = world.windlass(&[&["delayed", "find", "plain"], &args[..]].concat()).json();
    assert!(found.to_string().contains("2000000000"), "{found}");
    world.windlass(&[&["delayed", "delete", "plain"], &args[..]].concat()).json();
    assert_eq!(server.task("scheduledAt", r#"["math","plain",{"a":1}]"#), json!([]));
    assert_eq!(server.task("delDelayed", r#"["math","plain",{"a":2}]"#), json!([2_000_000_000]));
    let ours = world.windlass(&["enqueue", "plain", "--args", r#"{"b":1.0}"#, "--at", "2000000000000"]);
    ours.json();
    assert_eq!(server.task("scheduledAt", r#"["math","plain",{"b":1}]"#), json!([2_000_000_000]));
    assert_eq!(server.task("timestamps", "[]"), json!([2_000_000_000_000_i64]));
    let delayed = server.task("delayedAt", "[2000000000000]");
    assert_eq!(delayed["tasks"], json!([{"class": "plain", "queue": "math", "args": [{"b": 1}]}]));
}

#[test]
fn g01_g02_servers_and_daemons_that_start_together_keep_one_copy() {
    let world = World::new();
    world.task("per", r#"frequency = "1h""#);
    let options = r#"{"scheduler":true,"tasks":{"per":{"frequency":3600000}}}"#;
    let (mut one, first) = std::thread::scope(|scope| {
        let server = scope.spawn(|| actionhero(&world, options));
        let daemon = world.daemon(&Settings::scheduler_only());
        (server.join().unwrap(), daemon)
    });
    let second = world.daemon(&Settings::scheduler_only());
    let mut two = actionhero(&world, options);
    let tick = r#"{"class":"per","queue":"math","args":[{}]}"#;
    eventually("one copy is there", || world.queued("math") == [tick]);
    throughout("and no more", after(Duration::from_secs(2)), || {
        world.queued("math").len() == 1 && world.int(&["ZCARD", "resque:delayed_queue_schedule"]) == 0
    });
    for daemon in [first, second] {
        daemon.stop();
    }
    one.stop();
    two.stop();
}

#[test]
fn g03_g07_its_workers_and_ours_share_periodic_and_other_tasks() {
    let world = World::new();
    world.task("per", r#"frequency = "1s""#);
    world.task("reg", "");
    let options = r#"{"scheduler":true,"processors":1,"tasks":{"per":{"frequency":1000},"reg":{}}}"#;
    let mut server = actionhero(&world, options);
    // Both programs run ticks, and never more than one tick waits.
    let daemon = world.daemon(&Settings::default());
    let theirs = |server: &mut Peer, class: &str| {
        server.events("ran").into_iter().filter(|event| event["class"] == class).collect::<Vec<_>>()
    };
    /// All at one moment: between two looks a tick may run and write the next. The jobs are counted and not the seconds,
    /// because node-resque removes a second only after it has moved its last job.
    const WAITING: &str = "local waiting = redis.call('LLEN', 'resque:queue:math') \
         for _, second in ipairs(redis.call('ZRANGE', 'resque:delayed_queue_schedule', 0, -1)) do \
             waiting = waiting + redis.call('LLEN', 'resque:delayed:' .. second) \
         end \
         return waiting";
    let mut most = 0;
    eventually("ticks go on", || {
        most = most.max(world.int(&["EVAL", WAITING, "0"]));
        world.ended().len() + theirs(&mut server, "per").len() >= 5
    });
    assert!(most <= 1, "{most} ticks waited at once");
    daemon.stop();

    // What we enqueue reaches its handler as the inputs; a task of no inputs as an empty object.
    world.windlass(&["enqueue", "reg", "--args", r#"{"a":1,"deep":[{}]}"#]).json();
    world.windlass(&["enqueue", "reg", "--args", "null"]).json();
    eventually("it ran both", || theirs(&mut server, "reg").len() == 2);
    let data: Vec<_> = theirs(&mut server, "reg").into_iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, [json!({"a": 1, "deep": [{}]}), json!(null)]);
    assert!(theirs(&mut server, "per").iter().all(|event| event["data"] == json!({})));
    server.stop();
}
