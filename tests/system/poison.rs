//! A job that ends its daemon each time, beside a long one that does nothing wrong.

use std::fs;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

fn lines(folder: &Folder, name: &str) -> usize {
    fs::read_to_string(folder.path(name)).unwrap_or_default().lines().count()
}

/// Starts a daemon again and again, until the bad job has failed and the good one has run to its end.
fn the_bad_one_fails_and_the_good_one_ends(store: &str, first: &str, second: &str) {
    let folder = Folder::new(store, "max_redeliveries = 5\n");
    folder.script("bad", "echo b >>bad; sleep 0.3; kill -9 $PPID");
    folder.script("good", "echo g >>good; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; echo done >>finished");
    for task in [first, second] {
        assert_eq!(folder.windlass(&["enqueue", task]).0, Some(0));
    }
    let is_over = || lines(&folder, "finished") > 0 && folder.windlass(&["failed", "count"]).1.trim() == "1";
    let mut over = false;
    for _ in 0..30 {
        let mut daemon = folder.daemon();
        let mut ended = None;
        eventually("the daemon is killed, or all is over", || {
            ended = daemon.try_wait();
            over = ended.is_none() && is_over();
            over || ended.is_some()
        });
        if over {
            daemon.stop();
            break;
        }
    }
    let log = fs::read_to_string(folder.path("log")).unwrap_or_default();
    assert!(over, "{log}");
    let failed = folder.windlass(&["--json", "failed"]).1;
    assert!(failed.contains(r#""class":"bad""#) && failed.contains("TooManyRedeliveries"), "{failed}");
    assert!(!failed.contains(r#""class":"good""#), "{failed}");
    assert_eq!(lines(&folder, "bad"), 6, "it ran as often as it may: {log}");
    assert_eq!(lines(&folder, "finished"), 1, "{log}");
    // From the third redelivery on the two did not run side by side, so that the good one was cut off at most three times.
    assert!(lines(&folder, "good") <= 4, "{log}");
}

#[test]
fn a_job_that_kills_its_daemon_fails_alone_on_sqlite() {
    the_bad_one_fails_and_the_good_one_ends("sqlite:jobs.db", "good", "bad");
}

#[test]
fn a_job_that_kills_its_daemon_fails_alone_on_redis() {
    let server = RedisServer::start(Options::default());
    the_bad_one_fails_and_the_good_one_ends(&server.url(), "bad", "good");
}
