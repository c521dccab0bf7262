//! Text that others wrote, made fit to be shown: clean and in one line.

pub mod clean;
