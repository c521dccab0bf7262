//! A handle on a store, through which all arrows are run.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::arrow::{Arrow, Perform};
use super::backend::{EngineLane as _, EngineWaker as _};
use super::engine::{Engine, OpenLane, OpenWaker, OpenedLane, OpenedWaker};
use super::error::StoreError;
use super::layer::{AsyncInnermost, Layer, Layers, through};
use super::meter::{Meter, Passes, Series};
use super::queueing::{Exchange, Exchanged};
#[cfg(feature = "redis")]
use super::redis::RedisStore;
use super::role::{May, Whole};
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteStore;
use super::wake::{ArmedState, CheckWaker, Watch};

/// A handle on a store for the role `R`. Cheap to clone.
pub struct Store<R> {
    engine: Engine,
    layers: Layers,
    meter: Arc<Meter>,
    address: Arc<str>,
    role: PhantomData<fn() -> R>,
}

impl<R> Store<R> {
    /// Runs an arrow.
    ///
    /// # Errors
    /// As the arrow's type says. After [`StoreError::Unavailable`] it is unknown whether the step was taken.
    pub async fn run<A>(&self, arrow: A) -> Result<A::Reply, StoreError>
    where
        A: Arrow,
        R: May<A>,
        Engine: Perform<A>,
    {
        let series = self.meter.series::<A>();
        let pass = series.begin();
        let result = if self.layers.is_empty() {
            self.engine.perform(arrow).await
        } else {
            through(&self.layers, arrow, &self.engine).await
        };
        pass.end(&result);
        result
    }

    /// Opens a lane for an instance that has joined.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn lane(&self, instance: &str, lane: u8) -> Result<Lane, StoreError>
    where
        R: May<OpenLane>,
    {
        let opened = self.run(OpenLane { instance: instance.to_owned(), lane }).await?;
        Ok(Lane { opened, layers: Arc::clone(&self.layers), series: self.meter.series::<Exchange>() })
    }

    /// Opens a waker: a connection that is told when a watched thing changes.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn waker(&self) -> Result<Waker, StoreError>
    where
        R: May<OpenWaker>,
    {
        let opened = self.run(OpenWaker).await?;
        let layers = Arc::clone(&self.layers);
        let (armed, checked) = (self.meter.series::<Watch>(), self.meter.series::<CheckWaker>());
        Ok(Waker { opened, layers, armed, checked })
    }

    /// The address of the store without secrets, for people to read.
    #[must_use]
    pub fn describe(&self) -> &str {
        &self.address
    }

    /// Statistics of all arrows that passed so far, through all handles that were cloned or narrowed from the first one.
    #[must_use]
    pub fn passes(&self) -> Vec<Passes> {
        self.meter.read()
    }

    /// A handle on the same store with one more layer, outside of the layers that it has.
    #[must_use]
    pub fn layered(&self, layer: Arc<dyn Layer>) -> Self {
        let layers = std::iter::once(layer).chain(self.layers.iter().cloned()).collect();
        Self { layers, ..self.clone() }
    }

    fn as_role<To>(&self) -> Store<To> {
        Store {
            engine: self.engine.clone(),
            layers: Arc::clone(&self.layers),
            meter: Arc::clone(&self.meter),
            address: Arc::clone(&self.address),
            role: PhantomData,
        }
    }
}

impl Store<Whole> {
    /// A handle for a holder of a narrower role.
    #[must_use]
    pub fn narrow<To>(&self) -> Store<To> {
        self.as_role()
    }

    /// A store without an engine, whose [layers](Self::layered) answer all arrows.
    #[must_use]
    pub fn without_engine(address: &str) -> Self {
        Self::new(Engine::None, address)
    }

    fn new(engine: Engine, address: &str) -> Self {
        Self { engine, layers: Arc::from([]), meter: Arc::default(), address: address.into(), role: PhantomData }
    }
}

#[cfg(feature = "redis")]
impl From<RedisStore> for Store<Whole> {
    fn from(store: RedisStore) -> Self {
        let address = store.address();
        Self::new(Engine::Redis(Arc::new(store)), &address)
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteStore> for Store<Whole> {
    fn from(store: SqliteStore) -> Self {
        let address = store.address();
        Self::new(Engine::Sqlite(Arc::new(store)), &address)
    }
}

impl<R> Clone for Store<R> {
    fn clone(&self) -> Self {
        self.as_role()
    }
}

impl<R> fmt::Debug for Store<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = std::any::type_name::<R>().rsplit("::").next();
        f.debug_struct("Store")
            .field("address", &self.address)
            .field("role", &role.unwrap_or_default())
            .field("layers", &self.layers.len())
            .finish()
    }
}

impl<A: Arrow> AsyncInnermost<A> for &Engine
where
    Engine: Perform<A>,
{
    async fn perform(&mut self, arrow: A) -> Result<A::Reply, StoreError> {
        Perform::perform(*self, arrow).await
    }
}

/// A lane: one connection over which one exchange is in flight at a time.
///
/// Each worker is bound to one lane, so that a settlement never arrives after the same worker's
/// next claim.
#[derive(Debug)]
pub struct Lane {
    opened: OpenedLane,
    layers: Layers,
    series: Arc<Series>,
}

impl Lane {
    /// Calls this each time a part of a long answer has come, so that who waits for it shows that it is alive.
    pub fn tell_progress(&mut self, progress: Arc<dyn Fn() + Send + Sync>) {
        self.opened.0.tell_progress(progress);
    }

    /// Settles, enters and claims in one atomic step.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] repeat the same exchange, unchanged, until it succeeds.
    pub async fn exchange(&mut self, exchange: &Exchange) -> Result<Exchanged, StoreError> {
        let pass = self.series.begin();
        let result = if self.layers.is_empty() {
            self.opened.0.exchange(exchange).await
        } else {
            through(&self.layers, exchange.clone(), &mut self.opened).await
        };
        pass.end(&result);
        result
    }
}

impl AsyncInnermost<Exchange> for &mut OpenedLane {
    async fn perform(&mut self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        self.0.exchange(&exchange).await
    }
}

/// A connection that is told when a watched thing changes.
#[derive(Debug)]
pub struct Waker {
    opened: OpenedWaker,
    layers: Layers,
    armed: Arc<Series>,
    checked: Arc<Series>,
}

impl Waker {
    /// Looks at everything in `watch` and arms the waker: the next change after this look, by any program, ends
    /// [`woken`](Self::woken). Replaces the previous arming.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn arm(&self, watch: &Watch) -> Result<ArmedState, StoreError> {
        let pass = self.armed.begin();
        let result = if self.layers.is_empty() {
            self.opened.0.arm(watch).await
        } else {
            through(&self.layers, watch.clone(), &self.opened).await
        };
        pass.end(&result);
        result
    }

    /// Waits until something has changed since the last arming, or may have changed because the connection was lost. A
    /// change between arming and this call ends it at once. May also end without a change.
    pub async fn woken(&self) {
        self.opened.0.woken().await;
    }

    /// Checks that changes are still told. False if that is not proven, and an error, mean that something may have changed
    /// unnoticed: the caller looks.
    ///
    /// # Errors
    /// Fails when the store cannot be reached over the connection that is armed.
    pub async fn check(&self) -> Result<bool, StoreError> {
        let pass = self.checked.begin();
        let result = if self.layers.is_empty() {
            self.opened.0.check().await
        } else {
            through(&self.layers, CheckWaker, &self.opened).await
        };
        pass.end(&result);
        result
    }
}

impl AsyncInnermost<Watch> for &OpenedWaker {
    async fn perform(&mut self, watch: Watch) -> Result<ArmedState, StoreError> {
        self.0.arm(&watch).await
    }
}

impl AsyncInnermost<CheckWaker> for &OpenedWaker {
    async fn perform(&mut self, _: CheckWaker) -> Result<bool, StoreError> {
        self.0.check().await
    }
}

#[cfg(test)]
mod tests;
