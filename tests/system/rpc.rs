//! Children that serve many jobs, with the real binary: the workers of examples/handlers, and what happens when one dies.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use windlass::process::sweep;

use crate::daemon::{Daemon, Folder, eventually, signal};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/handlers");

/// A worker that holds its jobs until there is a file `gate`, and says which it holds; one of ["die"] kills it.
const HOLDING: &str = "#!/usr/bin/env python3
import json, os, sys, time
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
open('pids', 'a').write(f'{os.getpid()}\\n')
held, rest = [], b''
os.set_blocking(0, False)
while True:
    try:
        chunk = os.read(0, 65536)
        if not chunk: break
        *lines, rest = (rest + chunk).split(b'\\n')
        for message in map(json.loads, lines):
            if message['method'] == 'perform':
                held.append(message)
                open('held', 'a').write(message['params']['id'] + '\\n')
            elif os.path.exists('heed'):
                ours = [one for one in held if one['id'] == message['params']['id']]
                held = [one for one in held if one not in ours]
                for one in ours: print(json.dumps({'jsonrpc':'2.0','id':one['id'],'error':{'message':'cancelled'}}), flush=True)
    except BlockingIOError:
        time.sleep(0.01)
    if os.path.exists('gate'):
        for one in held:
            open('done', 'a').write(f\"{one['params']['id']} {one['params']['redelivered']}\\n\")
            print(json.dumps({'jsonrpc':'2.0','id':one['id'],'result':None}), flush=True)
        held = []
";

fn folder(program: &str, more: &str, keys: &str) -> Folder {
    with_worker("worker", program, more, keys)
}

/// A worker of the examples under its own name, by which Node.js knows what kind of module it is.
fn with_example(file: &str, more: &str, keys: &str) -> Folder {
    let program = fs::read_to_string(Path::new(EXAMPLES).join(file)).expect("the example must be there");
    with_worker(file, &program, more, keys)
}

fn with_worker(file: &str, program: &str, more: &str, keys: &str) -> Folder {
    let folder = Folder::new("sqlite:windlass.db", "");
    let path = folder.path(&format!("tasks.d/{file}"));
    fs::write(&path, program).expect("the program must be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
    let task = format!("name = \"job\"\n{keys}\n[run]\nrpc = [\"./{file}\"]\n{more}\n");
    fs::write(folder.path("tasks.d/job.toml"), task).expect("the task must be written");
    folder
}

#[track_caller]
fn enqueue(folder: &Folder, count: usize) {
    for n in 0..count {
        let (code, said) = folder.windlass(&["enqueue", "job", "--args", &format!("[{n}]")]);
        assert_eq!(code, Some(0), "{said}");
    }
}

fn lines(folder: &Folder, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.path(&format!("tasks.d/{name}"))).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn pids(folder: &Folder) -> Vec<u32> {
    lines(folder, "pids").iter().map(|pid| pid.parse().expect("a pid was written")).collect()
}

fn gate(folder: &Folder) {
    fs::write(folder.path("tasks.d/gate"), "").expect("the gate must be opened");
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    let output = folder.command(&[&["--json"], args].concat()).output().expect("the binary must run");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn alive(pid: u32) -> bool {
    sweep::start_ticks(pid).is_some_and(|ticks| sweep::is_alive(pid, ticks))
}

/// A worker of the examples performs, fails and puts off; its words are in the log, and it ends with its daemon.
fn example_works(file: &str, depth: usize, exception: &str) {
    let folder = with_example(file, &format!("depth = {depth}\nretry_later = \"1h\""), "");
    let performed = json(&folder, &["perform", "job", "--args", "[\"hello\", 1.0]"]);
    assert_eq!(performed["outcome"], "success", "{performed}");
    let performed = json(&folder, &["perform", "job", "--args", "[\"fail\"]"]);
    assert_eq!((&performed["outcome"], &performed["exception"]), (&json!("failure"), &json!(exception)), "{performed}");
    let performed = json(&folder, &["perform", "job", "--args", "[\"later\"]"]);
    assert_eq!((&performed["outcome"], &performed["delay_ms"]), (&json!("later"), &json!(3_600_000)), "{performed}");
    let daemon = folder.daemon();
    for args in ["[\"a\"]", "[\"fail\"]", "[\"later\"]", "[\"ü\\n\\\"\"]", "[]"] {
        let (code, said) = folder.windlass(&["enqueue", "job", "--args", args]);
        assert_eq!(code, Some(0), "{said}");
    }
    eventually("three are done", || daemon.log().matches("job success").count() == 3);
    eventually("one has failed", || json(&folder, &["failed", "count"])["count"] == 1);
    eventually("one is put off", || json(&folder, &["delayed"]).to_string().matches("\"later\"]").count() == 1);
    eventually("its words are told", || daemon.log().matches("performing ").count() == 5);
    let children: Vec<u32> = sweep::descendants(daemon.proper());
    assert_eq!(children.len(), 1, "one child has served them all");
    assert!(!daemon.log().contains("warn"), "{}", daemon.log());
    daemon.stop();
    assert!(!alive(children[0]));
}

#[test]
fn the_python_worker_works() {
    example_works("rpc_worker.py", 4, "ValueError");
}

#[test]
fn the_node_worker_works() {
    example_works("rpc-worker.mjs", 4, "TypeError");
}

#[test]
fn the_ruby_worker_works() {
    example_works("rpc_worker.rb", 4, "ArgumentError");
}

#[test]
fn the_shell_worker_works() {
    example_works("rpc-worker.sh", 1, "ExitStatus");
}

#[test]
fn a_cancelled_job_of_the_node_worker_ends_without_its_child() {
    let folder = with_example("rpc-worker.mjs", "depth = 2", "timeout = \"300ms\"");
    let daemon = folder.daemon();
    let (code, said) = folder.windlass(&["enqueue", "job", "--args", "[\"wait\"]"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("it has timed out", || json(&folder, &["failed", "count"])["count"] == 1);
    assert_eq!(json(&folder, &["failed", "list"])["failed"][0]["exception"], "Timeout");
    let child = sweep::descendants(daemon.proper());
    assert!(child.len() == 1 && !daemon.log().contains("killed"), "{}", daemon.log());
    daemon.stop();
}

/// A daemon with five processors whose child holds five jobs.
fn holding(more: &str, keys: &str) -> (Folder, Daemon) {
    let folder = folder(HOLDING, &format!("depth = 5\n{more}"), keys);
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 5\nmax_task_processors = 5",
    );
    let daemon = folder.daemon();
    enqueue(&folder, 5);
    eventually("the child holds all five", || lines(&folder, "held").len() == 5);
    (folder, daemon)
}

fn done_once_each(folder: &Folder, redelivered: usize) {
    eventually("all are done", || lines(folder, "done").len() >= 5);
    let done = lines(folder, "done");
    let mut ids: Vec<&str> = done.iter().filter_map(|line| line.split(' ').next()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((done.len(), ids.len()), (5, 5), "{done:?}");
    assert_eq!(done.iter().filter(|line| line.ends_with(" 1")).count(), redelivered, "{done:?}");
    assert_eq!(json(folder, &["failed", "count"])["count"], 0);
}

#[test]
fn a_killed_child_loses_none_of_its_jobs() {
    let (folder, daemon) = holding("", "");
    let child = pids(&folder)[0];
    signal(child, Signal::KILL);
    daemon.wait_log(&format!("child {child} was killed by signal 9 (SIGKILL) while it held 5 jobs"));
    gate(&folder);
    done_once_each(&folder, 5);
    daemon.stop();
}

#[test]
fn a_task_that_says_fail_gets_the_last_words() {
    let (folder, daemon) = holding("", "on_crash = \"fail\"");
    signal(pids(&folder)[0], Signal::KILL);
    eventually("all have failed", || json(&folder, &["failed", "count"])["count"] == 5);
    let failed = json(&folder, &["failed", "list"]);
    assert_eq!(failed["failed"][0]["exception"], "Crash");
    assert!(
        failed["failed"][0]["error"].as_str().is_some_and(|error| error.contains("killed by signal 9")),
        "{failed}"
    );
    gate(&folder);
    let (code, said) = folder.windlass(&["failed", "retry-stuck"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("they are found as stuck ones, and run", || lines(&folder, "done").len() == 5);
    daemon.stop();
}

#[test]
fn a_hanging_job_is_killed_with_its_child_and_the_others_go_on() {
    // It heeds no cancel, so that with the first that is over time all five are.
    let (folder, daemon) = holding("", "timeout = \"4s\"");
    eventually("all have timed out or were cut off", || {
        !json(&folder, &["failed", "list"])["failed"].as_array().unwrap().is_empty()
    });
    let failed = json(&folder, &["failed", "list"]);
    assert_eq!(failed["failed"][0]["exception"], "Timeout", "{failed}");
    gate(&folder);
    enqueue(&folder, 1);
    eventually("a new child goes on", || !lines(&folder, "done").is_empty());
    assert!(!alive(pids(&folder)[0]), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_reload_leaves_running_jobs_alone_and_replaces_children() {
    let (folder, daemon) = holding("", "");
    let old = pids(&folder)[0];
    signal(daemon.parent(), Signal::HUP);
    daemon.wait_log("reloaded: ");
    assert!(alive(old));
    gate(&folder);
    done_once_each(&folder, 0);
    eventually("the old child ends with its last job", || !alive(old));
    enqueue(&folder, 1);
    eventually("a new one takes the next", || lines(&folder, "done").len() == 6);
    assert_eq!(pids(&folder).len(), 2);
    daemon.stop();
    assert!(!pids(&folder).into_iter().any(alive));
}

#[test]
fn a_drain_lets_jobs_end_and_cancels_those_that_do_not() {
    let (folder, mut daemon) = holding("", "");
    fs::write(folder.path("tasks.d/heed"), "").expect("a file must be written");
    signal(daemon.parent(), Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("drained: everything is settled"), "{}", daemon.log());
    assert!(!daemon.log().contains("killed"), "{}", daemon.log());
    assert!(!alive(pids(&folder)[0]));
    gate(&folder);
    let daemon = folder.daemon();
    done_once_each(&folder, 5);
    daemon.stop();
}

#[test]
fn kill_9_of_the_daemon_takes_the_children_along_and_loses_no_job() {
    let (folder, mut daemon) = holding("", "");
    let child = pids(&folder)[0];
    signal(daemon.proper(), Signal::KILL);
    assert_eq!(daemon.wait().code(), Some(128 + 9), "{}", daemon.log());
    assert!(!alive(child));
    gate(&folder);
    let daemon = folder.daemon();
    done_once_each(&folder, 5);
    daemon.stop();
}

#[test]
fn a_child_that_never_gets_ready_fails_its_job_by_name() {
    let folder = folder("#!/bin/sh\necho no database >&2\nexit 3\n", "", "");
    folder.reconfigure("scheduler = true", "scheduler = true\nunstarted = \"fail\"");
    let daemon = folder.daemon();
    enqueue(&folder, 1);
    eventually("it has failed", || json(&folder, &["failed", "count"])["count"] == 1);
    let failed = &json(&folder, &["failed", "list"])["failed"][0];
    assert_eq!(failed["exception"], "SpawnError", "{failed}");
    assert!(
        failed["error"].as_str().is_some_and(|error| error.ends_with("exited with 3 before it was ready")),
        "{failed}"
    );
    assert!(daemon.log().contains("no database"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_periodic_task_may_be_served_by_a_child() {
    let program = fs::read_to_string(Path::new(EXAMPLES).join("rpc_worker.py")).expect("the example must be there");
    let folder = folder(&program, "", "frequency = \"1s\"");
    let daemon = folder.daemon();
    eventually("two ticks are done", || daemon.log().matches("job success").count() >= 2);
    assert_eq!(sweep::descendants(daemon.proper()).len(), 1);
    daemon.stop();
}
