//! Text that others wrote, made fit to be shown: clean, in one line, and bounded.

pub mod clean;
pub mod cut;
pub mod redact;
pub mod shell;
