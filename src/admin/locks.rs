//! Locks that plugins hold.

use serde::Serialize;

use super::error::AdminError;
use crate::client::request::nearest;
use crate::store::handle::Store;
use crate::store::inspection::{DeleteLock, Locks};
use crate::store::role::Admin;

/// A held lock.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockView {
    /// Its key, without namespace.
    pub key: String,
    /// Its value.
    pub value: String,
    /// How long it is still held, in milliseconds; `None` means for ever.
    pub ttl_ms: Option<u64>,
}

/// All held locks.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>) -> Result<Vec<LockView>, AdminError> {
    let mut locks: Vec<_> = store
        .run(Locks)
        .await?
        .into_iter()
        .map(|lock| LockView { key: lock.key, value: lock.value, ttl_ms: lock.ttl_ms })
        .collect();
    locks.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(locks)
}

/// Deletes a lock by its key, without namespace.
///
/// # Errors
/// Fails for a lock that is not held.
pub async fn delete(store: &Store<Admin>, key: &str) -> Result<(), AdminError> {
    if store.run(DeleteLock { key: key.to_owned() }).await? {
        return Ok(());
    }
    let held = list(store).await?;
    let suggestion = nearest(key, held.iter().map(|lock| lock.key.as_str()));
    Err(AdminError::NotFound { what: "lock", name: key.to_owned(), suggestion })
}
