//! The commands, one a file.

pub mod check;
pub mod delayed;
pub mod enqueue;
pub mod failed;
pub mod generate;
pub mod jobs;
pub mod locks;
pub mod overview;
pub mod perform;
pub mod periodic;
pub mod plan;
pub mod queues;
pub mod run;
pub mod store;
pub mod tasks;
pub mod workers;
