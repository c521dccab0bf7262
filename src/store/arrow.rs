//! Arrows as values: each change or look that the store offers is a type.
//!
//! An arrow is a plain struct with what the step needs. Its [`Arrow`] implementation names its reply, and its
//! [`May`](super::role::May) implementations name the roles that may run it; both stand beside the struct in the file of
//! its family. Each engine implements [`Perform`] for it in the file of the verb. [`Store::run`](super::handle::Store::run)
//! is the one way in. Nothing else lists arrows, so a new one touches nothing else.

use super::error::StoreError;

/// What the store does in one step.
///
/// Every arrow that changes a job's state is one atomic step in the engine: one Lua script on Redis, one transaction on
/// SQLite.
pub trait Arrow: Clone + Send + Sync + 'static {
    /// What comes back.
    type Reply: Send + 'static;
    /// Its name in metrics, logs and messages.
    const NAME: &'static str;
    /// Whether it changes something, and whether it may be repeated after a lost reply.
    const KIND: Kind;
}

/// What a caller may do with an arrow after [`StoreError::Unavailable`], when it is unknown whether the step was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It changes nothing.
    Reads,
    /// It changes something. Running it again leaves the store as one run does.
    Repeatable,
    /// It changes something, and running it again may change more: the caller must look before it repeats.
    Once,
}

/// An engine that can take an arrow's step.
pub trait Perform<A: Arrow>: Send + Sync {
    /// Takes the step.
    ///
    /// # Errors
    /// As the arrow's type says.
    fn perform(&self, arrow: A) -> impl Future<Output = Result<A::Reply, StoreError>> + Send;
}

/// Stands for an engine that is not part of the build: there is no value of it.
#[derive(Debug, Clone, Copy)]
pub enum Absent {}

impl<A: Arrow> Perform<A> for Absent {
    async fn perform(&self, _: A) -> Result<A::Reply, StoreError> {
        match *self {}
    }
}
