//! Stores that are not there, go away and come back.

use std::fs;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

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
