//! Mutexes of values that stay whole whatever happens to who held them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic of who held it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
