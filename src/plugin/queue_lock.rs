//! QueueLock: at most one job of the same class, queue and arguments waits in the queue.
//!
//! node-resque's `QueueLock`: taken before enqueue, freed before perform, whoever took it.

use crate::job::{Args, LockKey};

/// The plugin's name, as refusals carry it.
pub const NAME: &str = "QueueLock";

/// The lock of a job, or the key that the task chose.
#[must_use]
pub fn key(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::queue_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}
