//! What is computed for people who look: plan, explanations, attention, history, runs, overview. On both stores, and as the
//! command line tells it.

use serde_json::{Value, json};

use crate::daemon::{Folder, eventually};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("note", "true");
    folder.script("fail", "exit 1");
    let hourly = "name = \"hourly\"\nfrequency = \"1h\"\nqueue = \"elsewhere\"\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/hourly.toml"), hourly).unwrap();
    let kept = "name = \"kept\"\nkeep_runs = 5\n[run]\nexec = [\"true\"]\n";
    std::fs::write(folder.path("tasks.d/kept.toml"), kept).unwrap();
}

#[test]
fn the_plan_is_that_of_the_command_line() {
    World::both("", tasks, |world| {
        eventually("the periodic task is scheduled", || {
            world.place.get("/api/v1/plan?task=hourly").json()["plan"][0]["why"] == "periodic"
        });
        world.place.json("POST", "/api/v1/tasks/note/jobs?in=2h", "[1]");
        let told = world.place.get("/api/v1/plan?hours=3&limit=200").json();
        assert_eq!(told, world.cli(&["plan", "--hours", "3"]));
        let why: Vec<&Value> = told["plan"].as_array().unwrap().iter().map(|entry| &entry["why"]).collect();
        assert!(why.contains(&&json!("delayed")), "{told}");
        assert_eq!(world.place.get("/api/v1/plan?hours=200&limit=2").json()["more"], true);
        for (query, kind) in [
            ("hours=0", "malformed"),
            ("hours=x", "malformed"),
            ("limit=201", "malformed"),
            ("task=nite", "unknown-task"),
        ] {
            assert_eq!(world.place.get(&format!("/api/v1/plan?{query}")).problem(), kind, "{query}");
        }
    });
}

#[test]
fn what_does_not_run_is_explained() {
    World::both("", tasks, |world| {
        let explain = |query: &str| world.place.get(&format!("/api/v1/explain?{query}"));
        let cause = |query: &str| {
            let told = explain(query).json();
            (told["state"].clone(), told["findings"][0]["cause"].clone())
        };
        world.place.send("POST", "/api/v1/queues/waiting/pause", &[], b"");
        world.place.json("POST", "/api/v1/tasks/note/jobs?queue=waiting", "[\"a b\"]");
        let paused = (json!("blocked"), json!("paused_queue"));
        assert_eq!(cause("queue=waiting"), paused);
        assert_eq!(cause("task=note&queue=waiting&args=%5B%22a+b%22%5D"), paused);
        assert_eq!(cause("job=0123456789abcdef"), (json!("not_found"), json!("gone")));
        world.place.json("POST", "/api/v1/tasks/fail/jobs", "[]");
        eventually("it has failed", || world.place.get("/api/v1/failed").json()["count"] == 1);
        assert_eq!(cause("failed=0").1, "failed");
        assert_eq!(explain("task=note").status, 200);
        assert_eq!(explain("schedule=hourly").status, 200);
        for query in ["", "queue=a&task=b", "args=%5B%5D", "args=%5B%5D&task=note&job=7", "task=note&args=%5B"] {
            assert_eq!(explain(query).problem(), "malformed", "{query}");
        }
        eventually("attention tells of the queue", || {
            let told = world.place.get("/api/v1/attention").json();
            told["findings"].as_array().unwrap().iter().any(|one| one["cause"] == "paused_queue")
        });
    });
}

#[test]
fn a_program_that_is_gone_is_the_cause_over_http_as_at_the_command_line() {
    let prepare = |folder: &Folder| folder.worker("gone", "#!/bin/sh\nexit 1\n");
    World::both("", prepare, |world| {
        let findings = || world.place.get("/api/v1/explain?task=gone").json()["findings"].as_array().unwrap().clone();
        let missing = || findings().into_iter().find(|one| one["cause"] == "program_missing");
        assert_eq!(missing(), None);
        let program = world.folder.path("tasks.d/gone.sh");
        std::fs::rename(&program, world.folder.path("tasks.d/elsewhere.sh")).unwrap();
        let told = missing().expect("it is told now");
        assert_eq!(told["blocks"], true);
        let text = told["text"].as_str().unwrap();
        assert!(
            text.starts_with("on ") && text.contains("no job of task gone can begin") && text.contains("gone.sh"),
            "{text}"
        );
        let (code, said) = world.folder.windlass(&["--json", "explain", "task", "gone"]);
        assert!(code == Some(1) && said.contains("\"cause\":\"program_missing\""), "{said}");
        std::fs::rename(world.folder.path("tasks.d/elsewhere.sh"), &program).unwrap();
        assert_eq!(missing(), None, "it is there again");
    });
}

#[test]
fn what_ran_is_counted_and_its_runs_are_kept() {
    World::both("", tasks, |world| {
        for _ in 0..3 {
            world.place.json("POST", "/api/v1/tasks/kept/jobs", "[]");
        }
        world.place.json("POST", "/api/v1/tasks/fail/jobs", "[]");
        eventually("all have ended", || {
            let told = world.place.get("/api/v1/history").json();
            told["total"]["done"] == 3 && told["total"]["failed"] == 1
        });
        let told = world.place.get("/api/v1/history?task=kept&window=24h").json();
        assert_eq!((&told["total"]["done"], &told["window"], &told["step_s"]), (&json!(3), &json!("24h"), &json!(600)));
        let by_task = world.place.get("/api/v1/history?by=task&window=30d").json();
        assert_eq!((&by_task["tasks"][0]["task"], &by_task["tasks"][0]["failed"]), (&json!("fail"), &json!(1)));
        for (query, kind) in [
            ("window=2h", "malformed"),
            ("by=queue", "malformed"),
            ("task=nite", "unknown-task"),
            ("taks=x", "malformed"),
        ] {
            assert_eq!(world.place.get(&format!("/api/v1/history?{query}")).problem(), kind, "{query}");
        }
        let runs = world.place.get("/api/v1/tasks/kept/runs?limit=2").json();
        assert_eq!((&runs["keep_runs"], runs["runs"].as_array().unwrap().len()), (&json!(5), 2));
        assert_eq!(runs["runs"][0]["outcome"], "done");
        assert_eq!(world.place.get("/api/v1/tasks/nite/runs").problem(), "unknown-task");
        let overview = world.place.get("/api/v1/overview").json();
        assert_eq!((&overview["failed"], &overview["processed_in_all"]), (&json!(1), &json!(3)));
        assert_eq!((&overview["instances"], &overview["last_hour"]["done"]), (&json!(1), &json!(3)));
        assert_eq!(overview["leader"], world.place.get("/api/v1/leader").json()["leader"]);
    });
}
