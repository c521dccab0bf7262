//! How a task's job is performed: a process, or something built in.

pub mod builtin;
pub mod contract;
pub mod dispatch;
pub mod exec;

pub use contract::{Begun, Handler, Invocation, Stop};
