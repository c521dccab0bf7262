//! `explain`: each cause as a person meets it, on both engines.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;

/// What is explained: the exit code, and each cause with its command.
fn explain(folder: &Folder, subject: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
    let (code, answer) = folder.document(&[&["explain"], subject].concat());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = answer["findings"].as_array().expect("a list").iter();
    (code, findings.map(|one| (text(&one["cause"]), text(&one["command"]))).collect())
}

fn causes(folder: &Folder, subject: &[&str]) -> (Option<i32>, Vec<String>) {
    let (code, findings) = explain(folder, subject);
    (code, findings.into_iter().map(|(cause, _)| cause).collect())
}

fn expect(folder: &Folder, subject: &[&str], code: i32, expected: &[&str]) {
    let (told, causes) = causes(folder, subject);
    let expected: Vec<String> = expected.iter().map(|cause| (*cause).to_owned()).collect();
    assert_eq!((told, causes), (Some(code), expected), "{subject:?}");
}

/// Makes the store, which only a daemon or an enqueue does, and leaves it empty.
fn create(folder: &Folder) {
    folder.enqueue(&["nobody", "--foreign", "--queue", "default"]);
    assert_eq!(folder.windlass(&["queues", "delete", "default", "--yes"]).0, Some(0));
}

#[test]
fn without_a_daemon_it_says_so_and_names_the_command() {
    on_both(|folder| {
        folder.script("note", "true");
        create(folder);
        expect(folder, &[], 0, &[]);
        folder.enqueue(&["note"]);
        let (code, findings) = explain(folder, &["queue", "default"]);
        assert_eq!((code, &findings[..]), (Some(1), &[("no_instance".to_owned(), "windlass run".to_owned())][..]));
        expect(folder, &[], 1, &["no_instance"]);
        expect(folder, &["queue", "nosuch"], 2, &["gone"]);
        expect(folder, &["task", "ntoe"], 2, &["unknown_task"]);
        expect(folder, &["job", "nosuch"], 2, &["gone"]);
        expect(folder, &["failed", "0123456789ab"], 2, &["gone"]);
        expect(folder, &["schedule", "note"], 2, &["gone"]);
        folder.enqueue(&["note", "--in", "1h", "--args", "[1]"]);
        expect(folder, &["job", "--task", "note", "--args", "[1]"], 1, &["no_leader", "delayed_until"]);
    });
}

#[test]
fn what_keeps_a_queue_from_being_worked_on_is_told_with_what_mends_it() {
    on_both(|folder| {
        folder.script("hold", "echo begun >>begun; until [ -e gate ]; do sleep 0.05; done");
        let daemon = folder.daemon();
        for n in ["[1]", "[2]", "[3]"] {
            folder.enqueue(&["hold", "--args", n]);
        }
        eventually("two run", || folder.read("begun").lines().count() == 2);
        expect(folder, &["queue", "default"], 1, &["all_busy", "behind"]);
        expect(folder, &["job", "--task", "hold", "--args", "[3]"], 1, &["all_busy", "behind"]);
        expect(folder, &["job", "--task", "hold", "--args", "[1]"], 0, &["running"]);
        expect(folder, &[], 0, &[]);
        assert_eq!(folder.windlass(&["queues", "pause", "default"]).0, Some(0));
        let (code, findings) = explain(folder, &["queue", "default"]);
        assert_eq!((code, findings[0].0.as_str()), (Some(1), "paused_queue"));
        assert_eq!(findings[0].1, "windlass queues resume default");
        expect(folder, &[], 1, &["paused_queue"]);
        assert_eq!(folder.windlass(&["queues", "resume", "default"]).0, Some(0));
        folder.enqueue(&["elsewhere", "--foreign", "--queue", "other"]);
        expect(folder, &["queue", "other"], 1, &["no_processor_for_queue"]);
        fs::write(folder.path("gate"), "").expect("the gate must open");
        eventually("all are done", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":3"));
        signal(daemon.proper(), Signal::USR2);
        eventually("it is paused", || causes(folder, &["queue", "default"]).1.contains(&"halted".to_owned()));
        signal(daemon.proper(), Signal::CONT);
        daemon.stop();
    });
}

#[test]
fn how_a_job_failed_and_waits_for_its_retry_or_a_lock_is_told() {
    on_both(|folder| {
        folder.script("dies", "echo no space left >&2; exit 3");
        folder.script("again", "exit 1");
        folder
            .add_keys("again", "plugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = \"1h\"");
        folder.script("alone", "echo begun >>begun; exec sleep 600");
        folder.add_keys("alone", "plugins = [\"JobLock\"]\n[plugin_options.JobLock]\nenqueue_timeout = \"1h\"");
        let daemon = folder.daemon();
        folder.enqueue(&["dies"]);
        folder.enqueue(&["again"]);
        folder.enqueue(&["alone"]);
        eventually("the first has failed", || causes(folder, &["failed", "0"]).0 == Some(1));
        expect(folder, &["failed", "0"], 1, &["failed"]);
        let (_, said) = folder.windlass(&["explain", "failed", "0"]);
        assert!(said.contains("no space left") && said.contains("windlass failed retry "), "{said}");
        eventually("the second waits", || causes(folder, &["job", "--task", "again"]).1 == ["retry_waiting"]);
        eventually("the third runs", || folder.path("begun").exists());
        folder.enqueue(&["alone"]);
        eventually("its equal is put off", || causes(folder, &["job", "--task", "alone"]).1.len() == 3);
        expect(folder, &["job", "--task", "alone"], 1, &["lock_held", "running", "delayed_until"]);
        expect(folder, &[], 0, &["failing"]);
        daemon.stop();
    });
}

#[test]
fn a_daemon_that_is_dead_is_named_until_its_jobs_are_recovered() {
    on_both(|folder| {
        folder.script("long", "echo begun >>begun; exec sleep 600");
        let mut daemon = folder.daemon();
        folder.enqueue(&["long"]);
        eventually("it runs", || folder.path("begun").exists());
        let (parent, proper) = (daemon.parent(), daemon.proper());
        signal(parent, Signal::KILL);
        signal(proper, Signal::KILL);
        daemon.wait();
        eventually("it is silent", || causes(folder, &["job", "--task", "long"]).1 == ["owner_silent"]);
        assert!(causes(folder, &[]).1.contains(&"instance_silent".to_owned()));
    });
}

#[test]
fn a_periodic_task_that_does_not_run_is_told_with_what_starts_it() {
    on_both(|folder| {
        folder.script("nightly", "true");
        folder.add_keys("nightly", "schedule = \"0 3 * * *\"");
        create(folder);
        expect(folder, &["schedule", "nightly"], 1, &["not_seeded", "no_leader"]);
        let daemon = folder.daemon();
        eventually("it is planned", || causes(folder, &["schedule", "nightly"]).1 == ["delayed_until"]);
        expect(folder, &[], 0, &[]);
        assert_eq!(folder.windlass(&["periodic", "stop", "nightly"]).0, Some(0));
        let (code, findings) = explain(folder, &["schedule", "nightly"]);
        assert_eq!(code, Some(1));
        assert_eq!(findings[0], ("stopped".to_owned(), "windlass periodic start nightly".to_owned()));
        daemon.stop();
    });
}

#[test]
fn a_task_that_is_skipped_where_it_should_run_is_not_unknown() {
    let folder = Folder::new("sqlite:jobs.db", "skip_broken_tasks = true");
    folder.script("note", "true");
    fs::write(folder.path("tasks.d/thumb.toml"), "name = \"thumb\"\n[run]\nexec = 7\n")
        .expect("a file must be written");
    let daemon = folder.daemon();
    // Until then there is no store.
    daemon.wait_log("[ worker ] started");
    eventually("it is told", || causes(&folder, &["task", "thumb"]) == (Some(1), vec!["task_skipped".to_owned()]));
    daemon.stop();
}
