//! Task files with mistakes, and jobs whose task a daemon does not have.

use std::fs;

use rustix::process::Signal;

use crate::daemon::{Daemon, Folder, eventually, signal};

const STORE: &str = "sqlite:windlass.db";
const BROKEN: &str = "name = \"broken\"\ntimeout = \"soon\"\n[run]\nexec = [\"sh\", \"-c\", \"echo ran >>ran\"]\n";

fn ready(folder: &Folder) -> Daemon {
    let daemon = folder.daemon();
    eventually("both processors are registered", || daemon.log().matches("[ worker ] started").count() >= 2);
    daemon
}

#[track_caller]
fn said(folder: &Folder, args: &[&str]) -> String {
    let (code, said) = folder.windlass(args);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn failed(folder: &Folder) -> String {
    said(folder, &["--json", "failed", "count"]).trim().to_owned()
}

#[test]
fn a_daemon_that_is_to_skip_broken_tasks_keeps_their_jobs_until_they_are_right() {
    let folder = Folder::new(STORE, "unknown = \"1s\"");
    folder.script("note", "echo done >>notes");
    fs::write(folder.path("tasks.d/broken.toml"), BROKEN).unwrap();
    let (code, refused) = folder.windlass(&["run"]);
    assert!(code == Some(64) && refused.contains("broken.toml:2:11: timeout"), "{code:?} {refused}");
    folder.reconfigure("unknown = \"1s\"", "unknown = \"1s\"\nskip_broken_tasks = true");
    let daemon = ready(&folder);
    daemon.wait_log("tasks are skipped because their files have mistakes (skip_broken_tasks): broken;");
    daemon.wait_log("broken.toml:2:11: timeout");
    // Who asks before a reload hears that it would be taken.
    let (code, checked) = folder.windlass(&["check"]);
    let warned = "warning: tasks are skipped because their files have mistakes (skip_broken_tasks): broken;";
    assert!(code == Some(0) && checked.contains(warned), "{code:?} {checked}");
    assert!(checked.contains("warning: skipped: ") && checked.contains("broken.toml:2:11: timeout"), "{checked}");
    folder.reconfigure("skip_broken_tasks = true", "skip_broken_tasks = false");
    assert_eq!(folder.windlass(&["check"]).0, Some(64));
    assert_eq!(folder.windlass(&["check", "--skip-broken-tasks"]).0, Some(0));
    folder.reconfigure("skip_broken_tasks = false", "skip_broken_tasks = true");
    said(&folder, &["enqueue", "broken", "--foreign", "--queue", "default"]);
    daemon.wait_log("task \"broken\" is skipped");
    said(&folder, &["enqueue", "note"]);
    eventually("jobs of other tasks pass it", || folder.path("notes").exists());
    assert!(
        said(&folder, &["details"]).contains("skips tasks whose files have mistakes, and their jobs wait: broken;")
    );
    // Its name is not known then, so that every unknown class waits.
    fs::write(folder.path("tasks.d/broken.toml"), "name = \n").unwrap();
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("tasks are skipped because their files have mistakes (skip_broken_tasks): /");
    fs::write(folder.path("tasks.d/broken.toml"), BROKEN.replace("soon", "1m")).unwrap();
    signal(daemon.parent(), Signal::HUP);
    eventually("the job has waited for the right file", || folder.path("tasks.d/ran").exists());
    assert_eq!(failed(&folder), r#"{"count":0}"#);
    daemon.stop();
}

#[test]
fn enqueue_says_that_no_daemon_has_loaded_the_task() {
    let folder = Folder::new(STORE, "");
    folder.script("old", "true");
    let daemon = ready(&folder);
    folder.script("new", "echo ran >>ran");
    assert!(!said(&folder, &["enqueue", "old"]).contains("has loaded"));
    let warned = said(&folder, &["enqueue", "new"]);
    assert!(warned.contains("no daemon of this store has loaded task \"new\""), "{warned}");
    assert!(warned.contains("kill -HUP ") && warned.contains("systemctl reload windlass"), "{warned}");
    signal(daemon.parent(), Signal::HUP);
    eventually("the job waits for the reload", || folder.path("ran").exists());
    eventually("the daemon says so", || !said(&folder, &["enqueue", "new"]).contains("has loaded"));
    daemon.stop();
}

#[test]
fn a_job_that_another_instance_can_run_does_not_fail_here() {
    let (folder, other) = (Folder::new(STORE, "unknown = \"1s\""), Folder::new(STORE, ""));
    other.reconfigure(STORE, &format!("sqlite:{}", folder.path("windlass.db").display()));
    folder.script("here", "true");
    other.script("there", "echo ran >>ran");
    other.script("busy", "echo began >>began; until [ -e free ]; do sleep 0.02; done");
    let lines = |name: &str| other.read(name).lines().count();
    // Its processors are busy, so that every job comes here.
    let there = ready(&other);
    (0..2).for_each(|_| other.enqueue(&["busy"]));
    eventually("the other instance is busy", || lines("began") == 2);
    let here = ready(&folder);
    (0..20).for_each(|_| folder.enqueue(&["there", "--foreign", "--queue", "default"]));
    here.wait_log("no task here is called \"there\", but instance ");
    let all_delayed = || {
        let times = folder.json(&["delayed"]);
        times["jobs"].as_array().is_some_and(|jobs| jobs.len() == 20)
    };
    // They fail from `unknown` on if nobody has them: the passing of time is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(4));
    eventually("all are put off", all_delayed);
    assert_eq!((failed(&folder).as_str(), lines("ran")), (r#"{"count":0}"#, 0));
    // They come back here, too, unless this instance is gone.
    here.stop();
    fs::write(other.path("free"), "").unwrap();
    // Nothing is left to it if all are due by now.
    folder.windlass(&["delayed", "run", "--queue", "default", "--yes"]);
    eventually("the other instance runs all", || lines("ran") == 20);
    assert_eq!(failed(&folder), r#"{"count":0}"#);
    there.stop();
}

#[test]
fn the_tick_of_a_periodic_task_whose_file_is_gone_does_not_fail() {
    let folder = Folder::new(STORE, "unknown = \"1s\"");
    folder.script("ticks", "echo ran >>ran");
    folder.script("note", "echo done >>notes");
    let file = folder.path("tasks.d/ticks.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("frequency = \"1s\"\n{text}")).unwrap();
    let daemon = ready(&folder);
    eventually("it ticks", || folder.path("ran").exists());
    fs::remove_file(&file).unwrap();
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("no instance has the periodic task \"ticks\" any more");
    // After this time it failed.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(failed(&folder), r#"{"count":0}"#);
    fs::write(&file, format!("frequency = \"1s\"\n{}", text.replace("ran", "again"))).unwrap();
    signal(daemon.parent(), Signal::HUP);
    eventually("it ticks again", || daemon.log().matches("reloaded: ").count() >= 2);
    daemon.stop();
}

#[test]
fn a_daemon_that_looks_at_its_files_reloads_what_is_right_and_tells_once_what_is_not() {
    let folder = Folder::new(STORE, "reload = \"auto\"");
    folder.script("note", "echo done >>notes");
    let daemon = ready(&folder);
    folder.script("more", "echo more >>mores");
    daemon.wait_log("reloaded: new tasks more");
    said(&folder, &["enqueue", "more"]);
    eventually("it runs", || folder.path("mores").exists());
    fs::write(folder.path("tasks.d/broken.toml"), BROKEN).unwrap();
    daemon.wait_log("the reload is refused and nothing was changed");
    said(&folder, &["enqueue", "note"]);
    eventually("the others go on", || folder.path("notes").exists());
    fs::write(folder.path("tasks.d/broken.toml"), BROKEN.replace("soon", "1m")).unwrap();
    daemon.wait_log("reloaded: new tasks broken");
    assert_eq!(daemon.log().matches("the reload is refused").count(), 1, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn commands_go_on_where_a_mistake_of_the_configuration_leaves_no_doubt_what_they_work_on() {
    let folder = Folder::new(STORE, "timeuot = \"5s\"");
    folder.script("note", "true");
    fs::write(folder.path("tasks.d/broken.toml"), BROKEN).unwrap();
    for args in [
        &["enqueue", "note"][..],
        &["queues"],
        &["failed"],
        &["details"],
        &["workers"],
        &["stats"],
        &["jobs", "list"],
        &["delayed"],
        &["plan"],
        &["queues", "pause", "default"],
    ] {
        let said = said(&folder, args);
        assert!(said.contains("timeuot: unknown key; did you mean \"timeout\"?"), "{args:?}: {said}");
        assert!(said.contains("this command goes on"), "{args:?}: {said}");
    }
    let explained = folder.windlass(&["explain"]);
    assert!(explained.0 != Some(64) && explained.1.contains("this command goes on"), "{explained:?}");
    let checked = folder.windlass(&["check"]);
    assert_eq!(checked.0, Some(64));
    assert!(
        checked.1.contains("timeuot: unknown key") && checked.1.contains("broken.toml:2:11: timeout"),
        "{checked:?}"
    );
    for args in [&["run"][..], &["perform", "note"]] {
        let (code, said) = folder.windlass(args);
        assert!(code == Some(64) && said.contains("timeuot") && !said.contains("goes on"), "{args:?} {code:?} {said}");
    }
    folder.reconfigure("timeuot = \"5s\"", "naemspace = \"mine\"");
    for args in [&["queues"][..], &["enqueue", "note"]] {
        let (code, said) = folder.windlass(args);
        assert!(code == Some(64) && said.contains("which store or which tasks are meant"), "{args:?} {code:?} {said}");
    }
}
