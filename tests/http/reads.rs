//! What can be looked at, on both stores.

use serde_json::json;

use crate::world::World;

#[test]
fn counters_leaders_and_tasks_are_those_of_the_command_line() {
    let prepare = |folder: &crate::daemon::Folder| {
        folder.script("add", "true");
        folder.script("fail", "exit 1");
    };
    World::both("", prepare, |world| {
        for task in ["add", "fail"] {
            assert_eq!(world.folder.windlass(&["enqueue", task]).0, Some(0));
        }
        crate::daemon::eventually("both have ended", || {
            let stats = world.place.get("/api/v1/stats").json();
            (&stats["processed"], &stats["failed"]) == (&json!(1), &json!(1))
        });
        let said = |command: &str| {
            let (code, said) = world.folder.windlass(&["--json", command]);
            assert_eq!(code, Some(0), "{said}");
            serde_json::from_str::<serde_json::Value>(&said).unwrap()
        };
        let (told, leader) = (world.place.get("/api/v1/leader").json(), said("leader"));
        assert_eq!((&told["leader"], &told["duties"]), (&leader["leader"], &leader["duties"]));
        let details = world.place.get("/api/v1/details").json();
        assert_eq!((&details["failed"], &details["leader"]), (&json!(1), &said("leader")["leader"]));
        let page = world.place.get("/api/v1/tasks?limit=1").json();
        assert_eq!((&page["items"][0]["name"], &page["scanned"]), (&json!("add"), &json!(1)));
        let next = page["next"].as_str().unwrap();
        let last = world.place.get(&format!("/api/v1/tasks?limit=1&cursor={next}")).json();
        assert_eq!((&last["items"][0]["name"], &last["next"]), (&json!("fail"), &json!(null)));
        let foreign = world.place.get(&format!("/api/v1/tasks?cursor={}", &next[2..]));
        assert_eq!(foreign.problem(), "malformed");
        let task = world.place.get("/api/v1/tasks/add").json();
        assert_eq!(task["run"]["handler"], "exec");
    });
}

#[test]
fn a_queue_tells_how_long_its_jobs_wait_as_the_list_does() {
    let prepare = |folder: &crate::daemon::Folder| folder.script("add", "true");
    World::both("", prepare, |world| {
        assert_eq!(world.folder.windlass(&["enqueue", "add", "--queue", "waiting"]).0, Some(0));
        // On Redis the leader samples for who asks.
        crate::daemon::eventually("its age is known", || {
            let queue = world.place.get("/api/v1/queues/waiting").json();
            queue["length"] == 1 && queue["oldest_ms"].is_u64()
        });
        let listed = world.place.get("/api/v1/queues").json();
        assert!(listed["items"][0]["oldest_ms"].is_u64(), "{listed}");
    });
}
