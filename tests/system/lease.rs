//! What an instance may do while its lease gets old.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};
use crate::support::proxy::Proxy;
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

fn lines(folder: &Folder, name: &str) -> usize {
    fs::read_to_string(folder.path(name)).unwrap_or_default().lines().count()
}

/// Stops both processes of a daemon. One that is stopped in the middle of a commit holds the lock of a SQLite file, and
/// nobody writes until it goes on; so it is stopped while the lock is held here.
fn stop_between_steps(folder: &Folder, both: [u32; 2]) {
    let file = folder.path("store.db");
    let store = file.exists().then(|| rusqlite::Connection::open(file).expect("the store must open"));
    if let Some(store) = &store {
        store.busy_timeout(Duration::from_secs(20)).expect("a timeout must be settable");
        store.execute_batch("BEGIN IMMEDIATE").expect("the write lock must be had");
    }
    both.into_iter().for_each(|pid| signal(pid, Signal::STOP));
    for pid in both {
        let stat = format!("/proc/{pid}/stat");
        let stops = || fs::read_to_string(&stat).expect("it is there").rsplit(')').next().is_some_and(is_stopped);
        eventually("it is stopped", stops);
    }
    if let Some(store) = &store {
        store.execute_batch("ROLLBACK").expect("the write lock must be given back");
    }
}

fn is_stopped(rest: &str) -> bool {
    rest.trim_start().starts_with('T')
}

#[test]
fn a_job_that_comes_with_a_slow_store_is_run_once() {
    let folder = Folder::new("sqlite:store.db", "");
    folder.script("note", "echo $WINDLASS_JOB_ID >>begun; sleep 0.3; echo done >>ended");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let store = rusqlite::Connection::open(folder.path("store.db")).expect("the store must be there");
    store.busy_timeout(Duration::from_secs(20)).expect("a timeout must be settable");
    store.execute_batch("BEGIN IMMEDIATE").expect("the write lock must be had");
    let mut enqueue = folder.command(&["enqueue", "--bulk", "-"]);
    let mut enqueue = enqueue.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it must start");
    let jobs = "{\"task\":\"note\"}\n".repeat(4);
    enqueue.stdin.take().expect("it was piped").write_all(jobs.as_bytes()).expect("the pipe must take it");
    // Longer than the lease of 3 s may go without an extension: the passing of time is what is tested.
    std::thread::sleep(Duration::from_millis(2800));
    store.execute_batch("ROLLBACK").expect("the write lock must be given back");
    assert!(enqueue.wait().expect("it must end").success());
    eventually("the jobs are done", || lines(&folder, "ended") == 4);
    daemon.stop();
    assert_eq!(lines(&folder, "begun"), 4, "{}", fs::read_to_string(folder.path("log")).unwrap_or_default());
}

#[test]
fn a_file_that_another_process_locks_for_longer_than_a_lease_ends_no_job() {
    let folder = Folder::new("sqlite:store.db", "");
    folder.script("long", "echo $WINDLASS_JOB_ID >>begun; sleep 9; echo $WINDLASS_JOB_ID >>ended");
    let (one, two) = (folder.daemon_with_log("one"), folder.daemon_with_log("two"));
    for daemon in [&one, &two] {
        daemon.wait_log("[ worker ] started");
    }
    for _ in 0..4 {
        assert_eq!(folder.windlass(&["enqueue", "long"]).0, Some(0));
    }
    eventually("the jobs run", || lines(&folder, "begun") == 4);
    let store = rusqlite::Connection::open(folder.path("store.db")).expect("the store must be there");
    store.busy_timeout(Duration::from_secs(20)).expect("a timeout must be settable");
    store.execute_batch("BEGIN IMMEDIATE").expect("the write lock must be had");
    // More than twice the lease of 3 s: the passing of time is what is tested.
    std::thread::sleep(Duration::from_secs(7));
    store.execute_batch("ROLLBACK").expect("the write lock must be given back");
    let processed = || -> i64 {
        let sql = "SELECT value FROM stats WHERE name = 'processed'";
        store.query_row(sql, [], |row| row.get(0)).expect("the counter must be there")
    };
    eventually("the jobs are settled", || processed() == 4);
    let logs = one.log() + &two.log();
    assert!(logs.contains("nobody else can take the lease"), "{logs}");
    assert!(!logs.contains("before it runs out") && !logs.contains("declared dead"), "{logs}");
    one.stop();
    two.stop();
    assert_eq!((lines(&folder, "begun"), lines(&folder, "ended")), (4, 4));
    assert_eq!(processed(), 4);
}

/// How often an instance has extended its lease, if there is exactly one.
fn extensions(server: &RedisServer) -> Option<i64> {
    server.command(&["HVALS", "resque:windlass:leases"]).texts().concat().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_first_seen_after_the_lease_does_not_begin() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = Folder::new(&proxy.url(), "");
    // The gated runs end and the claims are asked for in its first half, on a slow machine too.
    folder.reconfigure("lease = \"3s\"", "lease = \"10s\"");
    folder.script("gated", "echo >>gated; until [ -e gate ]; do sleep 0.05; done");
    folder.script("note", "echo $WINDLASS_INSTANCE >>notes");
    let past_the_proxy = |args: &[&str]| folder.command(&[&["--store", &server.url()], args].concat());
    let enqueue = |task: &str| {
        let mut command = past_the_proxy(&["enqueue", task]);
        assert!(command.stdout(Stdio::null()).status().expect("the binary must run").success());
    };
    let left = || server.command(&["LLEN", "resque:queue:default"]);
    let processed = |count: &str| server.command(&["GET", "resque:stat:processed"]).texts() == [count];
    let sleeper = folder.daemon_with_log("sleeper");
    let proper = sleeper.proper();
    ["gated", "gated"].into_iter().for_each(enqueue);
    eventually("both processors are busy", || lines(&folder, "gated") == 2);
    ["note", "note"].into_iter().for_each(enqueue);
    let before = extensions(&server);
    eventually("the lease is as long as it gets", || extensions(&server) > before);
    proxy.hold_replies();
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("the next jobs are claimed", || left() == Reply::Int(0));
    // The claims are on record, and nobody has read the answers, which arrive now.
    signal(proper, Signal::STOP);
    proxy.heal();
    let other = folder.start(past_the_proxy(&["run"]), "other");
    eventually("the other has done the jobs", || processed("4"));
    other.wait_log("is dead; 2 jobs recovered");
    signal(proper, Signal::CONT);
    sleeper.wait_log("was declared dead");
    sleeper.stop();
    other.stop();
    assert!(folder.read("other").matches("redelivery 1").count() == 2, "{}", folder.read("other"));
    assert_eq!(lines(&folder, "notes"), 2, "the claims that were lost did not begin: {}", folder.read("sleeper"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_child_beyond_the_lease_is_not_given_to_it() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = Folder::new(&proxy.url(), "worker_logging = { job = \"info\" }");
    let program = "#!/bin/sh\necho '{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}'\nwhile read -r line; do echo \"$line\" >>FOLDER/seen\n\
                   until [ -e FOLDER/gate ]; do sleep 0.05; done\nid=${line#*\\\"id\\\":}; id=${id%%,*}\n\
                   echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":$id,\\\"result\\\":null}\"; done\n";
    folder.worker("served", &program.replace("FOLDER", &folder.path("").display().to_string()));
    let task = folder.read("tasks.d/served.toml") + "processes = 1\n";
    fs::write(folder.path("tasks.d/served.toml"), task).expect("the task must be written");
    let past_the_proxy = |args: &[&str]| folder.command(&[&["--store", &server.url()], args].concat());
    for _ in 0..2 {
        let mut command = past_the_proxy(&["enqueue", "served"]);
        assert!(command.stdout(Stdio::null()).status().expect("the binary must run").success());
    }
    let sleeper = folder.daemon_with_log("sleeper");
    eventually("one is served and one waits", || {
        sleeper.log().matches("working job").count() == 2 && lines(&folder, "seen") == 1
    });
    let proper = sleeper.proper();
    signal(proper, Signal::STOP);
    let other = folder.start(past_the_proxy(&["run"]), "other");
    eventually("the other has both", || other.log().matches("redelivery 1").count() == 2);
    fs::write(folder.path("gate"), "").expect("the gate must open");
    let processed = || server.command(&["GET", "resque:stat:processed"]).texts() == ["2"];
    eventually("the other has done both", processed);
    other.wait_log("is dead; 2 jobs recovered");
    // The sleeper wakes, and learns nothing from the store for as long as it takes to start another child.
    proxy.stall();
    signal(proper, Signal::CONT);
    std::thread::sleep(Duration::from_millis(700));
    proxy.heal();
    sleeper.wait_log("was declared dead");
    sleeper.stop();
    other.stop();
    assert_eq!(lines(&folder, "seen"), 3, "{}", folder.read("sleeper"));
}

#[test]
fn what_a_stopped_neighbour_runs_is_ended_before_its_job_is_given_to_another() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    // Each run tells whether the one before it still lives. A stopped parent reaps nothing.
    let script = "grep -q State:.[^Z] /proc/$(tail -n 1 begun)/status && echo beside >>beside; echo $$ >>begun; \
                  until [ -e gate ]; do sleep 0.05; done; echo done >>ended";
    folder.script("gated", script);
    let sleeper = folder.daemon_with_log("sleeper");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("the job begins", || lines(&folder, "begun") == 1);
    let proper = sleeper.proper();
    signal(proper, Signal::STOP);
    let other = folder.daemon_with_log("other");
    other.wait_log("are killed before its jobs are given to others");
    eventually("the job is run again", || lines(&folder, "begun") == 2);
    fs::write(folder.path("gate"), "").expect("the gate must open");
    other.wait_log("job success");
    assert_eq!((lines(&folder, "beside"), lines(&folder, "ended")), (0, 1), "no two runs at once");
    signal(proper, Signal::CONT);
    sleeper.wait_log("was declared dead");
    sleeper.stop();
    other.stop();
}

#[test]
fn a_run_that_a_neighbour_killed_is_told_as_lost_and_not_as_a_failure() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    for store in [server.url(), "sqlite:store.db".to_owned()] {
        let folder = Folder::new(&store, "worker_logging = { job = \"info\" }");
        folder.script("forked", "echo >>begun; exec sleep 60");
        folder.worker("served", "#!/bin/sh\necho '{\"jsonrpc\":\"2.0\",\"method\":\"ready\"}'\nexec cat >/dev/null\n");
        for task in ["forked", "served"] {
            assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
        }
        let sleeper = folder.daemon_with_log("sleeper");
        eventually("both run", || sleeper.log().matches("working job").count() == 2 && lines(&folder, "begun") == 1);
        let both = [sleeper.parent(), sleeper.proper()];
        stop_between_steps(&folder, both);
        let other = folder.daemon_with_log("other");
        eventually("the other has taken both", || other.log().matches("working job").count() == 2);
        // If the sleeper extended its lease before it is buried, it would not be dead.
        other.wait_log("is dead; 2 jobs recovered");
        assert!(other.log().contains("are killed before its jobs are given to others"), "{}", other.log());
        both.into_iter().for_each(|pid| signal(pid, Signal::CONT));
        sleeper.wait_log("was declared dead");
        eventually("both are told as lost", || sleeper.log().matches("its claim was lost before").count() == 2);
        let log = sleeper.log();
        for untrue in ["did not send", "job failure", "could not be extended", "stood still"] {
            assert!(!log.contains(untrue), "{untrue}: {log}");
        }
        assert!(folder.windlass(&["failed"]).1.contains("no failed jobs"));
        sleeper.stop();
        other.stop();
    }
}

#[test]
fn a_stop_of_an_instance_that_nobody_took_for_dead_ends_no_job_and_blames_no_store() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    for store in [server.url(), "sqlite:store.db".to_owned()] {
        let folder = Folder::new(&store, "worker_logging = { job = \"info\" }");
        folder.reconfigure("lease = \"3s\"", "lease = \"5s\"");
        folder.script("gated", "echo >>begun; until [ -e gate ]; do sleep 0.05; done");
        assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
        let daemon = folder.daemon();
        eventually("the job begins", || lines(&folder, "begun") == 1);
        let both = [daemon.parent(), daemon.proper()];
        both.into_iter().for_each(|pid| signal(pid, Signal::STOP));
        // Longer than the lease: the passing of time is what is tested.
        std::thread::sleep(Duration::from_millis(6500));
        both.into_iter().for_each(|pid| signal(pid, Signal::CONT));
        daemon.wait_log("this process stood still for");
        fs::write(folder.path("gate"), "").expect("the gate must open");
        daemon.wait_log("job success");
        let log = daemon.log();
        for untrue in ["could not be extended", "nothing can be written", "gave no answer", "cut off", "answers again"]
        {
            assert!(!log.contains(untrue), "{untrue}: {log}");
        }
        assert_eq!(lines(&folder, "begun"), 1, "{log}");
        daemon.stop();
    }
}
