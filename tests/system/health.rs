//! What `health` says: of instances that work, hang, or are not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Folder, eventually, signal};
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

/// All keys of an instance but that of its lanes.
const WITHOUT_LANES: [&str; 5] = [
    "~resque:[a-vx-z]*",
    "~resque:w[a-hj-z]*",
    "~resque:windlass:[a-km-z]*",
    "~resque:windlass:l[b-z]*",
    "~resque:windlass:[A-Z_]*",
];

#[test]
fn an_instance_whose_exchanges_are_refused_is_not_healthy_although_it_extends_its_lease() {
    let server = RedisServer::start(Options::default());
    let allow = |rules: &[&str]| server.command(&[&["ACL", "SETUSER", "poor"], rules].concat());
    allow(&["on", ">p", "~*", "&*", "+@all"]);
    let folder = Folder::new(&server.url().replace("redis+unix://", "redis+unix://poor:p@"), "");
    // It holds a password.
    fs::set_permissions(folder.path("tasks.toml"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    folder.reconfigure("[store]", "[http]\nlisten = \"127.0.0.1:0\"\n[store]");
    folder.script("note", "echo done >>notes");
    let daemon = folder.daemon();
    daemon.wait_log("[ worker ] started");
    assert_eq!(folder.windlass(&["health"]).0, Some(0));
    allow(&["resetkeys"]);
    allow(&WITHOUT_LANES);
    let job = "{\"class\":\"note\",\"queue\":\"default\",\"args\":[{}]}";
    server.command(&["RPUSH", "resque:queue:default", job]);
    daemon.wait_log("no jobs could be exchanged with the store for 6s");
    let health = || folder.document(&["health"]);
    eventually("others are told", || health().0 == Some(1));
    let (_, told) = health();
    let one = &told["instances"][0];
    assert_eq!((&told["healthy"], &one["extends"]), (&false.into(), &true.into()), "{told}");
    assert!(one["stuck"]["why"].as_str().is_some_and(|why| !why.is_empty()), "{told}");
    assert!(one["stuck"]["since"]["at"].is_string(), "{told}");
    let (_, said) = folder.windlass(&["health"]);
    assert!(said.contains("cannot exchange jobs with the store since 20"), "{said}");
    allow(&["~*"]);
    eventually("the job is run", || folder.path("notes").exists());
    daemon.wait_log("jobs are exchanged with the store again");
    eventually("it is healthy again", || folder.windlass(&["health"]).0 == Some(0));
    daemon.stop();
}
