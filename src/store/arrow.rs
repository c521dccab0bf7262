//! Arrows as values: each operation of the store is a type.
//!
//! An arrow is a plain struct with what the step needs. `arrow!` declares its name, its kind, its reply and the roles
//! that may run it: [`Arrow`] and [`May`](super::role::May). It stands beside the struct in the file of its family.
//! Each engine implements [`Perform`] for it in the file of the verb. [`Store::run`](super::handle::Store::run) is the
//! only way to run one. Nothing else lists arrows, so a new arrow changes nothing else.

use super::error::StoreError;

/// One step of the store.
///
/// Every arrow that changes a job's state is one atomic step in the engine: one Lua script on Redis, one transaction on
/// SQLite.
pub trait Arrow: Clone + Send + Sync + 'static {
    /// The reply.
    type Reply: Send + 'static;
    /// Its name in metrics, logs and messages.
    const NAME: &'static str;
    /// Whether it changes something, and whether it may be repeated after a lost reply.
    const KIND: Kind;
    /// Does a daemon take this step by itself, or for a job? Else people ask for it.
    const BY_ITSELF: bool = true;
}

/// Tells whether an arrow may be run again after [`StoreError::Unavailable`], when it is unknown whether it took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It changes nothing.
    Reads,
    /// It changes something. Running it again leaves the store as one run does.
    Repeatable,
    /// It changes something, and running it again may change more: the caller must look before it runs it again.
    Once,
}

/// An engine that can run an arrow.
pub trait Perform<A: Arrow>: Send + Sync {
    /// Runs it.
    ///
    /// # Errors
    /// As the arrow's type says.
    fn perform(&self, arrow: A) -> impl Future<Output = Result<A::Reply, StoreError>> + Send;
}

/// Stands for an engine that is not part of the build. It has no values.
#[derive(Debug, Clone, Copy)]
pub enum Absent {}

impl<A: Arrow> Perform<A> for Absent {
    async fn perform(&self, _: A) -> Result<A::Reply, StoreError> {
        match *self {}
    }
}
