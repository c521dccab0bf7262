//! The daemon: puts the rooms together, starts them in order, and ends them in order.

pub mod assemble;
pub mod extensions;
pub mod host;
pub mod lifecycle;
mod reload;
pub mod run;
pub mod signal;
pub mod supervisor;
pub mod systemd;

pub use run::{RunError, RunOptions, run};
