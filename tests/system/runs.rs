//! Runs that are kept: how the last one of a task went, as people ask for it.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};

/// Adds keys above `[run]` of a task, and tables after it.
fn extend(folder: &Folder, task: &str, keys: &str, tables: &str) {
    folder.add_keys(task, keys);
    let path = format!("tasks.d/{task}.toml");
    let text = folder.read(&path) + "\n" + tables;
    fs::write(folder.path(&path), text).expect("the task must be written");
}

/// The runs of a task, once there are as many of this outcome.
fn runs(folder: &Folder, name: &str, outcome: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("{count} runs of {name} are {outcome}"), || {
        // Before the daemon has made it there is no store.
        let (_, said) = folder.windlass(&["--json", "tasks", "runs", name]);
        found =
            serde_json::from_str::<Value>(&said).unwrap_or_default()["runs"].as_array().cloned().unwrap_or_default();
        found.iter().filter(|run| run["outcome"] == outcome).count() >= count
    });
    found
}

#[test]
fn periodic_tells_how_the_last_run_of_each_went() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("backup", "echo copying; echo disk full >&2; exit 3");
    extend(
        &folder,
        "backup",
        "frequency = \"1s\"\nplugins = [\"Retry\"]\nplugin_options.Retry = { retry_limit = 1 }",
        "",
    );
    folder.script("report", "echo sent");
    let schedule = "result = \"last_line\"\n[[schedule]]\nid = \"often\"\ncron = \"* * * * * *\"\nargs = [1]";
    extend(&folder, "report", "", schedule);
    folder.script("idle", "true");
    extend(&folder, "idle", "frequency = \"1h\"\nkeep_runs = 0", "");
    let daemon = folder.daemon();
    let failed = runs(&folder, "backup", "failed", 2);
    let sent = runs(&folder, "report/often", "done", 2);
    daemon.stop();

    let times = |run: &Value| {
        let ms = |key: &str| run[key].as_i64().unwrap_or_else(|| panic!("{key} of {run}"));
        assert_eq!(ms("ended_ms") - ms("started_ms"), ms("duration_ms"), "{run}");
        let at = chrono::DateTime::parse_from_rfc3339(run["scheduled_at"].as_str().expect("it was scheduled"));
        let late = ms("started_ms") - at.expect("a date").timestamp_millis();
        assert!((-1000..60_000).contains(&late), "{run}");
        ms("ended_ms")
    };
    let ended: Vec<i64> = failed.iter().map(times).collect();
    assert!(ended.is_sorted_by(|newer, older| newer >= older), "the newest first: {failed:?}");
    assert_eq!(failed[0]["error"], "ExitStatus: exited with 3");
    assert_eq!(failed[0]["output"], serde_json::json!(["disk full"]));
    assert_eq!((&failed[0]["attempt"], failed[0]["worker"].as_str().is_some()), (&Value::from(1), true));
    assert_eq!((&sent[0]["output"], &sent[0]["schedule"]), (&serde_json::json!(["sent"]), &"report/often".into()));
    for run in &sent {
        times(run);
    }

    let all = folder.json(&["periodic"]);
    let last = |name: &str| {
        let of = all["periodic"].as_array().expect("a list").iter().chain(all["schedules"].as_array().expect("a list"));
        of.clone().find(|one| one["task"] == name).unwrap_or_else(|| panic!("{all}"))["last_run"].clone()
    };
    assert_eq!((&last("backup")["outcome"], &last("report")["outcome"]), (&"failed".into(), &"done".into()));
    assert_eq!(last("idle"), Value::Null, "it keeps none");
    let (_, said) = folder.windlass(&["periodic"]);
    assert!(said.contains("LAST RUN") && said.contains("failed: ExitStatus: exited with 3"), "{said}");
    assert!(said.contains("done"), "{said}");

    // Those of its schedules are runs of the task, too.
    let of_task = folder.json(&["tasks", "runs", "report", "--last", "1"]);
    assert_eq!((&of_task["keep_runs"], of_task["runs"].as_array().map(Vec::len)), (&20.into(), Some(1)));
    let (code, said) = folder.windlass(&["tasks", "runs", "backup", "--last", "1"]);
    assert!(code == Some(0) && said.starts_with("BEGAN") && said.lines().count() == 2, "{said}");
    let (_, said) = folder.windlass(&["tasks", "runs", "idle"]);
    assert!(said.contains("keeps no runs") && said.contains("keep_runs = 20"), "{said}");
    let (code, said) = folder.windlass(&["tasks", "runs", "bakup"]);
    assert!(code == Some(1) && said.contains("did you mean \"backup\"?"), "{said}");
}

#[test]
fn a_task_keeps_as_many_runs_as_it_says_and_others_none() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.reconfigure("[store]", "[defaults]\nkeep_runs = 2\n[store]");
    folder.script("kept", "echo oops >&2; test \"$WINDLASS_ATTEMPT\" != 1");
    extend(&folder, "kept", "plugins = [\"Retry\"]\nplugin_options.Retry = { retry_limit = 2, retry_delay = 1 }", "");
    folder.script("other", "true");
    extend(&folder, "other", "keep_runs = 0", "");
    let daemon = folder.daemon();
    for (task, args) in [("kept", "[1]"), ("other", "[2]"), ("kept", "[3]")] {
        assert_eq!(folder.windlass(&["enqueue", task, "--args", args]).0, Some(0));
    }
    eventually("three jobs are done", || folder.json(&["stats"])["processed"] == 3);
    daemon.stop();
    let runs = runs(&folder, "kept", "done", 1);
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!((&runs[0]["outcome"], &runs[0]["attempt"]), (&"done".into(), &2.into()));
    assert_eq!(folder.json(&["tasks", "runs", "other"])["runs"], serde_json::json!([]));
    let (_, said) = folder.windlass(&["tasks", "show", "kept"]);
    assert!(
        said.contains("the last 2 runs")
            && said.contains("from [defaults]: keep_runs (")
            && said.contains("tasks.toml:8)"),
        "{said}"
    );
}

#[test]
fn a_run_whose_daemon_was_killed_is_kept_as_cut_off() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("long", "echo x >> begun; test -e again || sleep 600");
    extend(&folder, "long", "keep_runs = 5", "");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "long"]).0, Some(0));
    eventually("it runs", || !folder.read("begun").is_empty());
    fs::write(folder.path("again"), "").expect("a file must be written");
    signal(daemon.proper(), Signal::KILL);
    drop(daemon);
    let daemon = folder.daemon_with_log("second");
    let runs = runs(&folder, "long", "done", 1);
    daemon.stop();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!((&runs[1]["outcome"], &runs[1]["job_id"]), (&"cut_off".into(), &runs[0]["job_id"]));
    assert!(runs[1]["error"].as_str().is_some_and(|error| error.contains("its worker is gone")), "{runs:?}");
    assert_eq!((&runs[0]["redelivered"], &runs[1]["redelivered"]), (&1.into(), &0.into()));
    assert_ne!(runs[0]["claim"], runs[1]["claim"]);
}
