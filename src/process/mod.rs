//! One child process: argv, environment, process group, output, end. Knows no jobs.
//!
//! `sweep` is the other half: processes that somebody else left behind, found in `/proc`.

pub mod child;
pub mod command;
pub mod confine;
pub mod duplex;
mod groups;
pub mod leftovers;
pub mod lines;
pub mod mark;
pub mod output;
pub mod signal;
pub mod spawn_retry;
pub mod sweep;
pub mod terminate;

pub use child::{Child, Input, Running};
pub use command::{Command, SpawnError};
pub use confine::Confines;
pub use duplex::Duplex;
pub use output::{Output, OutputLine, Source, Tail};
pub use signal::signal_name;
