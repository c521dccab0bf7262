//! Jobs that enqueue jobs: the follow-up goes where the daemon works, or nowhere.

use std::fs;

use crate::daemon::{BINARY, Folder, eventually};
use crate::support::redis::{Options, RedisServer};

/// The address of the store in the configuration, which is not the daemon's.
const ELSEWHERE: &str = "sqlite:elsewhere.db";

/// A folder with a task that enqueues another one, and runs this first.
fn chain(before: &str) -> Folder {
    let folder = Folder::new(ELSEWHERE, "");
    folder.script("first", &format!("{before} {BINARY} enqueue second >said 2>&1; echo $? >code"));
    folder.script("second", "echo ran >>second");
    folder
}

/// Runs the first task on a daemon that was told this store by its environment, as a container's is.
fn run_first(folder: &Folder, store: &str) {
    let mut command = folder.command(&["run"]);
    command.env("WINDLASS_STORE_URL", store);
    let daemon = folder.start(command, "log");
    let enqueued = folder.command(&["--store", store, "enqueue", "first"]).status();
    assert!(enqueued.is_ok_and(|status| status.success()));
    eventually("the first job has ended", || folder.path("code").exists() && folder.read("code").ends_with('\n'));
    if folder.read("code").trim() == "0" {
        eventually("the follow-up runs", || folder.path("second").exists());
    }
    daemon.stop();
    assert!(!folder.path("elsewhere.db").exists(), "nothing may go to the store of the file");
}

#[test]
fn what_a_job_enqueues_goes_where_its_daemon_works() {
    let folder = chain("");
    let store = format!("sqlite:{}", folder.path("jobs.db").display());
    run_first(&folder, &store);
    assert_eq!((folder.read("code").trim(), folder.read("second").trim()), ("0", "ran"), "{}", folder.read("said"));
}

#[test]
fn the_same_holds_on_redis_with_a_password_that_no_job_gets() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    server.command(&["ACL", "SETUSER", "worker", "on", ">a-secret-word", "~*", "&*", "+@all"]);
    let store = server.url().replacen("://", "://worker:a-secret-word@", 1);
    let folder = chain("env >environment;");
    run_first(&folder, &store);
    assert_eq!((folder.read("code").trim(), folder.read("second").trim()), ("0", "ran"), "{}", folder.read("said"));
    assert!(!folder.read("environment").contains("a-secret-word"));
}

#[test]
fn a_follow_up_without_a_daemon_that_answers_is_refused() {
    let folder = chain("WINDLASS_DAEMON=nobody");
    let store = format!("sqlite:{}", folder.path("jobs.db").display());
    run_first(&folder, &store);
    let said = folder.read("said");
    assert_eq!(folder.read("code").trim(), "69", "{said}");
    assert!(said.contains("the daemon of the job does not say where it works") && said.contains("--store"), "{said}");
    assert!(!folder.path("second").exists());
}

#[test]
fn a_store_or_a_configuration_that_is_named_is_taken() {
    let other = Folder::new("sqlite:other.db", "");
    other.script("second", "true");
    let config = other.path("tasks.toml");
    let folder = Folder::new(ELSEWHERE, "");
    folder.script("first", &format!("{BINARY} --config {} enqueue second >said 2>&1; echo $? >code", config.display()));
    folder.script("second", "echo ran >>second");
    let mut command = folder.command(&["run"]);
    command.env("WINDLASS_STORE_URL", format!("sqlite:{}", folder.path("jobs.db").display()));
    let daemon = folder.start(command, "log");
    let store = format!("sqlite:{}", folder.path("jobs.db").display());
    assert!(folder.command(&["--store", &store, "enqueue", "first"]).status().is_ok_and(|status| status.success()));
    eventually("the job has ended", || folder.path("code").exists() && folder.read("code").ends_with('\n'));
    daemon.stop();
    assert_eq!(folder.read("code").trim(), "0", "{}", folder.read("said"));
    assert!(other.windlass(&["queues"]).1.contains("default"), "it is on the other store");
    assert!(!folder.path("second").exists());
}

#[test]
fn a_task_that_is_tried_out_enqueues_where_the_command_was_led_to() {
    let folder = chain("");
    let store = format!("sqlite:{}", folder.path("jobs.db").display());
    assert_eq!(folder.windlass(&["--store", &store, "perform", "first"]).0, Some(0));
    assert_eq!(folder.read("code").trim(), "0", "{}", folder.read("said"));
    assert!(folder.windlass(&["--store", &store, "queues"]).1.contains("default"));
    assert!(!fs::exists(folder.path("elsewhere.db")).unwrap());
}
