//! What an idle daemon costs its store.

use std::time::Duration;

use tokio::time::Instant;

use crate::daemon::{Daemon, Folder, eventually};
use crate::support::redis::{Options, RedisServer};
use crate::support::resp::Reply;

/// How many commands a second an idle daemon may cost, those of its scripts included. It is 110 in a minute, and 7 more where
/// idle workers are looked after twice in it.
const MOST: f64 = 2.0;
/// The same without CLIENT TRACKING: pool and scheduler look once in each `timeout`.
const MOST_POLLED: f64 = 5.0;
/// Other instances may start at the same time, so that the first seconds cost more.
const START: Duration = Duration::from_secs(13);
/// What is looked at once a minute is in it once.
const WINDOW: Duration = Duration::from_secs(60);

/// How many commands the server has run, without those that ask it.
fn commands(server: &RedisServer) -> u64 {
    calls(server, |name| name != "info")
}

/// How many commands of these names it has run.
fn calls(server: &RedisServer, counts: impl Fn(&str) -> bool) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]).texts().concat();
    let of_line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls: u64 = rest.split(',').next()?.parse().ok()?;
        counts(name).then_some(calls)
    };
    stats.lines().filter_map(of_line).sum()
}

#[test]
fn an_idle_daemon_asks_the_server_seldom() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    is_idle_at_most(MOST, &server, &Folder::new(&server.url(), "")).stop();
}

#[test]
fn a_server_that_nobody_asks_costs_the_store_nothing() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.reconfigure("[store]", "[http]\nlisten = \"127.0.0.1:0\"\n[store]");
    is_idle_at_most(MOST, &server, &folder).stop();
}

#[test]
fn a_daemon_that_is_not_told_of_changes_looks_as_often_as_its_timeout_says() {
    let server = RedisServer::start(Options { tcp: true, durable: false });
    server.command(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let folder = Folder::new(&server.url(), "");
    let daemon = is_idle_at_most(MOST_POLLED, &server, &folder);
    assert_eq!(daemon.log().matches("does not tell of changes").count(), 1, "{}", daemon.log());
    assert!(daemon.log().contains("looked at every 5s (timeout in tasks.toml)"), "{}", daemon.log());
    assert!(daemon.log().contains("ACL SETUSER default +client|tracking"), "{}", daemon.log());
    // Jobs come by every way that nobody tells of.
    let pushed = "{\"class\":\"note\",\"queue\":\"default\",\"args\":[]}";
    server.command(&["RPUSH", "resque:queue:default", pushed]);
    assert_eq!(folder.windlass(&["enqueue", "note", "--in", "1s"]).0, Some(0));
    eventually("both are run", || folder.read("notes").lines().count() == 2);
    server.command(&["ACL", "SETUSER", "default", "+client|tracking"]);
    daemon.wait_log("the server tells of changes again");
    daemon.stop();
}

#[test]
fn a_daemon_hears_of_jobs_although_another_database_was_emptied() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("note", "echo ran >>notes");
    let daemon = folder.daemon();
    eventually("it waits", || !server.command(&["KEYS", "*leader_lock"]).texts().is_empty());
    for times in 1..3 {
        // It is told of its own heartbeats, and reads again what they wrote: that this hides nothing of what is forgotten
        // afterwards is what is tested.
        let heard = calls(&server, |name| name == "exists");
        eventually("it hears of its heartbeats", || calls(&server, |name| name == "exists") >= heard + 2);
        server.command(&["EVAL", "redis.call('SELECT', 3) redis.call('FLUSHDB')", "0"]);
        let pushed = "{\"class\":\"note\",\"queue\":\"default\",\"args\":[]}";
        server.command(&["RPUSH", "resque:queue:default", pushed]);
        eventually("what another program pushed is run", || folder.read("notes").lines().count() == 3 * times - 2);
        server.command(&["EVAL", "redis.call('SELECT', 3) redis.call('FLUSHDB')", "0"]);
        assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0));
        assert_eq!(folder.windlass(&["enqueue", "note", "--in", "1s"]).0, Some(0));
        eventually("both are run", || folder.read("notes").lines().count() == 3 * times);
    }
    daemon.stop();
}

/// Starts a daemon and measures what it asks when there is nothing to do.
fn is_idle_at_most(most: f64, server: &RedisServer, folder: &Folder) -> Daemon {
    folder.reconfigure(
        "min_task_processors = 2\nmax_task_processors = 2",
        "min_task_processors = 50\nmax_task_processors = 50",
    );
    folder.reconfigure("lease = \"3s\"\n", "");
    folder.script("note", "echo ran >>notes");
    let daemon = folder.daemon();
    let registered = || matches!(server.command(&["SCARD", "resque:workers"]), Reply::Int(50));
    eventually("all processors are registered", registered);
    // Time that passes without a job is what is measured.
    std::thread::sleep(START);
    let (before, begun) = (commands(server), Instant::now());
    std::thread::sleep(WINDOW);
    // A machine that is busy makes the window longer, and the timers of the daemon as well.
    let (count, seconds) = (commands(server) - before, begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a hundred commands at most")]
    let rate = count as f64 / seconds;
    assert!(count > 0, "it must extend its lease: {}", daemon.log());
    assert!(rate <= most, "{count} commands in {seconds} s");
    daemon
}
