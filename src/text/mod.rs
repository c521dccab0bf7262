//! Text that others wrote: made fit to be shown (clean, in one line, bounded), or decoded.

pub mod clean;
pub mod count;
pub mod cut;
pub mod percent;
pub mod redact;
pub mod shell;
