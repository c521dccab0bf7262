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
//! A handle is never widened, nor turned into that of another role:
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

/// Everything. Held by what starts a program, which hands out narrower handles.
#[derive(Debug, Clone, Copy)]
pub enum Whole {}

/// What enqueues and delays jobs.
#[derive(Debug, Clone, Copy)]
pub enum Client {}

/// What runs jobs.
#[derive(Debug, Clone, Copy)]
pub enum Pool {}

/// What promotes, recovers, and keeps periodic tasks going.
#[derive(Debug, Clone, Copy)]
pub enum Scheduler {}

/// What people look at and correct.
#[derive(Debug, Clone, Copy)]
pub enum Admin {}

/// What moves everything from one store to another.
#[derive(Debug, Clone, Copy)]
pub enum Mover {}

impl<A: Arrow> May<A> for Whole {}
