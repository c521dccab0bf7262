//! Plugins: rules around enqueue and perform.
//!
//! A plugin never touches the store. It states what must hold ([`Admission`]), what happens
//! between claim and run ([`Gate`]) and what is freed at the end, and the store applies that
//! inside its arrows.
//!
//! [`Admission`]: crate::store::effect::Admission
//! [`Gate`]: crate::store::effect::Gate

pub mod chain;
pub mod cut_off;
pub mod ending;
pub mod hook;
pub mod job_lock;
pub mod queue_lock;
pub mod retry;

pub use chain::Chain;
