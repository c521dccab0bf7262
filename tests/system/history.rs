//! `history`: what ran is seen soon after it ended, also what ended last, and runs that their daemon did not survive.

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;

fn history(folder: &Folder, args: &[&str]) -> Value {
    folder.json(&[&["history"], args].concat())
}

#[test]
fn what_ran_is_shown_after_an_extension_and_what_ran_last_after_the_drain() {
    on_both(|folder| {
        folder.script("good", "sleep 0.02; echo >>good");
        folder.script("bad", "exit 3");
        folder.script("busy", "exit 75");
        let daemon = folder.daemon();
        eventually("the store is there, and is empty", || {
            let (code, said) = folder.windlass(&["history"]);
            code == Some(0) && said == "nothing ran in the last hour\n"
        });
        ["good", "good", "bad", "busy"].into_iter().for_each(|task| folder.enqueue(&[task]));
        let of = |view: &Value, ends: [&str; 3]| ends.map(|end| view["total"][end].as_u64());
        eventually("all four are in the history", || {
            of(&history(folder, &[]), ["done", "failed", "later"]) == [Some(2), Some(1), Some(1)]
        });
        for window in ["1h", "24h", "30d"] {
            let bad = history(folder, &["--task", "bad", "--window", window]);
            assert_eq!(of(&bad, ["done", "failed", "later"]), [Some(0), Some(1), Some(0)], "{bad}");
            assert_eq!((&bad["task"], &bad["window"]), (&Value::from("bad"), &Value::from(window)));
            let by_task = history(folder, &["--by", "task", "--window", window]);
            let names: Vec<_> = by_task["tasks"].as_array().expect("a list").iter().map(|one| &one["task"]).collect();
            assert_eq!(names, ["bad", "busy", "good"], "{by_task}");
            assert_eq!(by_task["tasks"][0]["failure_rate"], 1.0, "{by_task}");
            assert_eq!(by_task["total"]["done"], 2, "{by_task}");
        }
        let good = history(folder, &["--task", "good"]);
        assert!(good["total"]["mean_ms"].as_u64().is_some_and(|ms| ms >= 20), "{good}");
        let runs = good["total"]["durations"].as_array().expect("a list").iter();
        assert_eq!(runs.map(|one| one["runs"].as_u64().expect("a number")).sum::<u64>(), 2, "{good}");
        let (code, said) = folder.windlass(&["history", "--by", "task"]);
        let line = said.lines().find(|line| line.starts_with("bad")).unwrap_or_else(|| panic!("{said}"));
        assert!(code == Some(0) && said.contains("FAILURE RATE") && line.contains("100.0 %"), "{said}");

        folder.enqueue(&["good"]);
        eventually("it ran", || folder.read("good").lines().count() == 3);
        daemon.stop();
        assert_eq!(of(&history(folder, &[]), ["done", "failed", "later"]), [Some(3), Some(1), Some(1)]);
    });
}

#[test]
fn a_run_that_its_daemon_did_not_survive_counts_as_cut_off_where_it_is_recovered() {
    on_both(|folder| {
        folder.script("long", "echo >>long; [ -e stop ] || exec sleep 600");
        let mut daemon = folder.daemon();
        folder.enqueue(&["long"]);
        eventually("it runs", || folder.path("long").exists());
        signal(daemon.parent(), Signal::KILL);
        daemon.wait();
        std::fs::write(folder.path("stop"), "").expect("a file must be written");
        let next = folder.daemon_with_log("next");
        eventually("it was recovered and is done", || {
            let total = history(folder, &["--task", "long"])["total"].clone();
            (total["cut_off"].as_u64(), total["done"].as_u64()) == (Some(1), Some(1))
        });
        next.stop();
    });
}

#[test]
fn a_task_whose_runs_fail_often_needs_attention() {
    on_both(|folder| {
        folder.script("sometimes", "[ $0 -gt 2 ]");
        let jobs: String = (0..22).map(|n| format!("{{\"task\":\"sometimes\",\"args\":[{}]}}\n", n % 11)).collect();
        std::fs::write(folder.path("jobs"), jobs).expect("a file must be written");
        let task = folder.path("tasks.d/sometimes.toml");
        let text = std::fs::read_to_string(&task).expect("the task must be readable");
        std::fs::write(&task, text.replace("\"sh\"]\n", "\"{0}\"]\n")).expect("the task must be written");
        let (code, said) = folder.windlass(&["enqueue", "--bulk", folder.path("jobs").to_str().expect("a path")]);
        assert_eq!(code, Some(0), "{said}");
        let daemon = folder.daemon();
        let told = "6 of 22 runs of sometimes failed in the last ten minutes (27.3 %)";
        eventually("it is told", || folder.windlass(&["explain"]).1.contains(told));
        let (code, said) = folder.windlass(&["--json", "explain"]);
        assert!(code == Some(0) && said.contains("\"failure_rate\""), "{said}");
        assert!(said.contains("windlass history --task sometimes"), "{said}");
        daemon.stop();
    });
}

#[test]
fn what_is_no_window_and_what_is_no_task_is_told_with_what_to_type() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("report", "true");
    let (code, said) = folder.windlass(&["history", "--window", "2h"]);
    assert!(code == Some(64) && said.contains("[possible values: 1h, 24h, 30d]"), "{said}");
    let (code, said) = folder.windlass(&["history", "--by", "queue"]);
    assert!(code == Some(64) && said.contains("[possible values: time, task]"), "{said}");
    // The store is made, so that there is something to look into.
    let daemon = folder.daemon();
    daemon.wait_log("windlass");
    folder.enqueue(&["report"]);
    for by in ["time", "task"] {
        let (code, said) = folder.windlass(&["history", "--task", "repotr", "--by", by]);
        assert!(code == Some(1) && said.contains("there is no task \"repotr\" (did you mean \"report\"?)"), "{said}");
    }
    daemon.stop();
}
