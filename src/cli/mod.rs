//! The command line: what people and scripts say, and what they are told.
//!
//! [`args`] is what may be said, [`dispatch`] finds the command for it, [`output`] tells the
//! answer, [`exit`] is how it ends. Answers go to stdout, everything else to stderr.

pub mod args;
pub mod command;
pub mod confirm;
pub mod context;
pub mod dispatch;
pub mod exit;
pub mod output;
pub mod program;
pub mod value;

pub use dispatch::main;
pub use program::Program;
