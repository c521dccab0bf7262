//! The engines behind a handle, and the time they go by.
//!
//! This file and `open` are the only ones that name both engines. In a build without one of them, [`Absent`] stands in
//! its place.

use std::sync::Arc;

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
use super::arrow::Absent;
use super::arrow::{Arrow, Perform};
use super::error::StoreError;
use super::queueing::{Exchange, Exchanged};
#[cfg(feature = "redis")]
use super::redis::{RedisLane, RedisStore, RedisWaker};
#[cfg(feature = "sqlite")]
use super::sqlite::{SqliteLane, SqliteStore, SqliteWaker};
use super::wake::{Seen, Watch};
use crate::clock::Clock;

#[cfg(not(feature = "redis"))]
type RedisStore = Absent;
#[cfg(not(feature = "redis"))]
type RedisLane = Absent;
#[cfg(not(feature = "redis"))]
type RedisWaker = Absent;
#[cfg(not(feature = "sqlite"))]
type SqliteStore = Absent;
#[cfg(not(feature = "sqlite"))]
type SqliteLane = Absent;
#[cfg(not(feature = "sqlite"))]
type SqliteWaker = Absent;

/// What a store's arrows end at.
#[derive(Debug)]
pub enum Engine<R = RedisStore, S = SqliteStore> {
    /// Redis or Valkey.
    Redis(Arc<R>),
    /// A SQLite file.
    Sqlite(Arc<S>),
    /// Nothing: layers answer all that is asked, and what reaches this is refused.
    None,
}

impl<R, S> Clone for Engine<R, S> {
    fn clone(&self) -> Self {
        match self {
            Self::Redis(engine) => Self::Redis(Arc::clone(engine)),
            Self::Sqlite(engine) => Self::Sqlite(Arc::clone(engine)),
            Self::None => Self::None,
        }
    }
}

impl<A: Arrow, R: Perform<A>, S: Perform<A>> Perform<A> for Engine<R, S> {
    async fn perform(&self, arrow: A) -> Result<A::Reply, StoreError> {
        match self {
            Self::Redis(engine) => engine.perform(arrow).await,
            Self::Sqlite(engine) => engine.perform(arrow).await,
            Self::None => Err(unanswered(A::NAME)),
        }
    }
}

fn unanswered(arrow: &str) -> StoreError {
    StoreError::Unsupported(format!("there is no engine behind it, and no layer answers {arrow}"))
}

/// One connection of an engine over which one exchange is in flight at a time.
pub(super) trait EngineLane: Send {
    /// As [`Lane::exchange`](super::handle::Lane::exchange).
    fn exchange(&mut self, exchange: &Exchange) -> impl Future<Output = Result<Exchanged, StoreError>> + Send;
}

/// A lane as an engine opened it.
#[derive(Debug)]
pub struct OpenedLane(pub(super) LaneOf);

pub(super) enum LaneOf<R = RedisLane, S = SqliteLane> {
    Redis(Box<R>),
    Sqlite(S),
    None,
}

impl<R, S> std::fmt::Debug for LaneOf<R, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redis(_) => "Redis",
            Self::Sqlite(_) => "Sqlite",
            Self::None => "None",
        })
    }
}

impl OpenedLane {
    /// No lane of an engine: for a layer that answers exchanges itself.
    #[must_use]
    pub fn none() -> Self {
        Self(LaneOf::None)
    }
}

impl<R: EngineLane, S: EngineLane> EngineLane for LaneOf<R, S> {
    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        match self {
            Self::Redis(lane) => lane.exchange(exchange).await,
            Self::Sqlite(lane) => lane.exchange(exchange).await,
            Self::None => Err(unanswered(Exchange::NAME)),
        }
    }
}

/// A connection of an engine that is told when something watched has changed.
pub(super) trait EngineWaker: Send + Sync {
    /// As [`Waker::arm`](super::wake::Waker::arm).
    fn arm(&self, watch: &Watch) -> impl Future<Output = Result<Seen, StoreError>> + Send;
    /// As [`Waker::woken`](super::wake::Waker::woken).
    fn woken(&self) -> impl Future<Output = ()> + Send;
    /// As [`Waker::check`](super::wake::Waker::check).
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A waker as an engine opened it.
#[derive(Debug)]
pub struct OpenedWaker(pub(super) WakerOf);

pub(super) enum WakerOf<R = RedisWaker, S = SqliteWaker> {
    Redis(R),
    Sqlite(S),
    None,
}

impl<R, S> std::fmt::Debug for WakerOf<R, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redis(_) => "Redis",
            Self::Sqlite(_) => "Sqlite",
            Self::None => "None",
        })
    }
}

impl OpenedWaker {
    /// No waker of an engine: it is never woken, and layers answer what it looks at.
    #[must_use]
    pub fn none() -> Self {
        Self(WakerOf::None)
    }
}

impl<R: EngineWaker, S: EngineWaker> EngineWaker for WakerOf<R, S> {
    async fn arm(&self, watch: &Watch) -> Result<Seen, StoreError> {
        match self {
            Self::Redis(waker) => waker.arm(watch).await,
            Self::Sqlite(waker) => waker.arm(watch).await,
            Self::None => Err(unanswered(Watch::NAME)),
        }
    }

    async fn woken(&self) {
        match self {
            Self::Redis(waker) => waker.woken().await,
            Self::Sqlite(waker) => waker.woken().await,
            Self::None => std::future::pending().await,
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Redis(waker) => waker.check().await,
            Self::Sqlite(waker) => waker.check().await,
            Self::None => Ok(()),
        }
    }
}

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
impl EngineLane for Absent {
    async fn exchange(&mut self, _: &Exchange) -> Result<Exchanged, StoreError> {
        match *self {}
    }
}

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
impl EngineWaker for Absent {
    async fn arm(&self, _: &Watch) -> Result<Seen, StoreError> {
        match *self {}
    }
    async fn woken(&self) {
        match *self {}
    }
    async fn check(&self) -> Result<(), StoreError> {
        match *self {}
    }
}

/// Where an engine takes the time from.
#[derive(Debug, Clone)]
pub enum TimeSource {
    /// The store's own, where it has one (Redis' TIME); else the system's clock.
    Store,
    /// This clock: tests set it.
    Clock(Arc<dyn Clock>),
}

#[cfg(all(test, feature = "redis", feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::store::moving::LetGo;

    #[test]
    fn a_build_may_leave_an_engine_out() {
        fn performs<E: Perform<LetGo>>() {}
        fn exchanges<L: EngineLane>() {}
        fn wakes<W: EngineWaker>() {}
        performs::<Engine<Absent, SqliteStore>>();
        performs::<Engine<RedisStore, Absent>>();
        exchanges::<LaneOf<Absent, SqliteLane>>();
        exchanges::<LaneOf<RedisLane, Absent>>();
        wakes::<WakerOf<Absent, SqliteWaker>>();
        wakes::<WakerOf<RedisWaker, Absent>>();
    }
}
