//! The keys of the two locks that node-resque's plugins take.
//!
//! QueueLock: at most one job of the same class, queue and arguments waits in the queue. It is taken before enqueue and
//! freed before perform, no matter which job took it.
//!
//! JobLock: at most one job of the same class, queue and arguments runs. Its value names the owner: node-resque never
//! reads the value, so the lock can be compared before it is freed.

use crate::job::{Args, LockKey};

/// The name of QueueLock, as refusals carry it.
pub(crate) const QUEUE_LOCK: &str = "QueueLock";
/// The name of JobLock, as refusals carry it.
pub(crate) const JOB_LOCK: &str = "JobLock";

/// The QueueLock of a job, or the key that the task chose.
#[must_use]
pub(crate) fn queue_lock(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::queue_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}

/// The JobLock of a job, or the key that the task chose.
#[must_use]
pub(crate) fn job_lock(own: Option<&str>, class: &str, queue: &str, args: &Args) -> LockKey {
    own.map_or_else(|| LockKey::job_lock(class, queue, args.as_str()), |key| LockKey::Verbatim(key.to_owned()))
}
