//! What an engine has besides its arrows: the connections that it opens, and its source of time.

use std::sync::Arc;

use super::error::StoreError;
use super::queueing::{Exchange, Exchanged};
use super::wake::{ArmedState, Watch};
use crate::clock::Clock;

/// An engine that opens lanes and wakers.
pub(super) trait Opens {
    /// The connection for exchanges.
    type Lane: EngineLane;
    /// The connection that is told of changes.
    type Waker: EngineWaker;
    /// As [`Store::lane`](super::handle::Store::lane).
    fn open_lane(&self, instance: &str, lane: u8) -> impl Future<Output = Result<Self::Lane, StoreError>> + Send;
    /// As [`Store::waker`](super::handle::Store::waker).
    fn open_waker(&self) -> impl Future<Output = Result<Self::Waker, StoreError>> + Send;
}

/// One connection of an engine over which one exchange is in flight at a time.
pub(super) trait EngineLane: Send {
    /// As [`Lane::tell_progress`](super::handle::Lane::tell_progress).
    fn tell_progress(&mut self, progress: Arc<dyn Fn() + Send + Sync>);
    /// As [`Lane::exchange`](super::handle::Lane::exchange).
    fn exchange(&mut self, exchange: &Exchange) -> impl Future<Output = Result<Exchanged, StoreError>> + Send;
}

/// A connection of an engine that is told when a watched thing changes.
pub(super) trait EngineWaker: Send + Sync {
    /// As [`Waker::arm`](super::handle::Waker::arm).
    fn arm(&self, watch: &Watch) -> impl Future<Output = Result<ArmedState, StoreError>> + Send;
    /// As [`Waker::woken`](super::handle::Waker::woken).
    fn woken(&self) -> impl Future<Output = ()> + Send;
    /// As [`Waker::check`](super::handle::Waker::check).
    fn check(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The source of an engine's time.
#[derive(Debug, Clone)]
pub enum TimeSource {
    /// The store's own time if it has one (Redis' TIME), otherwise the system's clock.
    Store,
    /// This clock: tests set it.
    Clock(Arc<dyn Clock>),
}
