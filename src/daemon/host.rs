//! Where this instance runs, and what it calls itself.

use crate::config::Config;
use crate::process::sweep;
use crate::store::instance::{HostIdentity, InstanceRecord};
use crate::task::Registry;

/// This process, as others on this machine can find it.
#[must_use]
pub fn identity() -> HostIdentity {
    let pid = std::process::id();
    HostIdentity {
        hostname: sweep::hostname(),
        boot_id: sweep::boot_id(),
        pid_namespace: sweep::pid_namespace(),
        pid,
        started_ticks: sweep::start_ticks(pid).unwrap_or_default(),
    }
}

/// The record under which an instance joins. `try_number` is 1, or more where other instances
/// already have the names before.
///
/// The host part of the name is not the bare host name: a Ruby `*` worker on the same host would
/// take us for dead and fail our jobs. It holds no colon, for a worker's id has exactly three parts.
#[must_use]
pub fn record(host: &HostIdentity, config: &Config, registry: &Registry, try_number: usize) -> InstanceRecord {
    let bare = host.hostname.replace(':', "-");
    let suffix = if try_number > 1 { format!("-{try_number}") } else { String::new() };
    InstanceRecord {
        id: InstanceRecord::new_id(),
        name: format!("{bare}-windlass{suffix}:{}", host.pid),
        queues: config.queues.as_configured(),
        host: host.clone(),
        processors: config.max_task_processors,
        lease_ms: u64::try_from(config.store.lease.as_millis()).unwrap_or(u64::MAX),
        periodic: registry.periodic().map(|task| task.name.to_string()).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
