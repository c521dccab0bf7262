//! The store: where jobs live. A contract of three traits by holder, and two engines behind it.
//!
//! * [`queueing`]: what clients and the pool do to jobs.
//! * [`scheduling`]: what the scheduler does to them.
//! * [`inspection`]: what people look at and correct.
//!
//! Every method that changes a job's state is one arrow of its life and one atomic step in the
//! engine: one Lua script on Redis, one transaction on SQLite. The two engines carry the same file
//! names, so that comparing the folders reviews their parity.

pub mod effect;
pub mod engine;
pub mod error;
pub mod inspection;
pub mod instance;
pub mod layer;
pub mod moving;
pub mod open;
pub mod queueing;
pub mod redis;
pub mod scheduling;
pub mod sqlite;
pub mod wake;
pub mod working;

pub use engine::{Store, TimeSource};
pub use error::StoreError;
