//! The engines behind a handle, and the connections that they open.
//!
//! This file, `handle` and `open` are the only ones that name both engines. In a build without one of them, `Absent` stands in
//! its place.

use std::sync::Arc;

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
use super::arrow::Absent;
use super::arrow::{Arrow, Perform};
use super::backend::{EngineLane, EngineWaker, Opens};
use super::error::StoreError;
use super::queueing::{Exchange, Exchanged};
#[cfg(feature = "redis")]
use super::redis::RedisStore;
use super::role::{Pool, Scheduler, arrow};
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteStore;
use super::wake::{ArmedState, Watch};

#[cfg(not(feature = "redis"))]
type RedisStore = Absent;
#[cfg(not(feature = "sqlite"))]
type SqliteStore = Absent;

/// The engine of a store.
#[derive(Debug)]
pub enum Engine<R = RedisStore, S = SqliteStore> {
    /// Redis or Valkey.
    Redis(Arc<R>),
    /// A SQLite file.
    Sqlite(Arc<S>),
    /// No engine: layers answer the arrows, and an arrow that reaches this is refused.
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
    StoreError::Unsupported(format!("this store has no engine, and no layer answered {arrow}"))
}

/// Opens a lane of an instance that has joined; [`Store::lane`](super::handle::Store::lane) does.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct OpenLane {
    /// The instance.
    pub instance: String,
    /// Which of its lanes, from 0.
    pub lane: u8,
}

arrow!(OpenLane, "open_lane", Repeatable -> OpenedLane; Pool);

// Without any engine, the implementation for `Absent` covers these arrows.
#[cfg(any(feature = "redis", feature = "sqlite"))]
impl Perform<OpenLane> for Engine {
    async fn perform(&self, arrow: OpenLane) -> Result<OpenedLane, StoreError> {
        let OpenLane { instance, lane } = arrow;
        Ok(OpenedLane(match self {
            Self::Redis(engine) => LaneOf::Redis(Box::new(engine.open_lane(&instance, lane).await?)),
            Self::Sqlite(engine) => LaneOf::Sqlite(engine.open_lane(&instance, lane).await?),
            Self::None => return Err(unanswered(OpenLane::NAME)),
        }))
    }
}

/// Opens a waker; [`Store::waker`](super::handle::Store::waker) does.
#[derive(Debug, Clone, Copy)]
pub struct OpenWaker;

arrow!(OpenWaker, "open_waker", Reads -> OpenedWaker; Pool, Scheduler);

#[cfg(any(feature = "redis", feature = "sqlite"))]
impl Perform<OpenWaker> for Engine {
    async fn perform(&self, _: OpenWaker) -> Result<OpenedWaker, StoreError> {
        Ok(OpenedWaker(match self {
            Self::Redis(engine) => WakerOf::Redis(engine.open_waker().await?),
            Self::Sqlite(engine) => WakerOf::Sqlite(engine.open_waker().await?),
            Self::None => return Err(unanswered(OpenWaker::NAME)),
        }))
    }
}

/// A lane as an engine opened it.
#[derive(Debug)]
pub struct OpenedLane(pub(super) LaneOf);

pub(super) enum LaneOf<R = <RedisStore as Opens>::Lane, S = <SqliteStore as Opens>::Lane> {
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
    fn tell_progress(&mut self, progress: Arc<dyn Fn() + Send + Sync>) {
        match self {
            Self::Redis(lane) => lane.tell_progress(progress),
            Self::Sqlite(lane) => lane.tell_progress(progress),
            Self::None => {}
        }
    }

    async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        match self {
            Self::Redis(lane) => lane.exchange(exchange).await,
            Self::Sqlite(lane) => lane.exchange(exchange).await,
            Self::None => Err(unanswered(Exchange::NAME)),
        }
    }
}

/// A waker as an engine opened it.
#[derive(Debug)]
pub struct OpenedWaker(pub(super) WakerOf);

pub(super) enum WakerOf<R = <RedisStore as Opens>::Waker, S = <SqliteStore as Opens>::Waker> {
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
    async fn arm(&self, watch: &Watch) -> Result<ArmedState, StoreError> {
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

    async fn check(&self) -> Result<bool, StoreError> {
        match self {
            Self::Redis(waker) => waker.check().await,
            Self::Sqlite(waker) => waker.check().await,
            Self::None => Ok(true),
        }
    }
}

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
impl Opens for Absent {
    type Lane = Self;
    type Waker = Self;
    async fn open_lane(&self, _: &str, _: u8) -> Result<Self, StoreError> {
        match *self {}
    }
    async fn open_waker(&self) -> Result<Self, StoreError> {
        match *self {}
    }
}

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
impl EngineLane for Absent {
    fn tell_progress(&mut self, _: Arc<dyn Fn() + Send + Sync>) {
        match *self {}
    }

    async fn exchange(&mut self, _: &Exchange) -> Result<Exchanged, StoreError> {
        match *self {}
    }
}

#[cfg(any(test, not(all(feature = "redis", feature = "sqlite"))))]
impl EngineWaker for Absent {
    async fn arm(&self, _: &Watch) -> Result<ArmedState, StoreError> {
        match *self {}
    }
    async fn woken(&self) {
        match *self {}
    }
    async fn check(&self) -> Result<bool, StoreError> {
        match *self {}
    }
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
        exchanges::<LaneOf<Absent, <SqliteStore as Opens>::Lane>>();
        exchanges::<LaneOf<<RedisStore as Opens>::Lane, Absent>>();
        wakes::<WakerOf<Absent, <SqliteStore as Opens>::Waker>>();
        wakes::<WakerOf<<RedisStore as Opens>::Waker, Absent>>();
    }
}
