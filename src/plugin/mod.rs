//! Plugins: rules around enqueue and perform.
//!
//! A plugin never touches the store. It states what must hold ([`Admission`]), what happens
//! between claim and run ([`Gate`]) and what is freed at the end, and the store applies that
//! inside its arrows.
//!
//! A plugin of one's own, a [`Hook`] in code or a program, is asked in words, outside of those steps: [`hooks`] asks
//! a task's in their order, [`exec`] is the way to a program.
//!
//! [`Admission`]: crate::store::effect::Admission
//! [`Gate`]: crate::store::effect::Gate

pub mod chain;
pub mod cut_off;
pub mod ending;
pub mod exec;
pub mod hook;
pub mod hooks;
pub mod lock_keys;
pub mod registry;
pub mod retry;

pub use chain::Chain;
pub use hook::Hook;
pub use registry::Plugins;
