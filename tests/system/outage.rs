//! Stores that cannot be reached, for a while.

use std::fs;

use rustix::process::Signal;

use crate::daemon::{Folder, eventually, signal};
use crate::support::proxy::Proxy;
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

#[test]
fn a_daemon_waits_for_its_store_and_says_so() {
    let mut server = RedisServer::start(Options { tcp: true, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo done >done");
    server.stop();
    let daemon = folder.daemon();
    daemon.wait_log("failed to reach the store");
    daemon.wait_log("trying again until it answers");
    server.restart();
    eventually("a client reaches the store", || folder.windlass(&["enqueue", "note"]).0 == Some(0));
    eventually("the job is run", || folder.path("done").exists());
    daemon.stop();
}

#[test]
fn a_daemon_without_store_still_obeys_a_signal() {
    let mut server = RedisServer::start(Options { tcp: true, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "true");
    server.stop();
    let daemon = folder.daemon();
    daemon.wait_log("trying again until it answers");
    daemon.stop();
    assert_eq!(folder.windlass(&["stats"]).0, Some(69));
}

#[test]
fn who_watches_is_told_once_that_the_store_is_away_and_once_that_it_is_back() {
    let mut server = RedisServer::start(Options { tcp: true, durable: true });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "true");
    folder.enqueue(&["note"]);
    let err = fs::File::create(folder.path("stderr")).expect("a file must be made");
    let out = fs::File::create(folder.path("stdout")).expect("a file must be made");
    let mut command = folder.command(&["queues", "--watch=0s"]);
    let mut watching = command.stdout(out).stderr(err).spawn().expect("the binary must start");
    let looks = || folder.read("stdout").matches("QUEUE").count();
    eventually("it looks", || looks() > 0);
    server.kill();
    eventually("it is told", || folder.read("stderr").contains("the store is away since "));
    // Two looks and more fail.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    server.restart();
    let seen = looks();
    eventually("it looks again", || looks() > seen);
    eventually("it is told", || folder.read("stderr").contains("the store is back after "));
    watching.kill().expect("it is ours");
    watching.wait().expect("it is ours");
    let said = folder.read("stderr");
    assert_eq!(said.matches("refused").count().max(1), 1, "{said}");
    assert!(said.lines().count() <= 6, "{said}");
}

#[test]
fn a_job_that_runs_while_the_store_is_away_is_settled_when_it_is_back() {
    let mut server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    folder.script("gated", "echo $$ >>begun; until [ -e gate ]; do sleep 0.02; done; echo done >>ended");
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("the job begins", || folder.path("begun").exists());
    server.kill();
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("the job ends", || folder.path("ended").exists());
    daemon.wait_log("trying again");
    server.restart();
    daemon.wait_log("job success");
    eventually("it is settled", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":1"));
    daemon.stop();
    let runs = fs::read_to_string(folder.path("begun")).expect("it ran");
    assert_eq!(runs.lines().count(), 1, "it ran once");
}

#[test]
fn an_outage_longer_than_a_lease_kills_nobody() {
    let mut server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo $WINDLASS_INSTANCE >>notes");
    let daemons = ["one", "two"].map(|name| folder.daemon_with_log(name));
    for daemon in &daemons {
        daemon.wait_log("[ worker ] started");
    }
    server.kill();
    // Longer than the lease of 3 s: the passing of time is what is tested.
    std::thread::sleep(std::time::Duration::from_secs(5));
    server.restart();
    for daemon in &daemons {
        daemon.wait_log("answers again");
    }
    let registered = || folder.windlass(&["--json", "workers"]).1;
    eventually("all four workers are registered", || registered().matches("-windlass:").count() >= 4);
    // Another lease passes, in which an observer that counts wrongly would declare an instance dead.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    eventually("a job is run", || folder.path("notes").exists());
    for daemon in daemons {
        assert!(!daemon.log().contains("dead"), "{}", daemon.log());
        daemon.stop();
    }
}

#[test]
fn a_stopped_instance_that_wakes_after_its_lease_records_nothing_and_starts_anew() {
    let server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    folder.script("gated", "echo $WINDLASS_JOB_ID >>begun; until [ -e gate ]; do sleep 0.02; done; echo done >>ended");
    let sleeper = folder.daemon_with_log("sleeper");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("the job begins", || folder.path("begun").exists());
    let proper = sleeper.proper();
    signal(proper, Signal::STOP);
    let other = folder.daemon_with_log("other");
    other.wait_log("redelivery 1");
    let begun = || fs::read_to_string(folder.path("begun")).unwrap_or_default().lines().count();
    eventually("the job is run again", || begun() == 2);
    fs::write(folder.path("gate"), "").expect("the gate must open");
    other.wait_log("job success");
    signal(proper, Signal::CONT);
    sleeper.wait_log("was declared dead");
    // It has joined again under a new id, and works.
    other.stop();
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("the one that slept runs the next job", || begun() == 3);
    let counted = || folder.windlass(&["--json", "stats"]).1;
    eventually("each job is counted once", || counted().contains("\"processed\":2"));
    assert!(counted().contains("\"failed\":0"), "{}", counted());
    let ids = fs::read_to_string(folder.path("begun")).expect("the runs are noted");
    let ids: Vec<_> = ids.lines().collect();
    assert_eq!(ids[0], ids[1], "both runs of the first job carry its id");
    sleeper.stop();
}

/// While a server takes no writes from anybody, no instance can be declared dead, and no job need be ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_from_anybody_for_longer_than_a_lease_ends_no_job() {
    for (error, remedy) in [
        ("LOADING Redis is loading the dataset in memory", "wait until it has"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "make room on its disk"),
    ] {
        let server = RedisServer::start(Options { tcp: false, durable: false });
        let proxy = Proxy::start(&server.socket()).await;
        let folder = Folder::new(&proxy.url(), "");
        folder.script(
            "gated",
            "echo $WINDLASS_INSTANCE >>begun; until [ -e gate ]; do sleep 0.05; done; echo done >>ended",
        );
        let daemons = ["one", "two"].map(|name| folder.daemon_with_log(name));
        for daemon in &daemons {
            daemon.wait_log("[ worker ] started");
        }
        for _ in 0..4 {
            assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
        }
        eventually("the jobs run", || folder.read("begun").lines().count() == 4);
        proxy.answer_with(error);
        // More than twice the lease of 3 s: the passing of time is what is tested.
        std::thread::sleep(std::time::Duration::from_secs(7));
        assert_eq!(folder.windlass(&["stats"]).0, Some(69), "a client is told as well");
        proxy.heal();
        for daemon in &daemons {
            daemon.wait_log("answers again");
        }
        // Another lease passes, in which an observer that counts wrongly would declare an instance dead.
        std::thread::sleep(std::time::Duration::from_secs(4));
        fs::write(folder.path("gate"), "").expect("the gate must open");
        eventually("the jobs are settled", || server.command(&["GET", "resque:stat:processed"]).texts() == ["4"]);
        for daemon in daemons {
            let log = daemon.log();
            assert_eq!(log.matches(remedy).count(), 1, "{error}: told once: {log}");
            assert!(log.contains("nobody else can take the lease meanwhile"), "{error}: {log}");
            assert!(!log.contains("running jobs are ended") && !log.contains("dead"), "{error}: {log}");
            daemon.stop();
        }
        assert_eq!((folder.read("begun").lines().count(), folder.read("ended").lines().count()), (4, 4), "{error}");
    }
}

#[test]
fn a_daemon_starts_on_a_full_server_and_drains_it() {
    let server = RedisServer::start(Options::default());
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo $WINDLASS_JOB_ID >>notes");
    folder.script("gated", "echo begun >>begun; until [ -e gate ]; do sleep 0.02; done; echo ended >>ended");
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    for _ in 0..20 {
        assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    }
    assert_eq!(folder.windlass(&["enqueue", "note", "--in", "1s"]).0, Some(0));
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let daemon = folder.daemon();
    let notes = || fs::read_to_string(folder.path("notes")).unwrap_or_default();
    eventually("what waited and what was delayed is run", || notes().lines().count() == 21);
    let refused = folder.command(&["enqueue", "note"]).output().expect("the command must run");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(69), "{said}");
    assert!(said.contains("write to the store, which is full"), "{said}");
    // Longer than the lease of 3 s, which is extended on a full server, too.
    std::thread::sleep(std::time::Duration::from_secs(5));
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("the long job ends", || folder.path("ended").exists());
    let stats = || folder.windlass(&["--json", "stats"]).1;
    eventually("all is settled", || stats().contains("\"processed\":22"));
    daemon.stop();
    let mut ids: Vec<String> = notes().lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 21, "each was run once");
    assert_eq!(fs::read_to_string(folder.path("begun")).expect("it ran").lines().count(), 1);
    assert_eq!(server.command(&["HLEN", "resque:windlass:instances"]), Reply::Int(0), "it left");
}

#[test]
fn a_state_of_the_server_is_told_once_by_all_loops_together_with_what_to_do() {
    let server = RedisServer::start(Options::default());
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "true");
    let task = fs::read_to_string(folder.path("tasks.d/note.toml")).expect("the task is there");
    let every_second = "\n[[schedule]]\ncron = \"* * * * * *\"\nargs = [{ of = \"schedule\" }]\n";
    fs::write(folder.path("tasks.d/note.toml"), task + every_second).expect("the task must be written");
    let daemon = folder.daemon();
    daemon.wait_log("scheduler leader");
    for (begin, end, said, over) in [
        (
            &["REPLICAOF", "127.0.0.1", "1"][..],
            &["REPLICAOF", "NO", "ONE"][..],
            "connect to its master",
            "answers again",
        ),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
            "lower min-replicas-to-write",
            "answers again",
        ),
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
            "raise maxmemory",
            "has room again",
        ),
    ] {
        let before = daemon.log().len();
        let told = |needle: &str| daemon.log()[before..].matches(needle).count();
        server.command(begin);
        eventually(said, || told(said) > 0);
        // Each loop tries within it: the passing of time is what is tested.
        std::thread::sleep(std::time::Duration::from_secs(5));
        server.command(end);
        eventually(over, || told(over) > 0);
        let log = daemon.log()[before..].to_owned();
        assert_eq!((told(said), told("; trying again"), told(over)), (1, 1, 1), "{log}");
    }
    daemon.stop();
}
