//! How a task's job is performed: a process, a request, or something built in.

pub mod builtin;
pub mod contract;
pub mod dispatch;
pub(crate) mod exec;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(feature = "http")]
pub(crate) mod http;
mod job_line;
pub mod kept_output;
pub mod lease_watch;
mod process_settings;
pub(crate) mod render;
#[cfg(feature = "rpc")]
pub(crate) mod rpc;
pub mod typed;

pub use builtin::Builtins;
pub use contract::{Handler, Invocation, StartedRun, Stop};
pub use dispatch::Dispatch;
