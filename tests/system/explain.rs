//! `explain`: each cause as a person meets it, on both engines.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::Value;
use windlass::clock::{Clock as _, SystemClock};

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;

/// What is explained: the exit code, and each cause with its command.
fn explain(folder: &Folder, subject: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
    let (code, findings) = findings(folder, subject);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (code, findings.iter().map(|one| (text(&one["cause"]), text(&one["command"]))).collect())
}

/// The findings; none where the store is not made yet. What stands on stderr is for people.
fn findings(folder: &Folder, subject: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = folder.command(&[&["--json", "explain"], subject].concat()).output().expect("the binary must run");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("a document");
    (output.status.code(), answer["findings"].as_array().cloned().unwrap_or_default())
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
        expect(folder, &[], 1, &["no_instance"]);
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
        expect(folder, &["job", "--task", "note", "--args", "[1]"], 1, &["no_instance", "no_leader", "delayed_until"]);
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
        eventually("the second waits", || {
            causes(folder, &["job", "--task", "again", "--args", "[]"]).1 == ["retry_waiting"]
        });
        eventually("the third runs", || folder.path("begun").exists());
        folder.enqueue(&["alone"]);
        eventually("its equal is put off", || causes(folder, &["job", "--task", "alone", "--args", "[]"]).1.len() == 4);
        expect(
            folder,
            &["job", "--task", "alone", "--args", "[]"],
            1,
            &["lock_held", "running", "put_off", "delayed_until"],
        );
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
        eventually("it is silent", || causes(folder, &["job", "--task", "long", "--args", "[]"]).1 == ["owner_silent"]);
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
fn a_periodic_task_whose_run_is_retried_runs_then_and_not_at_its_next_tick() {
    on_both(|folder| {
        folder.script("often", "exit 3");
        folder.add_keys(
            "often",
            "frequency = \"5s\"\nplugins = [\"Retry\"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = \"1h\"",
        );
        let daemon = folder.daemon();
        eventually("it waits", || causes(folder, &["schedule", "often"]).1 == ["retry_waiting"]);
        let (_, said) = folder.windlass(&["explain", "schedule", "often"]);
        assert!(said.contains("1 attempt of the present run of periodic task often failed (ExitStatus: "), "{said}");
        assert!(said.contains("windlass periodic run often"), "{said}");
        let plan = folder.json(&["plan", "--hours", "2", "--limit", "9", "--task", "often"]);
        assert_eq!((&plan["plan"][0]["why"], &plan["plan"][1]["why"]), (&"retry".into(), &"periodic".into()), "{plan}");
        let ms = plan["plan"][0]["ms"].as_i64().expect("a time");
        assert!(ms > SystemClock.now_ms() + 3_000_000, "{plan}");
        daemon.stop();
    });
}

#[test]
fn a_failure_tells_its_last_words_also_if_its_whole_output_is_in_a_file() {
    let folder = Folder::new("sqlite:jobs.db", "");
    folder.script("dies", "echo no space left >&2; exit 3");
    let path = folder.path("tasks.d/dies.toml");
    let task = fs::read_to_string(&path).expect("the task must be readable");
    fs::write(&path, task + "output = \"file\"\n").expect("the task must be written");
    let config = folder.read("tasks.toml") + "[output]\nfolder = \"kept\"\n";
    fs::write(folder.path("tasks.toml"), config).expect("the configuration must be written");
    let daemon = folder.daemon();
    folder.enqueue(&["dies"]);
    eventually("it has failed", || causes(&folder, &["failed", "0"]).0 == Some(1));
    let (_, said) = folder.windlass(&["explain", "failed", "0"]);
    assert!(said.contains("(no space left)") && said.contains("(windlass jobs output "), "{said}");
    daemon.stop();
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

#[test]
fn a_job_that_cannot_begin_is_explained_while_it_is_put_off() {
    on_both(|folder| {
        folder.script("gone", "true");
        let text = fs::read_to_string(folder.path("tasks.d/gone.toml")).expect("it must be readable");
        fs::write(folder.path("tasks.d/gone.toml"), text.replace("\"sh\", \"-c\"", "\"./tool\", \"-c\""))
            .expect("the task must be written");
        fs::write(folder.path("tasks.d/tool"), "#!/bin/sh\n").expect("the program must be written");
        fs::set_permissions(folder.path("tasks.d/tool"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let daemon = folder.daemon();
        folder.enqueue(&["nobody", "--foreign", "--queue", "default"]);
        let blocked = |subject: &[&str], cause: &str| {
            let (code, causes) = causes(folder, subject);
            code == Some(1) && causes.contains(&cause.to_owned())
        };
        let job = ["job", "--task", "nobody", "--queue", "default", "--args", "[]"];
        eventually("it is put off", || blocked(&job, "unknown_task") && blocked(&job, "put_off"));
        for subject in [&[][..], &["queue", "default"], &["task", "nobody"]] {
            assert!(blocked(subject, "unknown_task"), "{subject:?}: {:?}", causes(folder, subject));
        }
        fs::remove_file(folder.path("tasks.d/tool")).expect("it is ours");
        folder.enqueue(&["gone"]);
        for subject in [&["task", "gone"][..], &["job", "--task", "gone", "--args", "[]"]] {
            eventually("it is told", || blocked(subject, "program_missing"));
        }
        eventually("it is put off", || blocked(&[], "program_missing"));
        daemon.stop();
    });
}

#[test]
fn what_put_a_job_off_is_counted() {
    on_both(|folder| {
        folder.script("later", "exit 75");
        folder.worker("dies", "#!/bin/sh\necho '{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}'; read job; kill -9 $$\n");
        let daemon = folder.daemon();
        folder.enqueue(&["later"]);
        folder.enqueue(&["dies"]);
        let told = |task: &str, cause: &str, fact: &str, least: u64| {
            let found = findings(folder, &["job", "--task", task, "--args", "[]"]).1;
            found.iter().any(|one| one["cause"] == cause && one["evidence"][fact].as_u64() >= Some(least))
        };
        eventually("the handler said later", || told("later", "put_off", "later", 1));
        eventually("it was cut off", || told("dies", "cut_off", "redelivered", 3));
        let (code, said) = folder.windlass(&["delayed"]);
        assert!(code == Some(0) && said.contains("said later once") && said.contains("cut off "), "{said}");
        daemon.stop();
    });
}

#[test]
fn a_periodic_task_whose_file_is_gone_does_not_run_next() {
    on_both(|folder| {
        folder.script("nightly", "true");
        folder.add_keys("nightly", "schedule = \"0 3 * * *\"");
        folder.script("other", "true");
        let daemon = folder.daemon();
        eventually("it is planned", || causes(folder, &["schedule", "nightly"]).1 == ["delayed_until"]);
        fs::remove_file(folder.path("tasks.d/nightly.toml")).expect("it is ours");
        signal(daemon.parent(), Signal::HUP);
        eventually("it is told", || causes(folder, &["schedule", "nightly"]).1 == ["undeclared"]);
        let told = vec!["unknown_task".to_owned(), "undeclared".to_owned()];
        // The daemon tells which tasks it has a moment after which are periodic.
        eventually("its next job is delayed", || causes(folder, &[]) == (Some(1), told.clone()));
        daemon.stop();
    });
}

#[test]
fn the_waiting_jobs_of_a_skipped_task_need_attention() {
    on_both(|folder| {
        folder.reconfigure("scheduler = true", "skip_broken_tasks = true\nscheduler = true");
        fs::write(folder.path("tasks.d/thumb.toml"), "name = \"thumb\"\n[run]\nexec = 7\n")
            .expect("it must be written");
        let daemon = folder.daemon();
        folder.enqueue(&["thumb", "--foreign", "--queue", "default"]);
        for subject in
            [&[][..], &["queue", "default"], &["job", "--task", "thumb", "--queue", "default", "--args", "[]"]]
        {
            eventually("it is told", || {
                let (code, causes) = causes(folder, subject);
                code == Some(1) && causes.contains(&"task_skipped".to_owned())
            });
        }
        daemon.stop();
    });
}
