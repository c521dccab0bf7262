//! What can be changed, on both stores, and who may.

use serde_json::json;

use crate::daemon::{Folder, eventually};
use crate::world::{TOKEN, World};

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    folder.script("fail", "[ -e right ] || exit 1");
    let hourly = "name = \"hourly\"\nfrequency = \"1h\"\nqueue = \"elsewhere\"\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/hourly.toml"), hourly).unwrap();
    let report = "name = \"report\"\nqueue = \"elsewhere\"\n[[schedule]]\nid = \"week/ly\"\ncron = \"0 8 * * MON\"\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/report.toml"), report).unwrap();
    let locked = "name = \"locked\"\nplugins = [\"QueueLock\"]\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/locked.toml"), locked).unwrap();
}

#[test]
fn queues_are_paused_and_resumed() {
    World::both("", tasks, |world| {
        let post = |what: &str| world.place.send("POST", &format!("/api/v1/queues/default/{what}"), &[], b"");
        let paused = post("pause").json();
        assert_eq!((&paused["paused"], &paused["changed"]), (&json!(true), &json!(true)));
        assert_eq!(post("pause").json()["changed"], false);
        world.place.json("POST", "/api/v1/tasks/note/jobs", "[]");
        let queue = world.place.get("/api/v1/queues/default").json();
        assert_eq!((&queue["queue"], &queue["length"], &queue["paused"]), (&json!("default"), &json!(1), &json!(true)));
        assert_eq!(post("resume").json()["paused"], false);
        eventually("its job runs", || world.place.get("/api/v1/stats").json()["processed"] == 1);
        assert_eq!(world.place.json("POST", "/api/v1/queues/default/pause", "[1]").problem(), "malformed");
    });
}

#[test]
fn failed_jobs_are_retried_and_removed() {
    World::both("", tasks, |world| {
        for n in 0..3 {
            world.place.json("POST", "/api/v1/tasks/fail/jobs", &format!("[{n}]"));
        }
        eventually("all have failed", || world.place.get("/api/v1/failed").json()["count"] == 3);
        let all = world.all("/api/v1/failed", 50);
        let id = |at: usize| all[at]["id"].as_str().unwrap().to_owned();
        let removed = world.place.send("DELETE", &format!("/api/v1/failed/{}", id(0)), &[], b"");
        assert_eq!((removed.status, removed.json()), (200, json!({"removed": 1, "id": id(0)})));
        let gone = world.place.send("DELETE", &format!("/api/v1/failed/{}", id(0)), &[], b"");
        assert_eq!((gone.status, gone.problem().as_str()), (404, "unknown-failed-job"));
        std::fs::write(world.folder.path("right"), "").unwrap();
        let retry = world.place.send("POST", &format!("/api/v1/failed/{}/retry?at=1", id(1)), &[], b"");
        assert_eq!((retry.status, &retry.json()["outcome"]), (200, &json!("retried")), "{retry:?}");
        eventually("it succeeds", || world.place.get("/api/v1/stats").json()["processed"] == 1);
        assert_eq!(world.place.get("/api/v1/failed").json()["count"], 1);
    });
}

#[test]
fn periodic_tasks_and_schedules_are_stopped_started_and_run() {
    World::both("", tasks, |world| {
        let state = |at: usize| world.all("/api/v1/periodic", 50)[at]["state"].as_str().unwrap().to_owned();
        eventually("both are scheduled", || state(0) != "new" && state(1) == "scheduled");
        for (name, at) in [("hourly", 0), ("report%2Fweek%2Fly", 1)] {
            let post = |what: &str| {
                let answer = world.place.send("POST", &format!("/api/v1/periodic/{name}/{what}"), &[], b"");
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.json()["outcome"].as_str().unwrap().to_owned()
            };
            assert_eq!((post("stop").as_str(), state(at).as_str()), ("stopped", "stopped"), "{name}");
            assert_eq!(post("start"), "started");
            assert_ne!(state(at), "stopped");
            assert!(["enqueued", "waits"].contains(&post("run").as_str()), "{name}");
        }
        let unknown = world.place.send("POST", "/api/v1/periodic/hurly/stop", &[], b"");
        assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown-periodic-task"));
        assert_eq!(unknown.json()["did_you_mean"], "hourly");
    });
}

#[test]
fn locks_are_deleted_by_their_keys() {
    World::both("", tasks, |world| {
        world.place.json("POST", "/api/v1/tasks/locked/jobs?queue=waiting", r#"["a/b"]"#);
        let locks = world.all("/api/v1/locks", 50);
        let key = locks.iter().find_map(|lock| lock["key"].as_str().filter(|key| key.contains("locked"))).unwrap();
        let encoded: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let deleted = world.place.send("DELETE", &format!("/api/v1/locks/{encoded}"), &[], b"");
        assert_eq!((deleted.status, deleted.json()), (200, json!({"deleted": true, "key": key})));
        let again = world.place.send("DELETE", &format!("/api/v1/locks/{encoded}"), &[], b"");
        assert_eq!((again.status, again.problem().as_str()), (404, "unknown-lock"));
    });
}

#[test]
fn each_role_may_what_it_says_and_no_more() {
    let roles = ["read", "enqueue", "operate"];
    let token = |role: &str| format!("a-token-of-the-role-{role}");
    let named: Vec<_> = roles
        .iter()
        .map(|role| format!("{{ name = \"{role}\", role = \"{role}\", token = \"{}\" }}", token(role)))
        .collect();
    let world =
        World::sqlite(&format!("token = \"{TOKEN}\"\nloopback = \"token\"\ntokens = [{}]", named.join(", ")), tasks);
    // A request of each kind that an allowed caller gets another answer to than 401 or 403.
    let requests = [
        ("GET", "/api/v1/queues", &["read", "operate", "admin"][..]),
        ("GET", "/api/v1/failed", &["read", "operate", "admin"]),
        ("POST", "/api/v1/tasks/note/jobs", &["enqueue", "operate", "admin"]),
        ("POST", "/api/v1/jobs", &["enqueue", "operate", "admin"]),
        ("POST", "/api/v1/queues/x/resume", &["operate", "admin"]),
        ("POST", "/api/v1/failed/0123456789abcdef/retry", &["operate", "admin"]),
        ("POST", "/api/v1/periodic/hourly/run", &["operate", "admin"]),
        ("DELETE", "/api/v1/failed/0123456789abcdef", &["admin"]),
        ("DELETE", "/api/v1/locks/x", &["admin"]),
    ];
    for (method, path, allowed) in requests {
        assert_eq!(world.place.send(method, path, &[], b"").status, 401, "{method} {path}");
        for role in ["read", "enqueue", "operate", "admin"] {
            let text = if role == "admin" { TOKEN.to_owned() } else { token(role) };
            let answer = world.place.send(method, path, &[("authorization", &format!("Bearer {text}"))], b"");
            assert_eq!(answer.status != 403, allowed.contains(&role), "{role}: {method} {path}: {answer:?}");
            assert_ne!(answer.status, 401);
        }
    }
    world.daemon.stop();
}
