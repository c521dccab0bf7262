//! The command line and its output.
//!
//! `args` defines the arguments, `dispatch` runs the command, `output` prints the result (`table` lays it out), `exit` maps errors to exit
//! codes. Results go to stdout, everything else to stderr. A program that is built from the library uses [`Program`].

mod args;
mod audited;
mod command;
mod context;
mod dispatch;
mod exit;
mod fields;
mod here;
mod input;
mod manner;
mod meant;
mod missing;
mod output;
mod past_runs;
mod program;
mod progress;
mod sample;
mod table;
mod told;
mod traced;
mod value;
mod watch;
mod zones;

pub use dispatch::main;
pub use program::Program;
