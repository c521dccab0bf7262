//! Child processes: argv, environment, process group, output and end. This room knows nothing of jobs.
//!
//! `sweep` and `leftovers` handle processes that another daemon left behind; they find them in `/proc`.

pub mod background;
pub mod child;
pub mod command;
pub mod confine;
pub mod daemons;
pub mod duplex;
mod groups;
pub mod inherited;
pub mod inherited_signals;
pub mod leftovers;
pub mod lines;
pub mod mark;
pub mod memory_kill;
pub mod output;
mod pipes;
pub mod private;
pub mod runnable;
pub mod shim;
mod shim_word;
pub mod signal;
pub mod spawn_error;
pub mod spawn_retry;
pub(crate) mod splitter;
pub mod status_slot;
mod strays;
pub mod sweep;
pub mod terminate;
pub mod usage;

pub use crate::file::shortage::is_shortage;
pub use child::{Child, Input, Running};
pub use command::Command;
pub use confine::Confines;
pub use duplex::Duplex;
pub use output::{Output, OutputLine, Source, Tail};
pub use shim_word::{ShimWord, Unbegun};
pub use signal::signal_name;
pub use spawn_error::SpawnError;
