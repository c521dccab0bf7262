//! A store that says nothing, or is far away, with a lease of 2 s.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use tokio::time::Instant;

use crate::daemon::{Daemon, Folder, PATIENCE, eventually, signal};
use crate::support::proxy::{Direction, Proxy};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

const LEASE: Duration = Duration::from_secs(2);

/// A server behind a proxy, and a folder whose daemons reach it through the proxy.
struct Place {
    server: RedisServer,
    proxy: Proxy,
    folder: Folder,
}

impl Place {
    async fn new() -> Self {
        let server = RedisServer::start(Options { tcp: false, durable: false });
        let proxy = Proxy::start(&server.socket()).await;
        let folder = Folder::new(&proxy.url(), "");
        folder.reconfigure("lease = \"3s\"", &format!("lease = \"{}s\"", LEASE.as_secs()));
        folder.script("gated", "echo $WINDLASS_INSTANCE >>gated; until [ -e gate ]; do sleep 0.02; done");
        folder.script("note", "echo $WINDLASS_INSTANCE >>notes");
        Self { server, proxy, folder }
    }

    /// Enqueues past the proxy.
    fn enqueue(&self, task: &str) {
        let mut command = self.folder.command(&["--store", &self.server.url(), "enqueue", task]);
        assert!(command.stdout(Stdio::null()).status().expect("the binary must run").success());
    }

    /// The instances that ran this task, once per run.
    fn runs(&self, task: &str) -> Vec<String> {
        let runs = fs::read_to_string(self.folder.path(task)).unwrap_or_default();
        runs.lines().map(str::to_owned).collect()
    }

    fn open_gate(&self) {
        fs::write(self.folder.path("gate"), "").expect("the gate must open");
    }

    fn processed(&self, count: usize) -> bool {
        let stats = self.folder.command(&["--store", &self.server.url(), "--json", "stats"]).output();
        let stats = stats.expect("the binary must run").stdout;
        String::from_utf8_lossy(&stats).contains(&format!("\"processed\":{count},"))
    }
}

/// Time that passes is what is tested: the lease may not lapse meanwhile.
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

#[track_caller]
fn assert_whole(daemon: &Daemon) {
    let log = daemon.log();
    for trouble in ["declared dead", "could not be extended", "is lost", "redelivery", "given back"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
}

/// The running job goes on, and the next one begins under the same lease, over new connections.
async fn connections_that_fall_silent(directions: &[Direction], idle: Duration) {
    let place = Place::new().await;
    let daemon = place.folder.daemon();
    place.enqueue("gated");
    eventually("the job begins", || place.runs("gated").len() == 1);
    let_pass(idle);
    for &direction in directions {
        place.proxy.silence(direction);
    }
    // The heartbeat, the scheduler and the manager write to one connection meanwhile.
    let_pass(LEASE * 2);
    for _ in 0..3 {
        place.enqueue("note");
    }
    eventually("the next jobs are done", || place.runs("notes").len() == 3);
    place.open_gate();
    eventually("all are settled", || place.processed(4));
    assert_whole(&daemon);
    daemon.stop();
    let instances = [place.runs("gated"), place.runs("notes")].concat();
    assert_eq!(instances.len(), 4, "each ran once");
    assert!(instances.iter().all(|instance| *instance == instances[0]), "under one lease: {instances:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_swallow_requests_are_replaced_within_a_lease() {
    connections_that_fall_silent(&[Direction::Requests], Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_swallow_replies_are_replaced_within_a_lease() {
    connections_that_fall_silent(&[Direction::Replies], Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_idle_and_are_forgotten_are_replaced_within_a_lease() {
    connections_that_fall_silent(&[Direction::Requests, Direction::Replies], Duration::from_secs(7)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_far_away_costs_neither_leases_nor_ticks() {
    let place = Place::new().await;
    let folder = place.folder.path("");
    let tick = format!(
        "name = \"tick\"\nqueue = \"default\"\nfrequency = \"1s\"\n[run]\nexec = [\"sh\", \"-c\", \
         '''echo $WINDLASS_INSTANCE >>{}/ticks''']\n",
        folder.display()
    );
    fs::write(place.folder.path("tasks.d/tick.toml"), tick).expect("the task must be written");
    let near = place.folder.daemon_with_log("near");
    near.wait_log("[ worker ] started");
    // 500 to 700 ms for a request and its reply.
    place.proxy.delay(250, 350);
    let far = place.folder.daemon_with_log("far");
    far.wait_log("[ worker ] started");
    place.enqueue("gated");
    eventually("the job begins", || place.runs("gated").len() == 1);
    for _ in 0..6 {
        place.enqueue("note");
    }
    eventually("the others are done", || place.runs("notes").len() == 6);
    let_pass(LEASE * 3);
    let ticks = place.runs("ticks").len();
    eventually("ticks go on", || place.runs("ticks").len() > ticks + 2);
    place.open_gate();
    let logs = || near.log() + &far.log();
    let is_settled = |line: &str| line.contains("job success") && line.contains("class=gated");
    eventually("the job is settled", || logs().lines().any(is_settled));
    for daemon in [&near, &far] {
        assert_whole(daemon);
    }
    assert_eq!((place.runs("gated").len(), place.runs("notes").len()), (1, 6), "each ran once");
    near.stop();
    far.stop();
}

/// The second of the task's next tick, as the store has it.
fn next_tick(server: &RedisServer, task: &str) -> Option<i64> {
    let entry = server.command(&["HGET", "resque:windlass:periodic", task]).texts().concat();
    entry.split(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tick_of_each_second_is_skipped_over_a_path_of_300_ms() {
    // A machine that is very busy may be late by a second, so that there are several tries.
    const IN_A_ROW: i64 = 15;
    let place = Place::new().await;
    for (task, cadence) in [("often", "frequency = \"1s\""), ("calendar", "schedule = \"* * * * * *\"")] {
        let text = format!("name = \"{task}\"\nqueue = \"default\"\n{cadence}\n[run]\nexec = [\"true\"]\n");
        fs::write(place.folder.path(&format!("tasks.d/{task}.toml")), text).expect("the task must be written");
    }
    // 240 to 360 ms for a request and its reply.
    place.proxy.delay(120, 180);
    let daemon = place.folder.daemon();
    for task in ["often", "calendar"] {
        eventually("it is seeded", || next_tick(&place.server, task).is_some());
    }
    let deadline = Instant::now() + PATIENCE * 4;
    let mut rows = [("often", 0, 0), ("calendar", 0, 0)];
    while rows.iter().any(|(.., row)| *row < IN_A_ROW) {
        assert!(Instant::now() < deadline, "not {IN_A_ROW} ticks in a row, but {rows:?}: {}", daemon.log());
        for (task, last, row) in &mut rows {
            let next = next_tick(&place.server, task).unwrap_or(0);
            if next != *last {
                // It is written when a run ends. If it is not the second after the last one, seconds were skipped.
                *row = if next == *last + 1 || *row >= IN_A_ROW { *row + 1 } else { 0 };
                *last = next;
            }
        }
        let_pass(Duration::from_millis(20));
    }
    // A beat may be late on a busy machine. The lease holds.
    let log = daemon.log();
    for trouble in ["declared dead", "is lost", "redelivery", "given back"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_told_to_end_while_it_joins_leaves_no_registration() {
    let place = Place::new().await;
    place.proxy.delay(300, 300);
    let mut daemon = place.folder.daemon();
    let registered = || place.server.command(&["HLEN", "resque:windlass:instances"]) == Reply::Int(1);
    // The reply that it has joined is on its way for 300 ms more.
    eventually("it is registered", registered);
    signal(daemon.parent(), Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains("[ worker ] started"), "{}", daemon.log());
    assert!(!registered(), "{}", daemon.log());
}
