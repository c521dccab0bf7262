//! The identity and the name of this instance.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::config::element::store_url::StoreUrl;
use crate::config::model::StoreConfig;
use crate::job::run_counts::millis;
use crate::pool::Work;
use crate::process::{daemons, mark, sweep};
use crate::store::instance::{HostIdentity, InstanceRecord};

/// The identity of this process, by which others on this machine can find it.
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

/// Marks this process, whose identity is `host`. Everything that it starts inherits the mark. False if that is not
/// possible.
#[must_use]
pub fn mark(host: &HostIdentity) -> bool {
    let HostIdentity { hostname: _, boot_id, pid_namespace, pid, started_ticks } = host;
    let (pid_namespace, pid, started_ticks) = (*pid_namespace, *pid, *started_ticks);
    mark::apply(mark::Daemon { boot_id, pid_namespace, pid, started_ticks })
}

/// Names the store that was just opened, so that this process and everything that it starts tells for which store it works.
pub fn name_store(config: &StoreConfig) {
    mark::name_store(&store_identity(config));
    daemons::show();
}

/// By what a store differs from every other one. A copy of a store has another identity: another file, or a server at another
/// address.
#[must_use]
pub fn store_identity(config: &StoreConfig) -> String {
    match &config.url {
        StoreUrl::Sqlite(path) => match fs::metadata(path) {
            Ok(file) => format!("file {} {}", file.dev(), file.ino()),
            Err(_) => format!("file {}", path.display()),
        },
        // The same address leads to another server from another network.
        url @ StoreUrl::Redis(_) => {
            let network = fs::metadata("/proc/self/ns/net").map(|network| network.ino()).unwrap_or_default();
            format!("server {network} {url} {}", config.namespace)
        }
    }
}

/// The record with which an instance joins. `try_number` is 1, or higher if other instances have the names before.
///
/// The host part of the name is not the bare host name, because a Ruby `*` worker on the same host would take this
/// instance for dead and fail its jobs. It holds no colon, because a worker's id has exactly three parts.
#[must_use]
pub fn record(host: &HostIdentity, work: &Work, try_number: usize) -> InstanceRecord {
    let Work { config, periodic, tasks, broken, .. } = work;
    let bare = host.hostname.replace(':', "-");
    let suffix = if try_number > 1 { format!("-{try_number}") } else { String::new() };
    let mut record = InstanceRecord {
        id: InstanceRecord::new_id(),
        name: format!("{bare}-windlass{suffix}:{}", host.pid),
        queues: config.queues.as_configured(),
        former_queues: Vec::new(),
        host: host.clone(),
        processors: config.max_task_processors,
        lease_ms: millis(config.store.lease),
        periodic: periodic.to_vec(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: work.queues_given,
    };
    record.tell_tasks(tasks, broken.labels());
    record
}
