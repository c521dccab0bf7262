//! What `explain` prints is typed as it stands, and mends what it stands at.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
use crate::engines::on_both;

/// The command that stands at a cause of bare `explain`, if it is told.
fn command(folder: &Folder, cause: &str) -> Option<String> {
    let (_, answer) = folder.document(&["explain"]);
    let findings = answer["findings"].as_array().cloned().unwrap_or_default();
    let found: Option<Value> = findings.into_iter().find(|one| one["cause"] == cause);
    found.map(|one| one["command"].as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn wait_for(folder: &Folder, cause: &str) -> String {
    let mut told = None;
    eventually(cause, || {
        told = command(folder, cause);
        told.is_some()
    });
    told.expect("just told")
}

/// Types a command that only sends a signal.
fn kill(command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let &["kill", name, pid] = &words[..] else { panic!("{command}") };
    let named = match name {
        "-CONT" => Signal::CONT,
        "-HUP" => Signal::HUP,
        _ => panic!("{command}"),
    };
    signal(pid.parse().expect("a process id"), named);
}

#[test]
fn a_refused_reload_is_told_until_the_files_are_right() {
    on_both(|folder| {
        folder.script("note", "true");
        let daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        assert_eq!(command(folder, "reload_refused"), None);
        fs::write(folder.path("tasks.d/bad.toml"), "name = \"bad\"\n[run]\nexec = 7\n").expect("it must be written");
        signal(daemon.parent(), Signal::HUP);
        let told = wait_for(folder, "reload_refused");
        let (_, said) = folder.windlass(&["health"]);
        assert!(said.contains("works by older files since ") && said.contains("bad.toml"), "{said}");
        fs::remove_file(folder.path("tasks.d/bad.toml")).expect("it is ours");
        kill(told.strip_prefix("windlass check && ").expect("the files are checked first"));
        eventually("it is over", || command(folder, "reload_refused").is_none());
        daemon.stop();
    });
}

#[test]
fn where_nobody_leads_the_command_begins_one_that_does() {
    on_both(|folder| {
        folder.reconfigure("scheduler = true", "scheduler = false");
        folder.script("note", "true");
        let daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        let told = wait_for(folder, "no_leader");
        let args: Vec<&str> = told.split(' ').skip(1).collect();
        let leader = folder.start(folder.command(&args), "leader");
        eventually("somebody leads", || command(folder, "no_leader").is_none());
        leader.stop();
        daemon.stop();
    });
}

#[test]
fn queues_of_the_command_line_are_not_to_be_changed_in_the_configuration() {
    on_both(|folder| {
        folder.script("note", "true");
        let daemon = folder.start(folder.command(&["run", "--queues", "high"]), "log");
        daemon.wait_log("[ worker ] started");
        folder.enqueue(&["note"]);
        let told = wait_for(folder, "no_processor_for_queue");
        assert_eq!(told, "windlass run --queues high,default");
        folder.reconfigure("queues = [\"default\"]", "queues = [\"default\", \"high\"]");
        signal(daemon.parent(), Signal::HUP);
        daemon.wait_log("--queues of the command line overrides it");
        daemon.stop();
        let args: Vec<&str> = told.split(' ').skip(1).collect();
        let daemon = folder.start(folder.command(&args), "second");
        eventually("the job is done", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
        daemon.stop();
    });
}

#[test]
fn a_stopped_daemon_is_named_also_when_its_registration_is_gone() {
    on_both(|folder| {
        folder.script("note", "true");
        let (stopped, other) = (folder.daemon_with_log("stopped"), folder.daemon_with_log("other"));
        stopped.wait_log("[ worker ] started");
        other.wait_log("[ worker ] started");
        let proper = stopped.proper();
        signal(proper, Signal::STOP);
        assert_eq!(wait_for(folder, "instance_silent"), format!("kill -CONT {proper}"));
        let unregistered = || folder.document(&["health"]).1["unregistered"][0]["pid"] == proper;
        eventually("its registration is gone", unregistered);
        let (code, said) = folder.windlass(&["health"]);
        assert!(code == Some(1) && said.contains(&format!("kill -CONT {proper}")), "{code:?}: {said}");
        kill(&wait_for(folder, "instance_silent"));
        eventually("both work", || folder.windlass(&["health"]).0 == Some(0));
        eventually("nothing is silent", || command(folder, "instance_silent").is_none());
        other.stop();
        stopped.stop();
    });
}
