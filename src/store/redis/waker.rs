//! A waker: its ears over a connection of its own, or over the store's until it gets one (`sharer`).

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::connection::{Connection, Origin};
use super::sharer::{Opened, Sharer};
use super::wake::{self, Ears};
use crate::store::backend::EngineWaker;
use crate::store::error::StoreError;
use crate::store::wake::{ArmedState, Watch};

/// A waker.
pub(in crate::store) struct RedisWaker {
    ears: RwLock<Arc<Ears>>,
    /// While it has no connection of its own.
    sharer: Mutex<Option<Sharer<Ears>>>,
}

impl RedisWaker {
    /// Opens one, over the store's connection if no other can be had.
    pub(super) async fn open(shared: &Arc<Connection>) -> Result<Self, StoreError> {
        let own = |origin: Origin| async move { wake::open(&origin).await };
        let (ears, sharer) = match Sharer::own_or_shared(shared, own).await? {
            Opened::Own(ears) => (ears, None),
            Opened::Shared(sharer) => (wake::over(Arc::clone(shared)), Some(sharer)),
        };
        Ok(Self { ears: RwLock::new(Arc::new(ears)), sharer: Mutex::new(sharer) })
    }

    fn ears(&self) -> Arc<Ears> {
        Arc::clone(&self.ears.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over its own connection once there is one.
    fn take_over(&self) {
        let mut sharer = self.sharer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = sharer.as_mut().and_then(Sharer::own) {
            *self.ears.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
            *sharer = None;
        }
    }
}

impl EngineWaker for RedisWaker {
    async fn arm(&self, watch: &Watch) -> Result<ArmedState, StoreError> {
        self.take_over();
        self.ears().arm(watch).await
    }

    async fn woken(&self) {
        self.ears().woken().await;
    }

    async fn check(&self) -> Result<bool, StoreError> {
        self.ears().check().await
    }
}
