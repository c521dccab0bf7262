//! Tests that hold on each engine.

use crate::daemon::Folder;
use crate::support::redis::{Options, RedisServer};

/// Runs a test over a file, and over a server of its own.
pub(crate) fn on_both(test: impl Fn(&Folder)) {
    test(&Folder::new("sqlite:jobs.db", ""));
    let server = RedisServer::start(Options { tcp: false, durable: false });
    test(&Folder::new(&server.url(), ""));
}
