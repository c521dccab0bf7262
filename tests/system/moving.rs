//! `store copy`, killed again and again, from a store that fell back, and undone: everything comes over, once.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::daemon::Folder;
use crate::place::Place;
use crate::support::redis::{Options, RedisServer};

const JOBS: usize = 20_000;

fn lines(jobs: std::ops::Range<usize>) -> String {
    jobs.map(|n| format!("{{\"task\":\"add\",\"args\":[{n}]}}\n")).collect()
}

#[test]
fn a_copy_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let place = Place::new();
    let server = RedisServer::start(Options { durable: true, ..Options::default() });
    let url = server.url();
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..JOBS)).done();
    place.run(&["enqueue", "add", "--arg", "1", "--at", "@4000000000"]).done();
    let copy = ["store", "copy", "sqlite:windlass.db", &url, "--json", "--yes"];
    let mut kills = 0;
    let done = loop {
        let mut child = place.command(&copy).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Later each time, so that it gets on even on a slow machine.
        std::thread::sleep(Duration::from_millis(20 + 15 * kills));
        if child.try_wait().unwrap().is_none() && kills < 40 {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            continue;
        }
        break child.wait_with_output().unwrap();
    };
    assert!(done.status.success() && kills > 0, "{kills} kills, {done:?}");
    let mut seen = BTreeMap::new();
    for job in server.command(&["LRANGE", "resque:queue:math", "0", "-1"]).texts() {
        *seen.entry(job).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), JOBS, "after {kills} kills");
    assert!(seen.values().all(|&times| times == 1));
    assert_eq!(server.command(&["LRANGE", "resque:delayed:4000000000", "0", "-1"]).texts().len(), 1);
    let queues = place.run(&["queues", "--json"]).json();
    assert_eq!(queues["queues"], json!([{"queue": "math", "length": 0}]));
}

/// A server that is full takes nothing in, so that a copy to it ends with a batch that is set aside.
fn set_full(server: &RedisServer, full: bool) {
    server.command(&["CONFIG", "SET", "maxmemory", if full { "1" } else { "0" }]);
}

fn queued(server: &RedisServer) -> Vec<String> {
    server.command(&["LRANGE", "resque:queue:math", "0", "-1"]).texts()
}

/// Copies the SQLite store from one folder of the place to another, with its log. What was there goes.
fn snapshot(place: &Place, from: &str, to: &str) {
    let (from, to) = (place.path().join(from), place.path().join(to));
    std::fs::create_dir_all(&to).unwrap();
    for file in ["windlass.db", "windlass.db-wal", "windlass.db-shm"] {
        let _ = std::fs::remove_file(to.join(file));
        if !file.ends_with("shm") && from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

#[test]
fn a_source_that_fell_back_to_an_older_state_loses_no_job() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let copy = ["store", "copy", "sqlite:windlass.db", &server.url(), "--yes"];
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..1)).done();
    place.run(&copy).done();
    snapshot(&place, "", "older");
    place.run_with(&["enqueue", "--bulk", "-"], &lines(1..600)).done();
    place.run(&copy).done();
    snapshot(&place, "older", "");
    place.run_with(&["enqueue", "--bulk", "-"], &lines(600..800)).done();
    let moved = place.run(&copy);
    assert_eq!(queued(&server).len(), 800, "{moved:?}");
    assert!(moved.code == 0 && moved.stdout.starts_with("moved 200 queued"), "{moved:?}");
    assert!(moved.stderr.contains("has fallen back to an older state"), "{moved:?}");
    assert!(moved.stderr.contains("at most 200 of the jobs that were moved now may be twice in"), "{moved:?}");
}

#[test]
fn one_store_under_two_addresses_is_refused() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let other = place.path().join("other.sock");
    std::os::unix::fs::symlink(server.socket(), &other).unwrap();
    let (url, other) = (server.url(), format!("redis+unix://{}", other.display()));
    place.run_with(&["--store", &url, "enqueue", "--bulk", "-"], &lines(0..3)).done();
    let mut child = place.command(&["store", "copy", &url, &other, "--yes"]).stderr(Stdio::piped()).spawn().unwrap();
    // Jobs that move round and round move for ever.
    crate::daemon::eventually("the copy ends", || child.try_wait().unwrap().is_some());
    let refused = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains(&url) && said.contains(&other) && said.contains("are the same store"), "{said}");
    assert_eq!(queued(&server).len(), 3);
}

#[test]
fn a_database_under_two_names_is_refused() {
    let place = Place::new();
    place.run(&["enqueue", "add", "--arg", "1"]).done();
    std::fs::hard_link(place.path().join("windlass.db"), place.path().join("other.db")).unwrap();
    for args in [&["store", "copy"][..], &["store", "copy", "--undo"]] {
        let refused = place.run(&[args, &["sqlite:windlass.db", "sqlite:other.db", "--yes"]].concat());
        let said = "windlass: sqlite:windlass.db and sqlite:other.db are the same file: give two different stores\n";
        assert_eq!((refused.code, refused.stderr.as_str()), (64, said));
    }
    assert_eq!(place.run(&["queues", "--json"]).json()["queues"][0]["length"], 1);
    assert!(!place.path().join("other.db-wal").exists(), "it was not opened");
}

#[test]
fn two_copies_against_each_other_end_and_lose_nothing() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let url = server.url();
    let half = JOBS / 2;
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..half)).done();
    place.run_with(&["--store", &url, "enqueue", "--bulk", "-"], &lines(half..JOBS)).done();
    let ways = [["sqlite:windlass.db", &url], [&url, "sqlite:windlass.db"]];
    let mut copies = ways.map(|[from, to]| {
        let args = ["store", "copy", from, to, "--yes"];
        place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for copy in &mut copies {
        crate::daemon::eventually("the copy ends", || copy.try_wait().unwrap().is_some());
    }
    let ended = copies.map(|copy| copy.wait_with_output().unwrap());
    let refused: Vec<_> = ended.iter().filter(|copy| !copy.status.success()).collect();
    assert!(refused.len() < 2, "{ended:?}");
    for copy in refused {
        let said = String::from_utf8_lossy(&copy.stderr);
        assert!(copy.status.code() == Some(1) && said.contains("another copy moves jobs the other way"), "{said}");
    }
    place.run(&["store", "copy", "sqlite:windlass.db", &url, "--yes"]).done();
    let mut jobs = queued(&server);
    assert_eq!(jobs.len(), JOBS, "{ended:?}");
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), JOBS);
}

#[test]
fn what_a_broken_copy_set_aside_is_told_and_put_back() {
    let folder = Folder::new("sqlite:windlass.db", "");
    folder.script("add", "true");
    let server = RedisServer::start(Options::default());
    let from = format!("sqlite:{}", folder.path("windlass.db").display());
    let url = server.url();
    for n in 0..3 {
        assert_eq!(folder.windlass(&["enqueue", "add", "--arg", &n.to_string()]).0, Some(0));
    }
    let before = folder.windlass(&["queues", "show", "default"]);
    set_full(&server, true);
    let (code, said) = folder.windlass(&["store", "copy", &from, &url, "--yes"]);
    assert_eq!(code, Some(69), "{said}");
    let undo = format!("windlass store copy --undo {from} {url}");
    for look in ["queues", "details"] {
        let (_, said) = folder.windlass(&[look]);
        assert!(said.contains("3 items are set aside") && said.contains(&undo), "{said}");
        let (_, said) = folder.windlass(&[look, "--json"]);
        let told: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(told["set_aside"]["items"], json!(3), "{said}");
        assert_eq!((&told["set_aside"]["target"], &told["set_aside"]["undo"]), (&json!(url), &json!(undo)), "{said}");
    }
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(daemon.log().matches("3 items are set aside").count(), 1, "{}", daemon.log());
    daemon.stop();
    set_full(&server, false);
    let (code, said) = folder.windlass(&["store", "copy", "--undo", &from, &url]);
    assert_eq!((code, said), (Some(0), format!("put back 3 items to their places in {from}\n")));
    assert_eq!(folder.windlass(&["queues", "show", "default"]), before);
    assert!(!folder.windlass(&["details"]).1.contains("set aside"));
    let (code, said) = folder.windlass(&["store", "copy", "--undo", &from, &url]);
    assert_eq!((code, said), (Some(0), format!("nothing is set aside in {from}\n")));
    let (code, said) = folder.windlass(&["store", "copy", &from, &url, "--json", "--yes"]);
    assert!(code == Some(0) && said.contains("\"queued\":3"), "{said}");
}

#[test]
fn a_copy_tells_of_what_the_other_way_left_aside() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let url = server.url();
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..3)).done();
    set_full(&server, true);
    assert_eq!(place.run(&["store", "copy", "sqlite:windlass.db", &url, "--yes"]).code, 69);
    set_full(&server, false);
    let back = place.run(&["store", "copy", &url, "sqlite:windlass.db"]);
    assert!(back.code == 0 && back.stdout.starts_with("nothing to move in"), "{back:?}");
    assert!(back.stderr.contains("3 items are set aside"), "{back:?}");
    let file = place.path().join("windlass.db");
    for way in ["", "--undo "] {
        let typed = format!("windlass store copy {way}sqlite:{} {url}", file.display());
        assert!(back.stderr.contains(&typed), "{typed}: {back:?}");
    }
    let told = place.run(&["store", "copy", &url, "sqlite:windlass.db", "--json"]).json();
    assert_eq!((&told["queued"], &told["aside_in_target"]["items"]), (&json!(0), &json!(3)), "{told}");
}

#[test]
fn a_batch_for_one_store_does_not_go_to_another() {
    let place = Place::new();
    let (first, second) = (RedisServer::start(Options::default()), RedisServer::start(Options::default()));
    let copy_to = |server: &RedisServer| place.run(&["store", "copy", "sqlite:windlass.db", &server.url(), "--yes"]);
    place.run_with(&["enqueue", "--bulk", "-"], &lines(0..3)).done();
    set_full(&first, true);
    assert_eq!(copy_to(&first).code, 69);
    set_full(&first, false);
    // The first store takes the batch in, and the source does not get to know of it.
    snapshot(&place, "", "before");
    copy_to(&first).done();
    snapshot(&place, "before", "");
    let refused = copy_to(&second);
    assert_eq!(queued(&second), [""; 0], "the first store has them: {refused:?}");
    assert!(refused.code == 1 && refused.stderr.contains(&first.url()), "{refused:?}");
    let lost = place.run(&["store", "copy", "--undo", "sqlite:windlass.db"]);
    assert!(lost.code == 64 && lost.stderr.contains("--yes"), "nobody is asked, so a person is: {lost:?}");
    let said = place.run(&["store", "copy", "--undo", "sqlite:windlass.db", &first.url()]).done();
    assert!(said.contains("had taken in 3 items"), "{said}");
    assert_eq!(queued(&first).len(), 3);
    assert!(copy_to(&second).done().starts_with("nothing to move"));
}

#[test]
fn a_copy_says_what_it_did_and_refuses_what_cannot_be_meant() {
    let place = Place::new();
    let server = RedisServer::start(Options::default());
    let url = server.url();
    place.run(&["enqueue", "add", "--arg", "1"]).done();
    let asked = place.run(&["store", "copy", "sqlite:windlass.db", &url]);
    assert_eq!(asked.code, 64, "{asked:?}");
    assert!(asked.stderr.contains("Move 1 queued and 0 failed jobs") && asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(place.run(&["queues", "--json"]).json()["queues"][0]["length"], 1, "nothing was moved");
    place.run(&["queues", "pause", "math"]).done();
    let said = place.run(&["store", "copy", "sqlite:windlass.db", &url, "--yes"]).done();
    assert!(said.ends_with("and 1 pause: look by windlass queues, end them by windlass queues resume\n"), "{said}");
    let queues = place.run(&["--store", &url, "queues", "--json"]).json();
    assert_eq!(queues["queues"][0], json!({"queue": "math", "length": 1, "paused": true}), "{queues}");
    assert!(!place.run(&["queues"]).done().contains("paused"), "the pause has moved");
    place.run(&["--store", &url, "queues", "resume", "math"]).done();
    assert!(said.starts_with("moved 1 queued, 0 delayed and 0 failed jobs, 0 periodic tasks from sqlite:"), "{said}");
    let said = place.run(&["store", "copy", "sqlite:windlass.db", &url, "--yes"]).done();
    assert!(said.starts_with("nothing to move in sqlite:"), "{said}");
    let twice = place.run(&["store", "copy", &url, &url]);
    assert_eq!(
        (twice.code, twice.stderr.as_str()),
        (64, "windlass: both addresses name the same store: give two different stores\n")
    );
    assert_eq!(place.run(&["store", "copy", "nonsense", &url]).code, 64);
    let apart = place.run(&["store", "copy", &url, &url, "--to-namespace", "other", "--json", "--yes"]).json();
    assert_eq!(apart, json!({"queued": 1, "delayed": 0, "failed": 0, "periodic": 0}));
}
