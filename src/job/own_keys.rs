//! The keys of a namespace under which the Redis engine and the programs that share it keep what they know. A lock that somebody
//! names must have another: a lock is freed by removing its key.

/// Names that a key has or begins with, a `:` behind them.
const OWN: [&str; 17] = [
    "queues",
    "queue",
    "delayed_queue_schedule",
    "delayed",
    "timestamps",
    "workers",
    "worker",
    "stat",
    "failed",
    "failed_queues",
    "pause-all-workers",
    "paused",
    "resque_scheduler_leader_lock",
    "resque_scheduler_master_lock",
    "resque-retry",
    "failure-resque-retry",
    "windlass",
];

/// Is this key of this namespace one of them? Its name is what follows the namespace.
#[must_use]
pub fn is_own(name: &str, namespace: &str) -> bool {
    // resque-scheduler puts the namespace before a key that has it already.
    let again = name.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(':'));
    let is = |name: &str| {
        OWN.iter().any(|own| name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
    };
    is(name) || again.is_some_and(is)
}
