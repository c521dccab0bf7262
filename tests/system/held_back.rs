//! What holds jobs back shows wherever people look: pauses, attempts that will be repeated, names that do not exist.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::{Folder, eventually, signal};
use crate::place::Place;
use crate::support::redis::{Options, RedisServer};

fn json_of(folder: &Folder, args: &[&str]) -> Value {
    let (code, said) = folder.windlass(&[args, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?} ended with {code:?}, {error}: {said}"))
}

#[test]
fn an_instance_that_was_paused_or_drains_says_so_in_every_view() {
    pause(&Folder::new("sqlite:store.db", ""));
}

#[test]
fn the_same_holds_on_redis() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    pause(&Folder::new(&server.url(), ""));
}

fn pause(folder: &Folder) {
    folder.script("wait", "echo begun >>begun; while [ ! -e end ]; do sleep 0.05; done");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let views: [&[&str]; 4] = [&["details"], &["workers"], &["queues"], &["health"]];
    assert_eq!(folder.windlass(&["enqueue", "wait"]).0, Some(0));
    eventually("a job runs", || folder.read("begun") == "begun\n");
    for view in views {
        let said = folder.windlass(view).1;
        assert!(!said.contains("paused") && !said.contains("draining"), "{view:?}: {said}");
        assert_eq!(json_of(folder, view).get("halted"), None);
    }

    signal(daemon.parent(), Signal::USR2);
    eventually("the store knows", || json_of(folder, &["workers"]).get("halted").is_some());
    for view in views {
        let (code, said) = folder.windlass(view);
        let next = format!("is paused and claims nothing; to resume it: kill -CONT {} # on ", daemon.proper());
        assert!(code == Some(0) && said.contains(&next), "{view:?}: {said}");
        let halted = &json_of(folder, view)["halted"];
        assert_eq!((&halted[0]["state"], &halted[0]["pid"]), (&json!("paused"), &json!(daemon.proper())), "{view:?}");
    }
    let said = folder.windlass(&["workers"]).1;
    assert!(said.contains("(idle, paused)") && said.contains("wait (paused)"), "{said}");
    assert_eq!(json_of(folder, &["workers"])["workers"][0]["state"], json!("paused"));
    assert!(folder.windlass(&["health"]).1.contains(" works, but is paused\n"));

    signal(daemon.parent(), Signal::CONT);
    eventually("it is over", || json_of(folder, &["details"]).get("halted").is_none());
    signal(daemon.proper(), Signal::TERM);
    eventually("the store knows", || json_of(folder, &["details"])["halted"][0]["state"] == "draining");
    assert!(folder.windlass(&["queues"]).1.contains(" is draining and claims nothing\n"));
    fs::write(folder.path("end"), "").expect("one's own file must be writable");
    daemon.stop();
    assert_eq!(json_of(folder, &["details"]).get("halted"), None);
}

#[test]
fn pauses_of_queues_show_in_every_view() {
    let folder = Folder::new("sqlite:store.db", "");
    folder.script("t", "true");
    assert_eq!(folder.windlass(&["enqueue", "t"]).0, Some(0));
    assert_eq!(folder.windlass(&["queues", "pause", "default"]).0, Some(0));
    for view in [["details"], ["workers"], ["queues"]] {
        let said = folder.windlass(&view).1;
        assert!(said.contains("paused") && said.contains("default"), "{view:?}: {said}");
    }
    let details = json_of(&folder, &["details"]);
    assert_eq!((&details["paused_queues"], &details["queues"][0]["paused"]), (&json!(["default"]), &json!(true)));
    assert_eq!(folder.windlass(&["queues", "pause", "--all"]).0, Some(0));
    for view in [["details"], ["workers"], ["queues"], ["health"]] {
        let said = folder.windlass(&view).1;
        assert!(said.contains("all queues are paused; resume them: windlass queues resume --all"), "{view:?}: {said}");
    }
    assert_eq!(json_of(&folder, &["health"])["all_paused"], json!(true));
}

#[test]
fn an_attempt_that_will_be_repeated_is_a_warning_and_a_job_put_off_is_told() {
    let folder = Folder::new("sqlite:store.db", "");
    folder.script("flaky", "exit 3");
    let task = folder.path("tasks.d/flaky.toml");
    let retry = "plugins = [\"Retry\"]\nplugin_options.Retry = { retry_limit = 3, retry_delay = \"1h\" }\n";
    let text = fs::read_to_string(&task).unwrap().replace("[run]", &format!("{retry}[run]"));
    fs::write(&task, text).unwrap();
    folder.script("busy", "exit 75");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "flaky"]).0, Some(0));
    assert_eq!(folder.windlass(&["enqueue", "busy"]).0, Some(0));
    daemon.wait_log("job retry");
    daemon.wait_log("job later");
    let log = daemon.log();
    let line = |what: &str| log.lines().find(|line| line.contains(what)).unwrap().to_owned();
    let retry = line("job retry");
    for part in [" - warning: ", "class=flaky", "exited with 3", "attempt 1 of 3 failed; it runs again in 1h, at 20"] {
        assert!(retry.contains(part), "{part}: {retry}");
    }
    let later = line("job later");
    for part in [" - info: ", "class=busy", "its handler said later, time 1; it runs again in 30s, at 20"] {
        assert!(later.contains(part), "{part}: {later}");
    }
    let delayed = json_of(&folder, &["delayed"]);
    let of =
        |class: &str| delayed["jobs"].as_array().unwrap().iter().find(|job| job["class"] == class).unwrap().clone();
    let (flaky, busy) = (of("flaky"), of("busy"));
    assert_eq!((&flaky["failed_attempts"], &flaky["last_error"]), (&json!(1), &json!("ExitStatus: exited with 3")));
    assert_eq!(busy.get("failed_attempts"), None);
    assert!(folder.windlass(&["delayed"]).1.contains("1  ExitStatus: exited with 3"));
    assert!(!log.contains("working job"), "a job that begins is a detail: {log}");
    daemon.stop();
}

#[test]
fn a_filter_by_a_name_that_does_not_exist_ends_with_1_and_the_nearest_name() {
    let place = Place::new();
    let filters: [&[&str]; 15] = [
        &["failed", "count", "--task", "sendMial"],
        &["failed", "groups", "--task", "sendMial"],
        &["failed", "export", "--task", "sendMial"],
        &["failed", "list", "--task", "sendMial"],
        &["history", "--task", "sendMial"],
        &["jobs", "cancel", "--task", "sendMial", "--running"],
        &["jobs", "list", "--task", "sendMial"],
        &["failed", "retry", "--task", "sendMial"],
        &["plan", "--task", "sendMial"],
        &["jobs", "delete", "sendMial", "--args", "[]"],
        &["jobs", "delete", "sendMial", "--queue", "mail", "--args", "[]"],
        &["jobs", "delete", "sendMial", "--queue", "mail", "--any-args", "--yes"],
        &["delayed", "find", "sendMial", "--args", "[]"],
        &["delayed", "delete", "sendMial", "--queue", "mail", "--any-args", "--yes"],
        &["tasks", "show", "sendMial"],
    ];
    for filter in filters {
        let ended = place.run(filter);
        assert!(ended.code == 1 && ended.stderr.contains("did you mean \"sendMail\"?"), "{filter:?}: {ended:?}");
    }
    place.run(&["enqueue", "add"]).done();
    let ended = place.run(&["jobs", "delete", "add", "--queue", "maths", "--args", "[]"]);
    assert!(ended.code == 1 && ended.stderr.contains("did you mean \"math\"?"), "{ended:?}");
    assert_eq!(place.run(&["failed", "retry", "--task", "sendMail", "--yes"]).done(), "retried 0 jobs\n");
    assert_eq!(
        place.run(&["jobs", "delete", "sendMail", "--args", "[]"]).done(),
        "deleted 0 jobs of sendMail from mail\n"
    );
    // Other programs have classes that no file here defines.
    place.run(&["enqueue", "Ruby", "--foreign", "--queue", "ruby"]).done();
    assert_eq!(
        place.run(&["jobs", "delete", "Ruby", "--queue", "ruby", "--args", "[]"]).done(),
        "deleted 1 job of Ruby from ruby\n"
    );
}
