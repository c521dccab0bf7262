//! What is told to the outside of what happens inside. Listens to events; nothing calls it.

pub mod format;
pub mod line;
pub mod log;
pub mod redact;
