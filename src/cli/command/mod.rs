//! The commands, one a file.

pub(super) mod audit;
pub(super) mod check;
mod complaints;
#[cfg(feature = "web")]
pub(super) mod dashboard;
pub(super) mod delayed;
mod delayed_moves;
pub(super) mod enqueue;
mod enqueue_many;
pub(super) mod explain;
pub(super) mod failed;
mod failed_text;
pub(super) mod generate;
pub(super) mod health;
pub(super) mod history;
pub(super) mod locks;
pub(super) mod manual;
pub(super) mod outputs;
pub(super) mod overview;
pub(super) mod perform;
pub(super) mod periodic;
pub(super) mod plan;
pub(super) mod queues;
pub(super) mod running;
pub(super) mod store;
pub(super) mod tasks;
mod unloaded;
pub(super) mod waiting;
mod watching;
pub(super) mod workers;
