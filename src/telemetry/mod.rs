//! What is told to the outside of what happens inside. Listens to events; nothing calls it.

mod capture;
pub mod format;
pub mod line;
pub mod log;
pub mod redact;
pub mod say;
mod sink;
