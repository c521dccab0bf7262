//! Stores that lose all that they hold while jobs run.

use std::fs;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

const GATED: &str =
    "echo $WINDLASS_JOB_ID >>begun; until [ -e gate ]; do sleep 0.02; done; echo $WINDLASS_JOB_ID >>ended";

fn lines(folder: &Folder, file: &str) -> Vec<String> {
    let mut lines: Vec<_> =
        fs::read_to_string(folder.path(file)).unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn processed(folder: &Folder, count: usize) {
    let wanted = format!("\"processed\":{count}");
    eventually(&wanted, || folder.windlass(&["--json", "stats"]).1.contains(&wanted));
}

#[test]
fn jobs_go_on_when_somebody_empties_the_store_and_each_is_run_and_settled_once() {
    let server = RedisServer::start(Options { tcp: false, durable: true });
    let folder = Folder::new(&server.url(), "");
    folder.script("gated", GATED);
    folder.script("note", "echo $WINDLASS_JOB_ID >>notes");
    let daemons = ["one", "two"].map(|name| folder.daemon_with_log(name));
    for _ in 0..4 {
        assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    }
    eventually("all four processors work", || lines(&folder, "begun").len() == 4);
    server.command(&["FLUSHALL"]);
    for daemon in &daemons {
        daemon.wait_log("the store has lost all that it held");
        daemon.wait_log("pause (windlass queues pause) and stop (windlass periodic stop) again what must not run");
    }
    fs::write(folder.path("gate"), "").expect("the gate must open");
    processed(&folder, 4);
    assert_eq!(lines(&folder, "begun"), lines(&folder, "ended"), "each was begun once and ended once");
    for _ in 0..4 {
        assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
    }
    processed(&folder, 8);
    assert_eq!(lines(&folder, "notes").len(), 4, "and work goes on");
    for daemon in daemons {
        assert!(!daemon.log().contains("declared dead"), "{}", daemon.log());
        assert!(!daemon.log().contains("claim was lost"), "{}", daemon.log());
        daemon.stop();
    }
}

#[test]
fn what_ended_while_the_store_was_away_is_settled_in_the_empty_one() {
    let mut server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("gated", &format!("{GATED}; exit 7"));
    let daemon = folder.daemon();
    assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
    eventually("the job begins", || lines(&folder, "begun").len() == 1);
    server.kill();
    fs::write(folder.path("gate"), "").expect("the gate must open");
    eventually("the job ends", || lines(&folder, "ended").len() == 1);
    server.restart();
    daemon.wait_log("the store has lost all that it held");
    eventually("it failed", || folder.windlass(&["--json", "failed"]).1.contains("exited with 7"));
    assert_eq!(lines(&folder, "begun").len(), 1, "it ran once");
    daemon.stop();
}
