//! The command line and its output.
//!
//! [`args`] defines the arguments, [`dispatch`] runs the command, [`output`] prints the result, [`exit`] maps errors to
//! exit codes. Results go to stdout, everything else to stderr.

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
