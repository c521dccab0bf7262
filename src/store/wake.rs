//! Being told of change instead of asking for it.

use std::sync::Arc;

use super::arrow::{Arrow, Kind};
use super::engine::{EngineWaker as _, OpenedWaker};
use super::error::StoreError;
use super::layer::{AsyncEnd, Layers, through};
use super::meter::{Meter, Series};
use super::role::{May, Pool, Scheduler};
use super::scheduling::Leadership;
use crate::job::QueueName;

/// Opens a waker; [`Store::waker`](super::handle::Store::waker) does.
#[derive(Debug, Clone, Copy)]
pub struct OpenWaker;

impl Arrow for OpenWaker {
    type Reply = OpenedWaker;
    const NAME: &'static str = "open_waker";
    const KIND: Kind = Kind::Reads;
}

impl May<OpenWaker> for Pool {}
impl May<OpenWaker> for Scheduler {}

/// What a waker watches, and the look at it: see [`Waker::arm`].
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Queues, for jobs pushed by anyone. What is paused is watched for being resumed instead.
    pub queues: Vec<QueueName>,
    /// The set of known queues, for queues that appear.
    pub queue_names: bool,
    /// The delayed jobs, for one that is due earlier than the earliest.
    pub delayed: bool,
    /// Leaderships, for one that becomes free.
    pub leaderships: Vec<Leadership>,
}

impl Arrow for Watch {
    type Reply = Seen;
    const NAME: &'static str = "watch";
    const KIND: Kind = Kind::Reads;
}

/// What a waker saw in the moment it was armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// A watched queue that is not paused has jobs.
    pub ready: bool,
    /// All known queues in code-unit order, if asked for.
    pub queue_names: Option<Vec<QueueName>>,
    /// The earliest delayed second, if asked for and there is one.
    pub next_due_s: Option<i64>,
    /// The store's time in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Whether one of the watched leaderships is free.
    pub leadership_free: bool,
}

/// A waker's question whether it would have been told: see [`Waker::check`].
#[derive(Debug, Clone, Copy)]
pub struct CheckWaker;

impl Arrow for CheckWaker {
    type Reply = ();
    const NAME: &'static str = "check_waker";
    const KIND: Kind = Kind::Reads;
}

/// A connection that is told when something watched has changed.
#[derive(Debug)]
pub struct Waker {
    opened: OpenedWaker,
    layers: Layers,
    armed: Arc<Series>,
    checked: Arc<Series>,
}

impl Waker {
    pub(super) fn new(opened: OpenedWaker, layers: Layers, meter: &Meter) -> Self {
        Self { opened, layers, armed: meter.series::<Watch>(), checked: meter.series::<CheckWaker>() }
    }

    /// Looks at everything watched and arms: the next change after this look, by anybody, ends
    /// [`woken`](Self::woken). Replaces what was armed before.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn arm(&self, watch: &Watch) -> Result<Seen, StoreError> {
        let pass = self.armed.begin();
        let result = if self.layers.is_empty() {
            self.opened.0.arm(watch).await
        } else {
            through(&self.layers, watch.clone(), &self.opened).await
        };
        pass.end(&result);
        result
    }

    /// Waits until something changed since the last arming, or might have (a lost connection came
    /// back). A change between arming and this call ends it at once. May end without cause.
    pub async fn woken(&self) {
        self.opened.0.woken().await;
    }

    /// Makes sure that it would have been told: an error if what is watched may have changed without its knowing.
    ///
    /// # Errors
    /// Fails when the store cannot be reached over the connection that is armed.
    pub async fn check(&self) -> Result<(), StoreError> {
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

impl AsyncEnd<Watch> for &OpenedWaker {
    async fn perform(&mut self, watch: Watch) -> Result<Seen, StoreError> {
        self.0.arm(&watch).await
    }
}

impl AsyncEnd<CheckWaker> for &OpenedWaker {
    async fn perform(&mut self, _: CheckWaker) -> Result<(), StoreError> {
        self.0.check().await
    }
}
