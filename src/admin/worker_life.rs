//! Whether a worker lives, and the removal of one that does not.

use super::error::AdminError;
use super::workers::{CleanedWorker, force_clean, not_found, pick};
use crate::store::handle::Store;
use crate::store::instance::{InstanceState, Instances};
use crate::store::role::Admin;
use crate::store::scheduling::ReadTime;
use crate::store::workers::{ReadWorkers, Registered, WorkerNames};
use crate::task::definition::Registry;

/// How long a worker of another program may be silent: node-resque pings at each poll.
const FOREIGN_MS: i64 = 60_000;
/// How old the ping of one of ours may be at least, however short the lease is: an idle worker is pinged every 5 s.
const LEAST_MS: i64 = 7000;
/// How much of what a worker has is read: its ping tells its time first.
const PING: usize = 512;

/// Removes a worker by its name (two parts) or its id (three), as [`force_clean`] does, unless it may be alive.
///
/// # Errors
/// Fails for a worker that is not registered, and for one that pinged lately or never.
pub async fn clean_dead(
    store: &Store<Admin>,
    registry: &Registry,
    name: &str,
    host: &str,
    now_ms: i64,
) -> Result<CleanedWorker, AdminError> {
    let (names, instances, store_ms) =
        tokio::join!(store.run(WorkerNames { limit: usize::MAX }), store.run(Instances), store.run(ReadTime));
    let (names, instances, store_ms) = (names?, instances?, store_ms?);
    let Some(index) = pick(&names, name)? else { return Err(not_found(&names, name)) };
    let Some(worker) = names.get(index).cloned() else { return Err(not_found(&names, name)) };
    let read = store.run(ReadWorkers { workers: vec![worker], longest: PING }).await?.into_iter().next();
    let Some(registered) = read else { return Err(not_found(&names, name)) };
    if let Some(reason) = life(&registered, &instances, store_ms) {
        return Err(AdminError::Alive { worker: registered.worker.id().to_owned(), reason });
    }
    force_clean(store, registry, registered.worker.id(), host, now_ms).await
}

/// What tells that it may live, if something does.
fn life(worker: &Registered, instances: &[InstanceState], now_ms: i64) -> Option<String> {
    let Some(pinged_s) = worker.pinged_s else {
        return Some("never pings, so that nothing tells whether it lives".to_owned());
    };
    let owner = worker.worker.name().rsplit_once('+').map(|(name, _)| name);
    let instance = instances.iter().find(|one| Some(one.record.name.as_str()) == owner);
    let patience_ms =
        instance.map_or(FOREIGN_MS, |one| i64::try_from(one.record.lease_ms).unwrap_or(i64::MAX).max(LEAST_MS));
    let silent_ms = now_ms.saturating_sub(pinged_s.saturating_mul(1000));
    (silent_ms <= patience_ms).then(|| format!("lives: it pinged {} s ago", silent_ms.max(0) / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::WorkerName;

    #[test]
    fn who_pinged_lately_lives_and_of_who_never_pings_nothing_is_known() {
        let worker =
            |pinged_s| Registered { worker: WorkerName::parse("web:7:mail"), pinged_s, started: None, working: None };
        let told = |pinged_s| life(&worker(pinged_s), &[], 1_000_000_000);
        assert!(told(Some(999_950)).is_some_and(|told| told.contains("50 s ago")));
        assert!(told(Some(1_000_007)).is_some(), "its clock is ahead");
        assert_eq!(told(Some(999_939)), None);
        assert!(told(None).is_some_and(|told| told.contains("never pings")));
    }
}
