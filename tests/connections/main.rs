//! Every way to reach a Redis, with the real binary against real servers: passwords and access control lists, TLS,
//! unix sockets, Sentinel, Cluster, and what is said when it cannot be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../system/daemon.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod daemon;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

mod cluster;
mod login;
mod long;
mod node;
mod place;
mod refused;
mod sentinel;
mod tls;
