//! Another program removes or overwrites a key under a running daemon.

use std::fs;
use std::time::Duration;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

/// What is known of instances and of what is to be done; the last is the lane of an instance.
const KEYS: [&str; 11] = [
    "windlass:leases",
    "windlass:instances",
    "windlass:names",
    "windlass:birth",
    "windlass:identity",
    "windlass:periodic",
    "windlass:schedules",
    "windlass:paused",
    "workers",
    "queues",
    "windlass:lane:*",
];

/// Two extensions of the lease fit into it, and not a whole lease.
const FOR_A_WHILE: Duration = Duration::from_millis(2_200);

/// Breaks each key in turn while a job runs. The job must be run to its end, and so must one that is enqueued afterwards.
fn breaks_each(break_it: impl Fn(&RedisServer, &str)) {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    folder.script("gated", "echo >>begun; until [ -e gate ]; do sleep 0.02; done; echo >>ended");
    folder.script("note", "echo >>notes");
    folder.script("often", "true");
    let periodic = fs::read_to_string(folder.path("tasks.d/often.toml")).expect("it was just written");
    fs::write(folder.path("tasks.d/often.toml"), format!("frequency = \"1h\"\n{periodic}")).expect("it can be written");
    let daemon = folder.daemon();
    let count = |file: &str| folder.read(file).lines().count();
    for (round, key) in KEYS.iter().enumerate() {
        let begun = count("begun");
        assert_eq!(folder.windlass(&["enqueue", "gated"]).0, Some(0));
        eventually(key, || count("begun") > begun);
        let found = server.command(&["KEYS", &format!("resque:{key}")]).texts();
        for key in if found.is_empty() { vec![format!("resque:{key}")] } else { found } {
            break_it(&server, &key);
        }
        assert_eq!(folder.windlass(&["enqueue", "note"]).0, Some(0), "{key}");
        eventually(&format!("{key}: works on"), || count("notes") == round + 1);
        fs::write(folder.path("gate"), "").expect("the gate must open");
        eventually(&format!("{key}: the job is run to its end"), || count("ended") > round);
        let nothing_left = || server.command(&["EVAL", LEFT, "0"]).texts().is_empty();
        eventually(&format!("{key}: no job is left on record or on a queue"), nothing_left);
        assert_eq!(count("ended"), round + 1, "{key}: {}", daemon.log());
        fs::remove_file(folder.path("gate")).expect("the gate must close");
    }
    let failed = folder.windlass(&["--json", "failed"]).1;
    assert!(!failed.contains("gated"), "{failed}");
    daemon.stop();
}

/// The working records and the queues there are.
const LEFT: &str = "local left = {} \
    for _, key in ipairs(redis.call('KEYS', 'resque:worker:*:*+*:*')) do \
      if not string.find(key, ':started$') then left[#left + 1] = key end end \
    for _, key in ipairs(redis.call('KEYS', 'resque:queue:*')) do left[#left + 1] = key end \
    return left";

#[test]
fn a_key_that_is_removed_costs_no_job_and_does_not_stop_the_daemon() {
    breaks_each(|server, key| drop(server.command(&["DEL", key])));
}

#[test]
fn a_key_that_is_of_another_type_for_a_while_costs_no_job_and_does_not_stop_the_daemon() {
    breaks_each(|server, key| {
        server.command(&["SET", key, "x"]);
        // What the daemon does meanwhile is what is tested.
        std::thread::sleep(FOR_A_WHILE);
        server.command(&["DEL", key]);
    });
}

/// Without them no instance can be registered, and what stands there may be somebody's.
#[test]
fn a_daemon_that_cannot_register_says_which_key_is_in_the_way_and_what_to_type() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    for key in ["windlass:leases", "windlass:instances", "windlass:names"] {
        let key = format!("resque:{key}");
        server.command(&["SET", &key, "x"]);
        let (code, said) = folder.windlass(&["run"]);
        assert!(code != Some(0) && said.contains("WRONGTYPE"), "{said}");
        assert!(said.contains(&format!(" RENAMENX {key} {key}.aside")), "{said}");
        server.command(&["RENAMENX", &key, &format!("{key}.aside")]);
        let daemon = folder.daemon_with_log(&key);
        daemon.wait_log("[ worker ] started");
        daemon.stop();
    }
    // An instance without workers is one all the same, and has them once the key is out of the way.
    server.command(&["SET", "resque:workers", "x"]);
    let daemon = folder.daemon_with_log("workers");
    daemon.wait_log(" RENAMENX resque:workers resque:workers.aside");
    server.command(&["RENAMENX", "resque:workers", "resque:workers.aside"]);
    daemon.wait_log("[ worker ] started");
    daemon.stop();
}
