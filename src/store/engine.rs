//! A whole store, and the time it goes by.

use std::sync::Arc;

use super::inspection::Inspection;
use super::moving::Moving;
use super::queueing::Queueing;
use super::scheduling::Scheduling;
use crate::clock::Clock;

/// A store engine: the three parts together.
pub trait Store: Queueing + Scheduling + Inspection + Moving {
    /// Where the store is, for people: a URL without secrets.
    fn describe(&self) -> String;
}

/// Where an engine takes the time from.
#[derive(Debug, Clone)]
pub enum TimeSource {
    /// The store's own, where it has one (Redis' TIME); else the system's clock.
    Store,
    /// This clock: tests set it.
    Clock(Arc<dyn Clock>),
}
