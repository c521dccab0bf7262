//! Handlers in this process, by name.

pub mod log;
pub mod noop;
pub mod registry;
pub mod sleep;

pub use registry::Builtins;
