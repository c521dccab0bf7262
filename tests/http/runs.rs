//! Jobs by their ids: their output, their result, their end.

use std::fs;

use serde_json::json;

use crate::daemon::{Folder, eventually};
use crate::world::World;

fn tasks(folder: &Folder) {
    folder.script("long", "echo begun; exec sleep 600");
    folder.script("asked", "echo the answer");
    let path = folder.path("tasks.d/asked.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "result = \"last_line\"\n").unwrap();
}

#[test]
fn a_job_that_runs_is_listed_read_and_cancelled() {
    World::both("", tasks, |world| {
        assert_eq!(world.place.json("POST", "/api/v1/tasks/long/jobs", "[1]").status, 201);
        let mut id = String::new();
        eventually("it runs", || {
            let running = world.place.get("/api/v1/running?task=long").json();
            id = running["items"][0]["id"].as_str().unwrap_or_default().to_owned();
            !id.is_empty()
        });
        let shown = world.place.get(&format!("/api/v1/jobs/{id}")).json();
        assert_eq!((&shown["state"], &shown["run"]["class"]), (&json!("running"), &json!("long")));
        let output = world.place.get(&format!("/api/v1/jobs/{id}/output"));
        assert_eq!((output.status, output.body.as_str()), (200, "begun\n"), "{output:?}");
        let result = world.place.get(&format!("/api/v1/jobs/{id}/result"));
        assert_eq!((result.status, result.problem().as_str()), (409, "not-ended"));
        let cancelled = world.place.json("POST", &format!("/api/v1/jobs/{id}/cancel"), "");
        assert_eq!((cancelled.status, &cancelled.json()["runs"][0]["state"]), (200, &json!("asked")));
        eventually("it has ended", || world.place.get(&format!("/api/v1/jobs/{id}")).json()["state"] == "cancelled");
        let again = world.place.json("POST", &format!("/api/v1/jobs/{id}/cancel"), "");
        assert_eq!((again.status, again.problem().as_str()), (404, "not-found"));
        assert_eq!(world.place.get("/api/v1/jobs/none/output").status, 404);
    });
}

#[test]
fn a_tracked_job_has_an_id_and_its_result_is_kept() {
    World::both("", tasks, |world| {
        let told = world.place.json("POST", "/api/v1/tasks/asked/jobs?track", "").json();
        let id = told["id"].as_str().unwrap().to_owned();
        let mut result = json!(null);
        eventually("it has ended", || {
            let answer = world.place.get(&format!("/api/v1/jobs/{id}/result"));
            result = answer.json();
            answer.status == 200
        });
        assert_eq!((&result["outcome"], &result["result"]), (&json!("done"), &json!("the answer")));
        let shown = world.place.get(&format!("/api/v1/jobs/{id}")).json();
        assert_eq!((&shown["state"], &shown["tracked"]["class"]), (&json!("done"), &json!("asked")));
        let untracked = world.place.json("POST", "/api/v1/tasks/asked/jobs", "").json();
        assert_eq!(untracked["id"], json!(null));
        let late = world.place.json("POST", "/api/v1/tasks/asked/jobs?track&in=1h", "");
        assert_eq!(late.status, 400);
    });
}
