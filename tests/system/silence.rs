//! A store that says nothing, or is far away.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use tokio::time::Instant;

use crate::daemon::{Daemon, Folder, eventually};
use crate::support::proxy::{Direction, Proxy};
use crate::support::redis::{Options, RedisServer};

/// A folder whose daemons reach the server through the proxy, with a job that ends when it may and one that ends at once.
fn folder(proxy: &Proxy, lease: &str) -> Folder {
    let folder = Folder::new(&proxy.url(), "");
    folder.reconfigure("lease = \"3s\"", &format!("lease = \"{lease}\""));
    folder.script("gated", "echo begun >>gated; until [ -e gate ]; do sleep 0.02; done");
    folder.script("note", "echo done >>notes");
    folder
}

/// Enqueues past the proxy.
fn enqueue(folder: &Folder, server: &RedisServer, task: &str) {
    let mut command = folder.command(&["--store", &server.url(), "enqueue", task]);
    assert!(command.stdout(Stdio::null()).status().expect("the binary must run").success());
}

fn lines(folder: &Folder, name: &str) -> usize {
    fs::read_to_string(folder.path(name)).unwrap_or_default().lines().count()
}

#[track_caller]
fn assert_whole(daemon: &Daemon) {
    let log = daemon.log();
    for trouble in ["declared dead", "could not be extended", "is lost", "redelivery"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
}

async fn a_connection_that_falls_silent(direction: Direction) {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = folder(&proxy, "6s");
    let daemon = folder.daemon();
    enqueue(&folder, &server, "gated");
    eventually("the job begins", || lines(&folder, "gated") == 1);
    proxy.silence(direction);
    let silent = Instant::now();
    enqueue(&folder, &server, "note");
    eventually("the next job is done over a new connection", || lines(&folder, "notes") == 1);
    assert!(silent.elapsed() < Duration::from_secs(6), "within a lease: {:?}: {}", silent.elapsed(), daemon.log());
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("both are settled", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":2"));
    assert_whole(&daemon);
    daemon.stop();
    assert_eq!((lines(&folder, "gated"), lines(&folder, "notes")), (1, 1), "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_swallows_requests_is_replaced_within_a_lease() {
    a_connection_that_falls_silent(Direction::Requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_swallows_replies_is_replaced_within_a_lease() {
    a_connection_that_falls_silent(Direction::Replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_far_away_costs_neither_leases_nor_jobs() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let proxy = Proxy::start(&server.socket()).await;
    let folder = folder(&proxy, "3s");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    proxy.delay(250, 350);
    enqueue(&folder, &server, "gated");
    eventually("the job begins", || lines(&folder, "gated") == 1);
    for _ in 0..6 {
        enqueue(&folder, &server, "note");
    }
    eventually("the others are done", || lines(&folder, "notes") == 6);
    // Longer than a lease of 3 s: the passing of time is what is tested.
    std::thread::sleep(Duration::from_secs(4));
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("all are settled", || folder.windlass(&["--json", "stats"]).1.contains("\"processed\":7"));
    assert_whole(&daemon);
    daemon.stop();
}
