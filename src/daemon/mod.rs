//! The daemon: puts the rooms together, starts them in order, and ends them in order.

pub mod assemble;
pub mod extensions;
pub mod host;
pub mod lifecycle;
pub mod options;
mod reload;
pub mod run;
pub mod signal;
pub mod supervisor;
pub mod systemd;

pub use options::{RunError, RunOptions};
pub use run::run;
