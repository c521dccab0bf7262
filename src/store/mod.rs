//! The store of the jobs: a contract of arrows, and two engines that implement it.
//!
//! * [`arrow`]: what an arrow is; [`role`]: who may run which; [`handle`]: through which all arrows are run.
//! * [`queueing`], [`instance`]: the arrows of clients, of the pool and of an instance.
//! * [`scheduling`], [`workers`], [`periodic`]: the arrows of the scheduler.
//! * [`sampling`]: how long jobs wait, as the leader tells it to all; [`snapshot`]: what it tells.
//! * [`inspection`], [`delayed`], [`runs`], [`wishes`], [`history`]: the arrows for people; [`moving`]: those that move jobs to another
//!   store.
//! * [`layer`]: layers between a handle and its engine, such as [`faults`]; [`meter`]: how long arrows take.
//!
//! Arrows, the values in them and their replies are plain structs and enums that anybody can build and match, because
//! a [`layer`] changes arrows and answers in the store's place. A field or variant more is a breaking change.
//!
//! Every arrow that changes a job's state is one atomic step in the engine: one Lua script on
//! Redis, one transaction on SQLite. The two engines carry the same file names, so that comparing
//! the folders reviews their parity.

#![cfg_attr(
    not(all(feature = "redis", feature = "sqlite")),
    allow(dead_code, reason = "what only an engine that was left out uses")
)]

pub mod access;
pub mod announce;
pub mod arrow;
pub mod audit;
pub mod backend;
pub mod delayed;
pub mod effect;
pub mod engine;
pub mod error;
pub mod failed_part;
pub mod faults;
pub mod findings;
pub mod handle;
pub mod history;
pub mod inspection;
pub mod instance;
pub mod jobs_part;
pub mod layer;
pub mod listed;
pub mod marks;
pub mod meter;
pub mod moving;
mod mutex;
pub mod open;
pub mod operations;
pub mod outage;
pub mod path;
pub mod periodic;
pub mod queueing;
#[cfg(feature = "redis")]
pub mod redis;
pub mod registration;
pub mod rejoin;
pub mod role;
pub mod room;
pub mod runs;
pub mod sampling;
pub mod scheduling;
pub mod server_state;
pub mod showing;
pub mod snapshot;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stored;
pub mod unreadable;
pub mod wake;
pub mod wishes;
pub mod workers;
pub mod working;

#[cfg(test)]
#[path = "../../tests/support/verbs.rs"]
mod verbs;

pub use backend::TimeSource;
pub use error::StoreError;
pub use handle::{Lane, Store, Waker};
