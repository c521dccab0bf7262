//! The HTTP server of the real daemon, as clients, proxies and strangers meet it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod support;

#[path = "../system/daemon.rs"]
#[expect(dead_code, reason = "other test crates use the rest of it")]
mod daemon;

mod alone;
mod bulk;
mod changes;
mod client;
mod corrections;
mod dashboard;
mod dashboard_failed;
mod enqueue;
mod events;
mod guards;
mod health;
mod limits;
mod listening;
mod looks;
mod metrics;
mod once;
mod operations;
mod pages;
mod reads;
mod runs;
mod world;
