//! Who may run which arrow, checked by the compiler.
//!
//! A part of the program holds a [`Store`](super::handle::Store) of its role and can run only the arrows whose files
//! name that role. The daemon holds [`Whole`] and hands out narrower handles.
//!
//! The pool runs jobs and cannot delete failed ones:
//!
//! ```compile_fail,E0277
//! # use windlass::store::{Store, StoreError, inspection::ClearFailed, role::Pool};
//! async fn clear(store: &Store<Pool>) -> Result<u64, StoreError> {
//!     store.run(ClearFailed).await
//! }
//! ```
//!
//! ```
//! # use windlass::store::{Store, StoreError, inspection::ClearFailed, role::Admin};
//! async fn clear(store: &Store<Admin>) -> Result<u64, StoreError> {
//!     store.run(ClearFailed).await
//! }
//! ```
//!
//! A client enqueues and cannot promote:
//!
//! ```compile_fail,E0277
//! # use windlass::store::{Store, StoreError, role::Client, scheduling::{Promoted, Promotion}};
//! async fn promote(store: &Store<Client>, promotion: Promotion) -> Result<Promoted, StoreError> {
//!     store.run(promotion).await
//! }
//! ```
//!
//! ```
//! # use windlass::store::{Store, StoreError, role::Scheduler, scheduling::{Promoted, Promotion}};
//! async fn promote(store: &Store<Scheduler>, promotion: Promotion) -> Result<Promoted, StoreError> {
//!     store.run(promotion).await
//! }
//! ```
//!
//! Nobody but the pool claims jobs, so nobody else opens a lane:
//!
//! ```compile_fail,E0277
//! # use windlass::store::{Lane, Store, StoreError, role::Admin};
//! async fn open(store: &Store<Admin>) -> Result<Lane, StoreError> {
//!     store.lane("00ff", 0).await
//! }
//! ```
//!
//! ```
//! # use windlass::store::{Lane, Store, StoreError, role::Pool};
//! async fn open(store: &Store<Pool>) -> Result<Lane, StoreError> {
//!     store.lane("00ff", 0).await
//! }
//! ```
//!
//! A handle cannot be widened or turned into one of another role:
//!
//! ```compile_fail,E0599
//! # use windlass::store::{Store, role::{Admin, Client}};
//! fn widen(store: &Store<Client>) -> Store<Admin> {
//!     store.narrow()
//! }
//! ```
//!
//! ```
//! # use windlass::store::{Store, role::{Client, Whole}};
//! fn narrow(store: &Store<Whole>) -> Store<Client> {
//!     store.narrow()
//! }
//! ```

use super::arrow::Arrow;

/// The holder of a handle of this role may run the arrow.
#[diagnostic::on_unimplemented(
    message = "a store handle of the role `{Self}` may not run `{A}`",
    note = "the file that defines the arrow names the roles that may run it"
)]
pub trait May<A: Arrow> {}

/// Declares an arrow: its type, its name, its kind, its reply, and the roles that may run it.
macro_rules! arrow {
    ($arrow:ty, $name:literal, $kind:ident -> $reply:ty $(; $($role:ty),+)?) => {
        impl $crate::store::arrow::Arrow for $arrow {
            type Reply = $reply;
            const NAME: &'static str = $name;
            const KIND: $crate::store::arrow::Kind = $crate::store::arrow::Kind::$kind;
            const BY_ITSELF: bool = $crate::store::role::any(&[$($(<$role as $crate::store::role::Works>::BY_ITSELF),+)?]);
        }
        $($(impl $crate::store::role::May<$arrow> for $role {})+)?
    };
}
pub(super) use arrow;

/// Says of a role who takes its steps.
pub(super) trait Works {
    /// A daemon by itself, or a producer of jobs? Else people, who look and correct.
    const BY_ITSELF: bool;
}

impl Works for Client {
    const BY_ITSELF: bool = true;
}

impl Works for Pool {
    const BY_ITSELF: bool = true;
}

impl Works for Scheduler {
    const BY_ITSELF: bool = true;
}

impl Works for Admin {
    const BY_ITSELF: bool = false;
}

impl Works for Mover {
    const BY_ITSELF: bool = false;
}

/// Does one of the roles take it by itself? What no role may run belongs to lanes and wakers.
pub(super) const fn any(roles: &[bool]) -> bool {
    let mut at = 0;
    while at < roles.len() {
        if roles[at] {
            return true;
        }
        at += 1;
    }
    roles.is_empty()
}

/// May run everything. The start of a program holds it and hands out narrower handles.
#[derive(Debug, Clone, Copy)]
pub enum Whole {}

/// Enqueues and delays jobs.
#[derive(Debug, Clone, Copy)]
pub enum Client {}

/// Claims and runs jobs.
#[derive(Debug, Clone, Copy)]
pub enum Pool {}

/// Promotes, recovers, and keeps periodic tasks running.
#[derive(Debug, Clone, Copy)]
pub enum Scheduler {}

/// Looks at the store and corrects it, for people.
#[derive(Debug, Clone, Copy)]
pub enum Admin {}

/// Moves everything from one store to another.
#[derive(Debug, Clone, Copy)]
pub enum Mover {}

impl<A: Arrow> May<A> for Whole {}

#[cfg(test)]
mod tests {
    use super::Arrow;
    use crate::store::inspection::{DeleteQueue, RetryFailed};
    use crate::store::moving::TakeIn;
    use crate::store::queueing::{EnqueueBatch, Exchange};
    use crate::store::sampling::{AskForSamples, Publish, Sample};
    use crate::store::wake::CheckWaker;

    #[test]
    fn what_a_daemon_does_by_itself_is_told_by_the_roles() {
        let own = [Sample::BY_ITSELF, Publish::BY_ITSELF, EnqueueBatch::BY_ITSELF, RetryFailed::BY_ITSELF];
        assert_eq!(own, [true; 4]);
        assert_eq!([Exchange::BY_ITSELF, CheckWaker::BY_ITSELF], [true; 2], "lanes and wakers have no role");
        assert_eq!([DeleteQueue::BY_ITSELF, AskForSamples::BY_ITSELF, TakeIn::BY_ITSELF], [false; 3]);
    }
}
