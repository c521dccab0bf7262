//! Traces: the real daemon and command line, against a collector of the test's own. Built with the feature `otel` alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../http/client.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod client;
mod collector;
#[path = "../system/daemon.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod daemon;
#[path = "../system/http/server.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod server;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod export;
mod parents;

use crate::daemon::Folder;
use crate::support::redis::{Options, RedisServer};

/// What another program calls its span.
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// On both engines: a folder with these sections in its configuration.
fn both(sections: impl Fn() -> String, test: impl Fn(&Folder)) {
    let server = RedisServer::start(Options { tcp: false, durable: false });
    for store in ["sqlite:store.db", &server.url()] {
        test(&folder(store, &sections()));
    }
}

fn folder(store: &str, sections: &str) -> Folder {
    let folder = Folder::new(store, "");
    let text = folder.read("tasks.toml");
    std::fs::write(folder.path("tasks.toml"), format!("{text}\n{sections}")).unwrap();
    folder
}

/// Enqueues by the command line, with these variables.
#[track_caller]
fn enqueue(folder: &Folder, variables: &[(&str, &str)], args: &[&str]) {
    let mut command = folder.command(&[&["enqueue"], args].concat());
    let output = command.envs(variables.iter().copied()).output().expect("the binary must run");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
