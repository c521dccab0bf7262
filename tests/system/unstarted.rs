//! Jobs that cannot begin: their program is missing, or no task has their name. They are put off, and nothing is counted.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::daemon::{Daemon, Folder, eventually, signal};

const JOBS: usize = 40;

/// Notes the job on its standard input.
const NOTE: &str = "#!/bin/sh
read -r job
echo \"$WINDLASS_JOB_ID $WINDLASS_ATTEMPT ${job#*'\"redelivered\":'}\" >>notes
";

/// The same as a child that serves one job at a time.
const WORKER: &str = "#!/usr/bin/env python3
import json, sys
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message['method'] == 'perform':
        job = message['params']
        open('notes', 'a').write(f\"{job['id']} {job['attempt']} {job['redelivered']}}}\\n\")
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': None}), flush=True)
";

fn write(folder: &Folder, name: &str, text: &str, mode: u32) {
    let path = folder.path(&format!("tasks.d/{name}"));
    // In one step, so that no half of it is started.
    let new = folder.path("new");
    fs::write(&new, text).expect("the file must be written");
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("one's own file must be changeable");
    fs::rename(new, path).expect("the file must be moved");
}

fn task(folder: &Folder, name: &str, text: &str) {
    write(folder, &format!("{name}.toml"), &format!("name = \"{name}\"\n{text}\n"), 0o644);
}

fn notes(folder: &Folder) -> Vec<String> {
    folder.read("tasks.d/notes").lines().map(str::to_owned).collect()
}

#[track_caller]
fn enqueue(folder: &Folder, task: &str, times: usize) -> String {
    let jobs = folder.path("jobs");
    fs::write(&jobs, format!("{{\"task\":\"{task}\"}}\n").repeat(times)).expect("the jobs must be written");
    let (code, said) = folder.windlass(&["enqueue", "--bulk", jobs.to_str().expect("the path is text")]);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn failed(folder: &Folder) -> String {
    folder.windlass(&["--json", "failed", "list"]).1
}

/// A daemon with the task `job` over `program`, and the task `other`.
fn start(run: &str, more: &str) -> (Folder, Daemon) {
    let folder = Folder::new("sqlite:store.db", more);
    write(&folder, "note", NOTE, 0o755);
    write(&folder, "worker", WORKER, 0o755);
    task(&folder, "job", run);
    folder.script("other", "echo done >>other");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    (folder, daemon)
}

/// Jobs are enqueued and tried while `break_it` was done, and all run when `mend` was.
#[track_caller]
fn passes(run: &str, break_it: impl Fn(&Folder), mend: impl Fn(&Folder)) {
    let (folder, daemon) = start(run, "");
    break_it(&folder);
    enqueue(&folder, "job", JOBS);
    daemon.wait_log("no job of task \"job\" can begin");
    enqueue(&folder, "other", 1);
    eventually("jobs of other tasks pass", || folder.path("other").exists());
    assert_eq!(notes(&folder), [""; 0]);
    mend(&folder);
    eventually("all are run", || notes(&folder).len() >= JOBS);
    daemon.wait_log("jobs of task \"job\" begin again");
    let log = daemon.log();
    daemon.stop();
    assert!(folder.windlass(&["--json", "stats"]).1.contains("\"failed\":0"), "{log}");
    let mut notes = notes(&folder);
    assert!(notes.iter().all(|note| note.ends_with(" 1 0}")), "nothing is counted: {notes:?}");
    notes.sort_unstable();
    notes.dedup();
    assert_eq!(notes.len(), JOBS, "each once");
    assert_eq!(log.matches("no job of task \"job\" can begin").count(), 1, "it is told once: {log}");
}

fn remove(name: &'static str) -> impl Fn(&Folder) {
    move |folder| fs::remove_file(folder.path(&format!("tasks.d/{name}"))).expect("it was there")
}

fn restore(name: &'static str, text: &'static str) -> impl Fn(&Folder) {
    move |folder| write(folder, name, text, 0o755)
}

#[test]
fn jobs_whose_program_is_missing_for_a_while_are_run_when_it_is_there() {
    passes("[run]\nexec = [\"./note\"]", remove("note"), restore("note", NOTE));
}

#[test]
fn jobs_whose_program_lost_its_rights_or_its_interpreter_are_run_later() {
    let run = "[run]\nexec = [\"./note\"]";
    passes(run, |folder| write(folder, "note", NOTE, 0o644), restore("note", NOTE));
    passes(run, |folder| write(folder, "note", "#!/no/such/interpreter\n", 0o755), restore("note", NOTE));
}

#[test]
fn jobs_that_the_shim_cannot_start_are_run_later() {
    passes("[run]\nexec = [\"./note\"]\numask = \"022\"", remove("note"), restore("note", NOTE));
}

#[test]
fn jobs_whose_child_dies_before_it_is_ready_are_run_later() {
    let run = "[run]\nrpc = [\"./worker\"]\nprocesses = 1";
    passes(run, |folder| write(folder, "worker", "#!/bin/sh\nexit 3\n", 0o755), restore("worker", WORKER));
}

#[test]
fn jobs_whose_plugin_is_missing_before_the_run_are_run_later() {
    let (folder, daemon) = start("[run]\nexec = [\"./note\"]", "");
    daemon.stop();
    write(&folder, "policy", "#!/bin/sh\nexit 0\n", 0o755);
    let plugin = "plugins = [{ exec = [\"./policy\"], hooks = [\"before_perform\"] }]";
    let run = format!("{plugin}\n[run]\nexec = [\"./note\"]");
    task(&folder, "job", &run);
    let daemon = folder.daemon_with_log("log2");
    daemon.wait_log("[ worker ] started");
    remove("policy")(&folder);
    enqueue(&folder, "job", 3);
    daemon.wait_log("no job of task \"job\" can begin");
    restore("policy", "#!/bin/sh\nexit 0\n")(&folder);
    eventually("all are run", || notes(&folder).len() == 3);
    daemon.stop();
    assert!(folder.windlass(&["--json", "stats"]).1.contains("\"failed\":0"));
}

#[test]
fn a_program_that_stays_away_fails_its_jobs_when_its_time_is_over() {
    for (setting, waits) in [("unstarted = \"fail\"", false), ("unstarted = \"2s\"", true)] {
        let (folder, daemon) = start("[run]\nexec = [\"./note\"]", setting);
        remove("note")(&folder);
        let said = enqueue(&folder, "job", 2);
        assert!(
            said.contains("no job of task \"job\" can begin at the moment: ") && said.contains("2 enqueued"),
            "{said}"
        );
        eventually("they fail", || failed(&folder).contains("\"count\":2"));
        assert!(failed(&folder).contains("there is no such program"), "{}", failed(&folder));
        let told = ["no job of task \"job\" can begin: ", "no job of task \"job\" could begin for 2s"];
        assert!(told.iter().all(|text| daemon.log().matches(text).count() == usize::from(waits)), "{}", daemon.log());
        daemon.stop();
    }
}

#[test]
fn a_task_whose_program_or_folder_is_missing_can_be_enqueued_and_is_a_problem_of_check_and_run() {
    let folder = Folder::new("sqlite:store.db", "");
    task(&folder, "job", "[run]\nexec = [\"./gone\"]");
    task(&folder, "homeless", "[run]\nexec = [\"true\"]\ncwd = \"gone\"");
    task(&folder, "wrong", "[run]\nexec = [\"./gone\"]\ncolour = 1");
    for name in ["job", "homeless"] {
        let (code, said) = folder.windlass(&["enqueue", name]);
        assert!(code == Some(0) && said.contains("can begin at the moment") && said.contains("enqueued"), "{said}");
    }
    let (code, said) = folder.windlass(&["enqueue", "wrong"]);
    let mistakes = "task \"wrong\" cannot be used, because its file has mistakes";
    assert!(code == Some(64) && said.contains(mistakes), "{said}");
    for verb in ["check", "run"] {
        let (code, said) = folder.windlass(&[verb]);
        assert!(code == Some(64), "{verb}: {said}");
        assert!(said.contains("a program that exists") && said.contains("a folder that exists"), "{verb}: {said}");
    }
}

#[test]
fn a_job_of_a_class_that_is_not_known_yet_waits_for_the_reload_that_brings_it() {
    let (folder, daemon) = start("[run]\nexec = [\"./note\"]", "");
    let (code, said) = folder.windlass(&["enqueue", "new", "--foreign", "--queue", "default"]);
    assert_eq!(code, Some(0), "{said}");
    daemon.wait_log("no task here is called \"new\"");
    folder.script("new", "echo $WINDLASS_ATTEMPT >>new");
    signal(daemon.parent(), Signal::HUP);
    eventually("it is run", || folder.read("new") == "1\n");
    assert!(failed(&folder).contains("\"count\":0"));
    daemon.stop();
}

#[test]
fn jobs_that_failed_for_an_unknown_class_are_retried_alone() {
    let (folder, daemon) = start("[run]\nexec = [\"./note\"]", "unknown = \"fail\"");
    folder.script("bad", "exit 1");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("new tasks bad");
    enqueue(&folder, "bad", 1);
    let (code, said) = folder.windlass(&["enqueue", "new", "--foreign", "--queue", "default"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("both fail", || failed(&folder).contains("\"count\":2"));
    assert!(failed(&folder).contains("No job defined for class \\\"new\\\""), "{}", failed(&folder));
    folder.script("new", "echo $WINDLASS_ATTEMPT >>new");
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("new tasks new");
    let (code, said) = folder.windlass(&["failed", "retry", "--unknown", "--yes"]);
    assert!(code == Some(0) && said.contains("retried 1 job"), "{said}");
    eventually("it is run", || !folder.read("new").is_empty());
    assert!(failed(&folder).contains("\"count\":1"));
    daemon.stop();
}
