//! What is told to the outside of what happens inside. Listens to events; nothing calls it.

mod capture;
pub mod format;
pub mod log;
pub mod log_line;
pub mod redact;
pub mod stderr;
