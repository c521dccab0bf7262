//! Locks that plugins hold.

use serde::Serialize;

use super::error::AdminError;
use crate::client::request::nearest;
use crate::job::own_keys::is_own;
use crate::store::handle::Store;
use crate::store::inspection::{DeleteLock, LockEntry, LockPlace, Locks};
use crate::store::role::Admin;
use crate::task::PluginSpec;
use crate::task::definition::Registry;

/// Among how many locks the nearest name is looked for.
const SUGGESTED_FROM: usize = 1000;
/// How many keys of a Redis one step looks at, about.
const KEYS: usize = 20_000;

/// A held lock.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct LockView {
    /// Its key, without namespace.
    pub key: String,
    /// Its value.
    pub value: String,
    /// How long it is still held, in milliseconds; `None` means for ever.
    pub ttl_ms: Option<u64>,
}

impl LockView {
    fn of(lock: LockEntry) -> Self {
        Self { key: lock.key, value: lock.value, ttl_ms: lock.ttl_ms }
    }
}

/// Some of the locks that are held.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockPage {
    /// The locks, by their keys.
    pub locks: Vec<LockView>,
    /// Are there more locks than the limit?
    pub more: bool,
}

/// Up to `limit` of the held locks. Where there are more, the store chooses which.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, limit: usize) -> Result<LockPage, AdminError> {
    let (mut locks, mut next) = (Vec::new(), Some(LockPlace::default()));
    // One more than the limit shows whether there are more.
    while let Some(from) = next.take().filter(|_| locks.len() <= limit) {
        let missing = (limit - locks.len()).saturating_add(1);
        let found = store.run(Locks { from, limit: missing, keys: KEYS }).await?;
        locks.extend(found.locks.into_iter().map(LockView::of));
        next = found.next;
    }
    locks.sort_by(|a, b| a.key.cmp(&b.key));
    let more = locks.len() > limit;
    locks.truncate(limit);
    Ok(LockPage { locks, more })
}

/// The next locks, at most `limit`, and where the rest begins. On Redis so few keys are looked at that a page may be short or
/// empty and have a rest all the same.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn page(
    store: &Store<Admin>,
    from: LockPlace,
    limit: usize,
) -> Result<(Vec<LockView>, Option<LockPlace>), AdminError> {
    let found = store.run(Locks { from, limit, keys: KEYS }).await?;
    Ok((found.locks.into_iter().map(LockView::of).collect(), found.next))
}

/// Did a task choose this key for a lock?
fn is_chosen(registry: &Registry, name: &str) -> bool {
    let mut plugins = registry.iter().flat_map(|task| &task.plugins);
    plugins.any(|plugin| match plugin {
        PluginSpec::QueueLock { key, .. } | PluginSpec::JobLock { key, .. } => key.as_deref() == Some(name),
        _ => false,
    })
}

/// Deletes a lock by its key, without namespace, or by the key that a task chose.
///
/// # Errors
/// Fails for a lock that is not held.
pub async fn delete(store: &Store<Admin>, registry: &Registry, key: &str) -> Result<(), AdminError> {
    let delete = |verbatim| store.run(DeleteLock { key: key.to_owned(), verbatim });
    if is_own(key, "") {
        return Err(AdminError::NotFound { what: "lock", name: key.to_owned(), suggestion: None });
    }
    // Outside of the namespace anything may stand under this name, so that a task must have chosen it.
    if delete(false).await? || (is_chosen(registry, key) && delete(true).await?) {
        return Ok(());
    }
    // No more than a page is looked at for a name that is like it.
    let (held, _) = page(store, LockPlace::default(), SUGGESTED_FROM).await?;
    let suggestion = nearest(key, held.iter().map(|lock| lock.key.as_str()));
    Err(AdminError::NotFound { what: "lock", name: key.to_owned(), suggestion })
}
