//! What is done to all failed jobs that match, their groups, and who did what; on both stores.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::daemon::{Folder, eventually, signal};
use crate::world::{TOKEN, World, listens};

fn tasks(folder: &Folder) {
    folder.script("fail", "echo \"no $WINDLASS_ARGS\" >&2; [ -e right ] || exit 1");
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"false\"]\n";
    std::fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
}

/// So many jobs of `fail` and one of `locked` have failed.
fn fail(world: &World, jobs: usize) {
    for n in 0..jobs {
        world.place.json("POST", "/api/v1/tasks/fail/jobs", &format!("[{n}]"));
    }
    world.place.json("POST", "/api/v1/tasks/locked/jobs", "[]");
    eventually("all have failed", || count(world) == jobs as u64 + 1);
}

fn count(world: &World) -> u64 {
    world.place.get("/api/v1/failed?limit=1").json()["count"].as_u64().unwrap()
}

fn begin(world: &World, order: &Value) -> Answer {
    world.place.json("POST", "/api/v1/failed/operations", &order.to_string())
}

/// The operation when it is over.
fn over(world: &World, operation: &Value) -> Value {
    let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
    let mut view = Value::Null;
    eventually("it is over", || {
        view = world.place.get(&path).json();
        !["counting", "running"].contains(&view["state"].as_str().unwrap())
    });
    view
}

#[test]
fn all_that_match_are_counted_and_then_retried_or_removed() {
    World::both("", tasks, |world| {
        fail(world, 30);
        let counted = begin(world, &json!({"action": "retry", "filter": "task:fail", "dry_run": true}));
        let view = over(world, &counted.json());
        assert_eq!((counted.status, &view["state"], &view["matching"]), (202, &json!("counted"), &json!(30)), "{view}");
        let other = begin(world, &json!({"action": "retry", "filter": "task:fail", "expect": 10}));
        assert_eq!((other.status, other.problem().as_str()), (409, "changed"), "{other:?}");
        assert_eq!(count(world), 31, "nothing was changed");
        std::fs::write(world.folder.path("right"), "").unwrap();
        // Another job of the same lock waits, so that the failed one stays.
        world.place.send("POST", "/api/v1/queues/default/pause", &[], b"");
        world.place.json("POST", "/api/v1/tasks/locked/jobs", "[]");
        let begun = begin(world, &json!({"action": "retry", "filter": "", "expect": 31}));
        let view = over(world, &begun.json());
        let told = (&view["state"], &view["done"], &view["refused"], &view["stayed"][0]["refused_by"]);
        assert_eq!(told, (&json!("done"), &json!(30), &json!(1), &json!("QueueLock")), "{view}");
        assert_eq!(count(world), 1);
        let removed = begin(world, &json!({"action": "remove", "filter": "task:locked", "expect": "1"}));
        assert_eq!(over(world, &removed.json())["done"], 1);
        assert_eq!(count(world), 0);
        let unknown = world.place.get("/api/v1/operations/none");
        assert_eq!((unknown.status, unknown.problem().as_str()), (404, "not-found"));
        for bad in [
            json!({"action": "retry", "filter": ""}),
            json!({"action": "retry", "expect": 1}),
            json!({"filter": "", "expect": 1}),
            json!({"action": "eat", "filter": "", "expect": 1}),
            json!({"action": "retry", "filter": "tsk:x", "expect": 1}),
        ] {
            assert_eq!(begin(world, &bad).problem(), "malformed", "{bad}");
        }
        let whats: Vec<String> =
            world.all("/api/v1/audit", 2).iter().map(|entry| entry["what"].as_str().unwrap().to_owned()).collect();
        let began = whats.iter().filter(|what| *what == "POST /api/v1/failed/operations").count();
        let ended = whats.iter().filter(|what| what.starts_with("operation ") && what.ends_with(" ended")).count();
        assert_eq!((began, ended), (2, 2), "a count and what is refused change nothing: {whats:?}");
        assert!(whats.contains(&"POST /api/v1/queues/{queue}/pause".to_owned()), "{whats:?}");
    });
}

#[test]
fn a_failed_job_is_mended_in_the_step_that_retries_it() {
    World::both("", tasks, |world| {
        fail(world, 1);
        world.place.send("POST", "/api/v1/queues/slow/pause", &[], b"");
        let id = world.all("/api/v1/failed?task=fail", 5)[0]["id"].as_str().unwrap().to_owned();
        let retry = |body: &str| world.place.json("POST", &format!("/api/v1/failed/{id}/retry"), body);
        assert_eq!(retry("{\"args\":[}").problem(), "malformed");
        let mended = retry("{\"args\":[{\"n\":9007199254740991}],\"queue\":\"slow\"}").json();
        assert_eq!((&mended["outcome"], &mended["queue"]), (&json!("retried"), &json!("slow")), "{mended}");
        assert_eq!(mended["mended"]["args_before"], "[0]");
        let waits = world.place.get("/api/v1/queues/slow/jobs").body;
        assert!(waits.contains("[{\"n\":9007199254740991}]"), "{waits}");
        let entry = &world.all("/api/v1/audit", 50)[0];
        assert_eq!(entry["result"]["mended"]["args_before"], "[0]", "{entry}");
    });
}

#[test]
fn groups_follow_the_list_and_an_export_is_whole() {
    World::both("", tasks, |world| {
        fail(world, 5);
        let groups = |query: &str| world.place.get(&format!("/api/v1/failed/groups{query}")).json();
        let counts = |found: &Value| -> Vec<(String, u64)> {
            let groups = found["groups"].as_array().unwrap().iter();
            groups.map(|one| (one["class"].as_str().unwrap().to_owned(), one["count"].as_u64().unwrap())).collect()
        };
        let is = |fail: u64, locked: u64| {
            let all = [("fail".to_owned(), fail), ("locked".to_owned(), locked)];
            all.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
        };
        eventually("all are counted", || counts(&groups("")) == is(5, 1));
        assert_eq!(counts(&groups("?filter=-task:fail")), is(0, 1));
        world.place.json("POST", "/api/v1/tasks/fail/jobs", "[5]");
        eventually("what is new is added", || counts(&groups("")) == is(6, 1));
        let oldest = world.all("/api/v1/failed?task=fail", 50).last().unwrap()["id"].as_str().unwrap().to_owned();
        world.place.send("DELETE", &format!("/api/v1/failed/{oldest}"), &[], b"");
        eventually("what is gone is not counted", || counts(&groups("")) == is(5, 1));
        let group = groups("")["groups"][0]["id"].as_str().unwrap().to_owned();
        let export = world.place.get(&format!("/api/v1/failed.ndjson?filter=group:{group}"));
        let text = export.body.clone();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((export.status, lines.len()), (200, 5), "{text}");
        assert!(lines.iter().all(|line| line["class"] == "fail" && line["backtrace"].is_array()), "{text}");
    });
}

#[test]
fn who_removes_many_must_be_an_administrator_and_is_named() {
    let more = "token = \"a-token-of-an-administrator\"\nloopback = \"token\"\ntokens = [{ name = \"ci\", role = \"operate\", token = \"a-token-of-an-operator\" }]";
    let world = World::sqlite(more, tasks);
    let send = |token: &str, method: &str, path: &str, body: &str| {
        let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
        world.place.send(method, path, &headers, body.as_bytes())
    };
    let order = json!({"action": "remove", "filter": "", "expect": 0}).to_string();
    let refused = send("a-token-of-an-operator", "POST", "/api/v1/failed/operations", &order);
    assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"), "{refused:?}");
    assert_eq!(send(TOKEN, "POST", "/api/v1/failed/operations", &order).status, 202);
    assert_eq!(send("a-token-of-an-operator", "POST", "/api/v1/queues/x/pause", "").status, 200);
    let audit = send(TOKEN, "GET", "/api/v1/audit", "").json();
    let is_pause = |entry: &&Value| entry["what"] == "POST /api/v1/queues/{queue}/pause";
    let entry = audit["items"].as_array().unwrap().iter().find(is_pause).unwrap();
    assert_eq!((&entry["who"], &entry["from"]), (&json!("token ci"), &json!("127.0.0.1")), "{audit}");
    assert!(entry["request"].as_str().unwrap().contains("/queues/x/pause"), "{audit}");
    world.daemon.stop();
}

/// A plugin that takes its time with each job as long as a file is there.
const SLOW: &str = "name = \"slow\"\nplugins = [{ exec = [\"sh\", \"-c\", \"if [ -e ../slow ]; then sleep 0.4; fi\"], hooks = \
                    [\"before_enqueue\"] }]\n[run]\nexec = [\"sh\", \"-c\", \"echo $WINDLASS_ARGS >>../ran; exit 1\"]\n";

#[test]
fn an_operation_whose_daemon_was_killed_is_told_by_another_one_and_begun_again_for_the_rest() {
    const JOBS: usize = 30;
    let prepare = |folder: &Folder| {
        std::fs::write(folder.path("tasks.d/slow.toml"), SLOW).unwrap();
        tasks(folder);
    };
    for world in [World::sqlite("", prepare), World::redis("", prepare)] {
        for n in 0..JOBS {
            world.place.json("POST", "/api/v1/tasks/slow/jobs", &format!("[{n}]"));
        }
        eventually("all have failed", || count(&world) == JOBS as u64);
        // What is retried waits, so that each job can be told.
        world.place.send("POST", "/api/v1/queues/default/pause", &[], b"");
        let other = world.folder.daemon_with_log("other");
        let place = listens(&other);
        std::fs::write(world.folder.path("slow"), "").unwrap();
        let order = json!({"action": "retry", "filter": "task:slow", "expect": JOBS});
        let begun = begin(&world, &order).json();
        let path = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
        let told = || place.get(&path).json();
        eventually("the other one tells how far it is", || told()["done"].as_u64().is_some_and(|done| done >= 3));
        assert_eq!((&told()["state"], &told()["matching"]), (&json!("running"), &json!(JOBS)));
        let stopped = place.send("DELETE", &path, &[], b"");
        assert_eq!((stopped.status, stopped.problem().as_str()), (409, "changed"), "the other one has it: {stopped:?}");
        let both = [world.daemon.parent(), world.daemon.proper()];
        both.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        std::fs::remove_file(world.folder.path("slow")).unwrap();
        eventually("it is lost", || told()["state"] == "lost");
        let done = told()["done"].as_u64().unwrap();
        let failed = || place.get("/api/v1/failed?limit=1").json()["count"].as_u64().unwrap();
        let left = failed();
        assert!(left > 0 && done + left <= JOBS as u64, "no more is told than was done: {done} and {left}");
        let order = json!({"action": "retry", "filter": "task:slow", "expect": left}).to_string();
        let begun = place.json("POST", "/api/v1/failed/operations", &order).json();
        let path = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
        eventually("the rest is done", || place.get(&path).json()["state"] == "done");
        assert_eq!((failed(), place.get(&path).json()["done"].as_u64()), (0, Some(left)));
        let waiting = place.get("/api/v1/queues/default").json()["length"].as_u64();
        assert_eq!(waiting, Some(JOBS as u64), "each was retried once");
        other.stop();
    }
}
