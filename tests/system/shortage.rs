//! A daemon that is short of file descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::daemon::{Daemon, Folder, eventually};
use crate::http::server::{Server, answer};

/// As many processors as find no descriptors below [`FILES`].
const MANY: &str = "min_task_processors = 30\nmax_task_processors = 30";
/// Enough for the daemon, and for a few jobs.
const FILES: u32 = 44;
const JOBS: usize = 60;

fn folder() -> Folder {
    let folder = Folder::new("sqlite:store.db", "");
    folder.reconfigure("min_task_processors = 2\nmax_task_processors = 2", MANY);
    folder
}

/// The daemon with limits of open files.
fn run(folder: &Folder, limits: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\""));
    let command = folder.command(&["run"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_remove("WINDLASS_STORE_URL").stdin(Stdio::null());
    shell
}

/// The daemon with a limit that it cannot raise.
fn run_short(folder: &Folder) -> Daemon {
    folder.start(run(folder, &format!("ulimit -n {FILES}")), "log")
}

fn task(folder: &Folder, text: &str) {
    fs::write(folder.path("tasks.d/job.toml"), format!("name = \"job\"\n{text}\n")).expect("the task must be written");
}

fn program(folder: &Folder, name: &str, text: &str) {
    let path = folder.path(&format!("tasks.d/{name}"));
    fs::write(&path, text).expect("the program must be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
}

#[track_caller]
fn enqueue(folder: &Folder) {
    let path = folder.path("jobs");
    fs::write(&path, "{\"task\":\"job\"}\n".repeat(JOBS)).expect("the jobs must be written");
    let (code, said) = folder.windlass(&["enqueue", "--bulk", path.to_str().expect("the path is text")]);
    assert_eq!(code, Some(0), "{said}");
}

/// Waits until all jobs were run, each once and on its first attempt; `notes` are a line of each run, id and redeliveries.
#[track_caller]
fn all_are_run_once(folder: &Folder, daemon: Daemon, notes: impl Fn() -> Vec<String>) {
    daemon.wait_log("is short of a resource");
    eventually("all are run", || notes().len() >= JOBS);
    let log = daemon.log();
    daemon.stop();
    let (_, stats) = folder.windlass(&["--json", "stats"]);
    assert!(stats.contains("\"failed\":0"), "{stats} {} {log}", folder.windlass(&["--json", "failed", "list"]).1);
    let mut notes = notes();
    assert!(notes.iter().all(|note| note.ends_with(" 0")), "no redelivery is counted: {notes:?}");
    notes.sort_unstable();
    notes.dedup();
    assert_eq!(notes.len(), JOBS, "each once");
    assert_eq!(log.matches("is short of a resource").count(), 1, "it is told once: {log}");
    assert!(!log.contains("redelivery"), "and not counted: {log}");
}

/// What the jobs' processes wrote.
fn notes(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.path("tasks.d/notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Notes the job on its standard input.
const NOTE: &str = "#!/bin/sh
read -r job
redelivered=${job#*'\"redelivered\":'}
sleep 0.2
echo \"$WINDLASS_JOB_ID ${redelivered%%[,\\}]*}\" >>notes
";

#[test]
fn jobs_that_find_no_descriptor_are_given_back_and_each_is_run_once() {
    let folder = folder();
    program(&folder, "note", NOTE);
    task(&folder, "[run]\nexec = [\"./note\"]");
    enqueue(&folder);
    let daemon = run_short(&folder);
    daemon.wait_log("30 processors need up to");
    all_are_run_once(&folder, daemon, || notes(&folder));
}

#[test]
fn jobs_whose_variables_and_status_find_no_descriptor_are_given_back() {
    let folder = folder();
    program(&folder, "note", NOTE);
    fs::write(folder.path("tasks.d/app.env"), "GREETING=hello\n").expect("the file must be written");
    let secret = folder.path("tasks.d/secret");
    fs::write(&secret, "hidden\n").expect("the file must be written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("one's own file must be changeable");
    let variables = "env_file = \"app.env\"\nenv = { SECRET = { file = \"secret\" } }";
    task(&folder, &format!("[run]\nexec = [\"./note\"]\nprogress = true\n{variables}"));
    enqueue(&folder);
    let daemon = run_short(&folder);
    all_are_run_once(&folder, daemon, || notes(&folder));
}

#[test]
fn jobs_whose_plugins_find_no_descriptor_are_given_back() {
    let folder = folder();
    program(&folder, "note", NOTE);
    program(&folder, "policy", "#!/bin/sh\nsleep 0.2\n");
    let plugin = "plugins = [{ exec = [\"./policy\"], hooks = [\"before_perform\", \"after_perform\"] }]";
    task(&folder, &format!("{plugin}\n[run]\nexec = [\"./note\"]"));
    enqueue(&folder);
    let daemon = run_short(&folder);
    all_are_run_once(&folder, daemon, || notes(&folder));
}

/// A child that serves one job at a time, slowly.
const WORKER: &str = "#!/usr/bin/env python3
import json, sys, time
print('{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}', flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message['method'] == 'perform':
        time.sleep(0.1)
        job = message['params']
        open('notes', 'a').write(f\"{job['id']} {job['redelivered']}\\n\")
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': None}), flush=True)
";

#[test]
fn jobs_whose_child_finds_no_descriptor_are_given_back() {
    let folder = folder();
    program(&folder, "worker", WORKER);
    task(&folder, "[run]\nrpc = [\"./worker\"]\nprocesses = 1\ndepth = 30");
    folder.script("first", "exit");
    let daemon = folder.daemon();
    let (code, said) = folder.windlass(&["enqueue", "first"]);
    assert_eq!(code, Some(0), "{said}");
    eventually("its descriptors are closed", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
    let limit = |files: u64| {
        let pid = Pid::from_raw(i32::try_from(daemon.proper()).expect("a pid is small"));
        let limit = Rlimit { current: Some(files), ..getrlimit(Resource::Nofile) };
        prlimit(pid, Resource::Nofile, limit).expect("our own child's limits are ours");
    };
    // Two descriptors are free, but not the six that a child takes.
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.proper())).expect("our own child is ours");
    let open: BTreeSet<String> = open.flatten().map(|one| one.file_name().to_string_lossy().into_owned()).collect();
    limit((0..).filter(|number: &u64| !open.contains(&number.to_string())).nth(2).expect("numbers do not end"));
    enqueue(&folder);
    daemon.wait_log("that waited for it are given back");
    limit(1024);
    all_are_run_once(&folder, daemon, || notes(&folder));
}

#[test]
fn requests_that_find_no_descriptor_are_given_back() {
    let server = Server::start(|_, _| {
        // Long enough that many requests hold their descriptors at once.
        std::thread::sleep(std::time::Duration::from_millis(100));
        answer("200 OK", "")
    });
    let folder = folder();
    task(&folder, &format!("[run]\nhttp = \"{}\"", server.url()));
    enqueue(&folder);
    let daemon = run_short(&folder);
    all_are_run_once(&folder, daemon, || {
        let jobs = server.seen.all().into_iter().map(|request| request.job());
        jobs.map(|job| format!("{} {}", job["id"], job["redelivered"])).collect()
    });
}

#[test]
fn the_limit_is_raised_as_far_as_that_is_allowed() {
    for (hard, told) in [(4096, false), (60, true)] {
        let folder = folder();
        folder.script("limit", "ulimit -n >limit");
        let daemon = folder.start(run(&folder, &format!("ulimit -Sn {FILES}; ulimit -Hn {hard}")), "log");
        let (code, said) = folder.windlass(&["enqueue", "limit"]);
        assert_eq!(code, Some(0), "{said}");
        let limit = || fs::read_to_string(folder.path("limit")).unwrap_or_default().trim().parse::<u32>().ok();
        eventually("it has run", || limit().is_some());
        // What 30 processors need: more than allowed before, and not all that is allowed.
        let limit = limit().expect("just read");
        assert!(if told { limit == hard } else { (31 * 4..hard).contains(&limit) }, "{limit}");
        assert_eq!(daemon.log().contains("30 processors need up to"), told, "{}", daemon.log());
        daemon.stop();
    }
}
