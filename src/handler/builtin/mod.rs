//! Handlers that run in this process, by name.

pub mod registry;
pub mod standard;

pub use registry::Builtins;
