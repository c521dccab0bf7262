//! The store: where jobs live. A contract of arrows, and two engines behind it.
//!
//! * [`arrow`]: what an arrow is; [`role`]: who may run which; [`handle`]: the one way in, which every arrow passes.
//! * [`queueing`], [`instance`]: what clients and the pool do to jobs, and an instance's place.
//! * [`scheduling`], [`workers`], [`periodic`]: what the scheduler does to them.
//! * [`inspection`], [`delayed`]: what people look at and correct; [`moving`]: from one store to another.
//! * [`layer`]: what stands between a handle and its engine, [`faults`] among it; [`meter`]: how long arrows take.
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

pub mod arrow;
pub mod backend;
pub mod delayed;
pub mod effect;
pub mod engine;
pub mod error;
pub mod faults;
pub mod findings;
pub mod handle;
pub mod inspection;
pub mod instance;
pub mod layer;
pub mod meter;
pub mod moving;
pub mod open;
pub mod periodic;
pub mod queueing;
#[cfg(feature = "redis")]
pub mod redis;
pub mod registration;
pub mod role;
pub mod scheduling;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stored;
pub mod unreadable;
pub mod wake;
pub mod workers;
pub mod working;

#[cfg(test)]
#[path = "../../tests/support/verbs.rs"]
mod verbs;

pub use backend::TimeSource;
pub use error::StoreError;
pub use handle::{Lane, Store, Waker};
