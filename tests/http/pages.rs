//! Lists, page by page, on both stores: whole, bounded, and each with cursors of its own.

use serde_json::{Value, json};

use crate::daemon::{Folder, eventually};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("fail", "echo \"no $WINDLASS_ARGS\" >&2; exit 1");
    folder.script("hold", "touch held; while [ -e held ]; do sleep 0.1; done");
    let hourly = "name = \"hourly\"\nfrequency = \"1h\"\nqueue = \"elsewhere\"\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/hourly.toml"), hourly).unwrap();
    let report = "name = \"report\"\nqueue = \"elsewhere\"\n[[schedule]]\nid = \"week/ly\"\ncron = \"0 8 * * MON\"\nargs = [1]\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/report.toml"), report).unwrap();
}

/// Enqueues foreign jobs from JSON lines.
fn fill(world: &World, lines: impl Iterator<Item = Value>) {
    let body: String = lines.map(|line| format!("{line}\n")).collect();
    let answer = world.place.json("POST", "/api/v1/jobs/bulk?foreign", &body);
    let end = answer.body.lines().last().unwrap().to_owned();
    assert!(end.contains("\"failed\":0"), "{end}");
}

#[test]
fn queues_and_their_jobs_are_read_from_either_end() {
    World::both("", tasks, |world| {
        let jobs = (0..23).map(|n| json!({"task": "Other", "queue": format!("q{}", n % 5), "args": [n]}));
        fill(world, jobs);
        world.cli(&["queues", "pause", "q3"]);
        let queues = world.all("/api/v1/queues", 2);
        let told: Vec<_> = queues.iter().filter(|one| one["queue"].as_str().unwrap().starts_with('q')).collect();
        let names: Vec<_> = told.iter().map(|one| one["queue"].as_str().unwrap()).collect();
        assert_eq!(names, ["q0", "q1", "q2", "q3", "q4"]);
        assert_eq!((&told[3]["paused"], &told[3]["length"], &told[4]["length"]), (&json!(true), &json!(4), &json!(4)));
        let args = |path: &str| {
            let jobs = world.all(path, 2);
            jobs.iter()
                .map(|job| (job["position"].as_i64().unwrap(), job["args"][0].as_i64().unwrap()))
                .collect::<Vec<_>>()
        };
        let from_head = args("/api/v1/queues/q1/jobs");
        assert_eq!(from_head, [(0, 1), (1, 6), (2, 11), (3, 16), (4, 21)]);
        let from_tail = args("/api/v1/queues/q1/jobs?from=tail");
        assert_eq!(from_tail, from_head.into_iter().rev().collect::<Vec<_>>());
        let unknown = world.place.get("/api/v1/queues/q9/jobs");
        assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown-queue"));
        // A cursor belongs to one list.
        let next = world.place.get("/api/v1/queues/q1/jobs?limit=1").json()["next"].as_str().unwrap().to_owned();
        for other in [
            "/api/v1/queues/q2/jobs",
            "/api/v1/queues/q1/jobs?from=tail",
            "/api/v1/queues",
            "/api/v1/failed",
            "/api/v1/delayed",
            "/api/v1/workers",
            "/api/v1/locks",
            "/api/v1/periodic",
            "/api/v1/instances",
            "/api/v1/tasks",
        ] {
            let and = if other.contains('?') { '&' } else { '?' };
            let answer = world.place.get(&format!("{other}{and}cursor={next}"));
            assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{other}");
        }
    });
}

#[test]
fn failed_jobs_are_listed_filtered_and_found_by_id() {
    World::both("", tasks, |world| {
        let body: String = (0..30).map(|n| format!("{{\"task\":\"fail\",\"args\":[\"{n}\"]}}\n")).collect();
        world.place.json("POST", "/api/v1/jobs/bulk", &body);
        eventually("all have failed", || world.place.get("/api/v1/failed?limit=1").json()["count"] == 30);
        let all = world.all("/api/v1/failed", 7);
        let mut args: Vec<i64> = all.iter().map(|one| one["args"][0].as_str().unwrap().parse().unwrap()).collect();
        let positions: Vec<_> = all.iter().map(|one| one["position"].as_i64().unwrap()).collect();
        assert_eq!(positions, (0..30).rev().collect::<Vec<_>>(), "the newest first");
        args.sort_unstable();
        assert_eq!(args, (0..30).collect::<Vec<_>>());
        let some = world.all("/api/v1/failed?error=no%20%5B%222&task=fail", 2);
        assert_eq!(some.len(), 11, "2 and 20 to 29");
        let same = world.all("/api/v1/failed?filter=task:fail%20error:%22no%20%5B%5C%222%22", 2);
        assert_eq!(same, some, "the same in the filter language");
        let wrong = world.place.get("/api/v1/failed?filter=queue:a%20tsk:fail").json();
        assert!(wrong["detail"].as_str().unwrap().contains("character 9") && wrong["status"] == 400, "{wrong}");
        assert_eq!(world.all("/api/v1/failed?task=other", 50).len(), 0);
        assert_eq!(world.all("/api/v1/failed?since=1h", 50).len(), 30);
        assert_eq!(world.all("/api/v1/failed?since=2099-01-01T00:00:00Z", 50).len(), 0);
        assert_eq!(world.place.get("/api/v1/failed?since=noon").problem(), "malformed");
        let id = all[12]["id"].as_str().unwrap();
        let shown = world.place.get(&format!("/api/v1/failed/{id}?at={}", all[12]["position"])).json();
        assert_eq!((&shown["args"], &shown["position"]), (&all[12]["args"], &all[12]["position"]));
        assert_eq!(world.place.get(&format!("/api/v1/failed/{id}")).json()["id"], id);
        let unknown = world.place.get("/api/v1/failed/0123456789abcdef");
        assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown-failed-job"));
        assert_eq!(unknown.json()["command"], "windlass failed show 0123456789abcdef");
        assert_eq!(world.place.get("/api/v1/failed/12").problem(), "malformed", "positions move");
        // A page goes on where it ended, although others remove what stands before it.
        let first = world.place.get("/api/v1/failed?limit=10").json();
        let (next, oldest) = (first["next"].as_str().unwrap(), all[29]["id"].as_str().unwrap());
        assert_eq!(world.place.send("DELETE", &format!("/api/v1/failed/{oldest}"), &[], b"").status, 200);
        let second = world.place.get(&format!("/api/v1/failed?limit=10&cursor={next}")).json();
        let ids =
            |page: &Value| page["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&second), all[10..20].iter().map(|one| one["id"].clone()).collect::<Vec<_>>());
        assert_eq!(second["moved"], json!(null));
    });
}

#[test]
fn delayed_jobs_come_in_order_and_none_twice() {
    World::both("", tasks, |world| {
        // 40 jobs over 9 seconds, several in each.
        let at = |n: i64| format!("@{}", 2_000_000_000 + n % 9);
        fill(world, (0..40).map(|n| json!({"task": "Other", "queue": "later", "args": [n], "at": at(n)})));
        for limit in [1, 4, 50] {
            let mut jobs = world.all("/api/v1/delayed", limit);
            jobs.retain(|job| job["queue"] == "later");
            let times: Vec<_> = jobs.iter().map(|job| job["ms"].as_i64().unwrap()).collect();
            assert!(times.is_sorted(), "{times:?}");
            let mut args: Vec<_> = jobs.iter().map(|job| job["args"][0].as_i64().unwrap()).collect();
            args.sort_unstable();
            assert_eq!(args, (0..40).collect::<Vec<_>>(), "limit {limit}");
        }
        let listed = world.cli(&["delayed", "--limit", "100"]);
        let mut listed = listed["jobs"].as_array().unwrap().clone();
        listed.retain(|job| job["queue"] == "later");
        let mut paged = world.all("/api/v1/delayed", 3);
        paged.retain(|job| job["queue"] == "later");
        assert_eq!(paged, listed, "as the command line lists them");
    });
}

#[test]
fn workers_instances_periodic_tasks_and_locks_are_listed() {
    World::both("", tasks, |world| {
        world.place.json("POST", "/api/v1/tasks/hold/jobs", "[1]");
        eventually("it is running", || world.folder.path("held").exists());
        let workers = world.all("/api/v1/workers", 1);
        assert_eq!(workers.len(), 2);
        assert_eq!(workers.iter().filter(|one| one["working"]["class"] == "hold").count(), 1, "{workers:?}");
        let instances = world.all("/api/v1/instances", 1);
        assert_eq!((instances.len(), &instances[0]["state"]), (1, &json!("working")));
        assert_eq!(instances[0]["pid"], world.daemon.proper());
        eventually("both are known", || world.all("/api/v1/periodic", 1).len() == 2);
        let periodic = world.all("/api/v1/periodic", 1);
        assert_eq!((&periodic[0]["kind"], &periodic[0]["task"]), (&json!("periodic"), &json!("hourly")));
        assert_eq!((&periodic[1]["kind"], &periodic[1]["id"]), (&json!("schedule"), &json!("report/week/ly")));
        std::fs::remove_file(world.folder.path("held")).unwrap();
        eventually("locks are those of the command line", || {
            let locks = world.all("/api/v1/locks", 1);
            let keys = |locks: &[Value]| locks.iter().map(|lock| lock["key"].clone()).collect::<Vec<_>>();
            keys(&locks) == keys(world.cli(&["locks"])["locks"].as_array().unwrap())
        });
    });
}
