//! JobLock: at most one job of the same class, queue and arguments runs.
//!
//! node-resque's `JobLock`, with a value that names the owner: node-resque never reads it, so the
//! lock can be compared before it is freed.

use crate::job::{Args, LockKey};

/// The plugin's name, as refusals carry it.
pub const NAME: &str = "JobLock";

/// The lock of a job, or the key that the task chose.
#[must_use]
pub fn key(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::job_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}
