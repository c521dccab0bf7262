//! Requests with a key that are under way, so that a second one with the same key does not do their work beside them.
//!
//! It knows those of this process. Those of others meet in the store, where only the first leaves a mark.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::once::OnceKey;

/// The keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Underway(Arc<Mutex<HashSet<OnceKey>>>);

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Begun {
    all: Underway,
    key: OnceKey,
}

impl Underway {
    /// Begins one; `None` if another one with this key is under way.
    pub(super) fn begin(&self, key: &OnceKey) -> Option<Begun> {
        self.lock().insert(key.clone()).then(|| Begun { all: self.clone(), key: key.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<OnceKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_with_a_key_is_under_way_at_a_time() {
        let (underway, key) = (Underway::default(), OnceKey::new("", "k").unwrap());
        let begun = underway.begin(&key);
        assert!(begun.is_some() && underway.begin(&key).is_none());
        assert!(underway.begin(&OnceKey::new("", "other").unwrap()).is_some());
        drop(begun);
        assert!(underway.begin(&key).is_some());
    }
}
