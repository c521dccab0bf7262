//! The instances of Windlass on a store.

use serde::Serialize;

use super::error::AdminError;
use crate::store::handle::Store;
use crate::store::instance::{Halt, InstanceRecord, Instances};
use crate::store::role::Admin;

/// An instance.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct InstanceView {
    /// Random; new at each start.
    pub id: String,
    /// The first two parts of its workers' names, without the number.
    pub name: String,
    /// Its host.
    pub host: String,
    /// The daemon's process id there.
    pub pid: u32,
    /// The version of Windlass.
    pub version: String,
    /// The queues it works on, as configured.
    pub queues: String,
    /// How many processors it had at most.
    pub processors: usize,
    /// How long it may be silent, in milliseconds.
    pub lease_ms: u64,
    /// `working`, or `paused` or `draining` if it claims nothing.
    pub state: &'static str,
    /// Its periodic tasks.
    pub periodic: Vec<String>,
    /// How many tasks it has loaded; `None`: too many to tell.
    pub tasks: Option<usize>,
    /// The tasks that it skips because their files have mistakes, or those files; the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

impl InstanceView {
    /// What a listing is ordered by. Two containers may have one name.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.name, self.id)
    }

    fn of(record: InstanceRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            host: record.host.hostname,
            pid: record.host.pid,
            version: record.version,
            queues: record.queues,
            processors: record.processors,
            lease_ms: record.lease_ms,
            state: record.halt.map_or("working", Halt::name),
            periodic: record.periodic,
            tasks: record.tasks.map(|tasks| tasks.len()),
            skipped: record.skipped,
        }
    }
}

/// All registered instances, in order of their keys. One that died is there until it is recovered.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>) -> Result<Vec<InstanceView>, AdminError> {
    let mut all: Vec<_> = store.run(Instances).await?.into_iter().map(|state| InstanceView::of(state.record)).collect();
    all.sort_by_cached_key(InstanceView::key);
    Ok(all)
}
