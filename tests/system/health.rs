//! What `health` says: of instances that work, hang, or are not there.

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, signal};
use crate::support::redis::{Options, RedisServer};

#[test]
fn an_instance_is_healthy_while_it_extends_its_lease() {
    let folder = Folder::new("sqlite:store.db", "");
    watch(&folder);
}

#[test]
fn the_same_holds_on_redis_and_a_server_that_is_gone_is_told_apart() {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    let folder = Folder::new(&server.url(), "");
    watch(&folder);
    drop(server);
    assert_eq!(folder.windlass(&["health"]).0, Some(69));
}

/// Nobody is there; one works; it hangs; it works again; a scheduler without workers is healthy too.
fn watch(folder: &Folder) {
    folder.script("t", "true");
    assert_eq!(folder.windlass(&["enqueue", "t"]).0, Some(0));
    let (code, said) = folder.windlass(&["health"]);
    assert!(code == Some(1) && said.contains("no instance of this machine is registered"), "{code:?}: {said}");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    let (code, said) = folder.windlass(&["health"]);
    assert!(code == Some(0) && said.ends_with(" works\n"), "{code:?}: {said}");
    let proper = daemon.proper();
    signal(proper, Signal::STOP);
    let (code, said) = folder.windlass(&["health", "--json"]);
    let health: Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!((code, &health["healthy"], &health["instances"][0]["extends"]), (Some(1), &false.into(), &false.into()));
    assert_eq!(health["instances"][0]["pid"], proper);
    signal(proper, Signal::CONT);
    daemon.stop();
    let mut command = folder.command(&["run", "--min", "0", "--max", "0"]);
    command.env("WINDLASS_LOG", "info");
    let scheduler = folder.start(command, "scheduler");
    scheduler.wait_log("scheduler leader");
    let (code, said) = folder.windlass(&["health"]);
    assert!(code == Some(0) && said.ends_with(" works\n"), "{code:?}: {said}");
    scheduler.stop();
}
