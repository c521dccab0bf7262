//! The daemon: connects the rooms, and starts and ends them in order.

#[cfg(feature = "web")]
pub mod alone;
pub mod assemble;
mod changes;
mod descriptors;
pub(crate) mod directions;
mod ending;
pub mod extensions;
pub mod handover;
pub mod host;
pub mod lifecycle;
pub mod notify;
pub mod options;
mod orphaned;
mod panics;
mod reload;
pub mod run;
mod running_scheduler;
mod signal;
mod stops;
mod succession;
pub mod supervisor;
pub mod systemd;
pub(crate) mod traces;
mod warnings;
mod watchdog;
pub mod web;
mod wishes;

pub use options::{RunError, RunOptions};
pub use run::run;
