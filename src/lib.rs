//! Windlass: a Resque-compatible background job daemon.
//!
//! The binary is a thin shell around this crate. The rooms, from the bottom up; a room imports
//! only rooms of lower levels (`tests/house.rs` holds the table):
//!
//! | level | rooms |
//! |---|---|
//! | 0 | [`clock`], [`backoff`], [`curve`], [`job`], [`supervise`], [`text`] |
//! | 1 | [`file`](mod@file) |
//! | 2 | [`config`], [`event`], [`process`] |
//! | 3 | [`task`], [`store`], [`telemetry`] |
//! | 4 | [`plugin`], [`handler`] |
//! | 5 | [`client`], [`pool`] |
//! | 6 | [`scheduler`], [`admin`] |
//! | 7 | [`http`] |
//! | 8 | [`daemon`] |
//! | 9 | [`cli`] |
//!
//! What a later version may extend is `#[non_exhaustive]`: errors, events, outcomes, views and settings. Such values
//! are made by their `new`, and a `match` on them needs a last arm for all else. Arrows of the [`store`] are not,
//! because layers build them.

// Test code shared by unit tests and integration tests names this crate `windlass` in both.
#[cfg(test)]
extern crate self as windlass;

pub mod admin;
pub mod backoff;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod curve;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod event;
pub mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "daemon")]
pub mod handler;
#[cfg(feature = "web")]
pub mod http;
pub mod job;
pub mod plugin;
#[cfg(feature = "daemon")]
pub mod pool;
pub mod prelude;
pub mod process;
#[cfg(feature = "daemon")]
pub mod scheduler;
pub mod store;
pub mod supervise;
pub mod task;
#[cfg(feature = "daemon")]
pub mod telemetry;
pub mod text;
