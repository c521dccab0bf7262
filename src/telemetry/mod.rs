//! The log. It listens to events; other rooms emit events instead of calling it.

mod capture;
#[cfg(test)]
mod every_event;
pub mod format;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod log;
pub mod log_line;
pub mod redact;
pub mod stderr;
