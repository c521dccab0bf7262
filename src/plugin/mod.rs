//! Plugins: rules around enqueue and perform.
//!
//! A built-in plugin never touches the store. It states the conditions for an enqueue ([`Admission`]), the steps
//! between claim and run ([`Gate`]), and the locks to free at the end. The store applies all of it inside its arrows.
//!
//! A user's plugin is a [`Hook`] in code or a program. It is called outside of those steps: [`hooks`] calls the hooks
//! of a task in order, and `exec` runs a program.
//!
//! [`Admission`]: crate::store::effect::Admission
//! [`Gate`]: crate::store::effect::Gate

mod background;
pub mod chain;
#[cfg(feature = "daemon")]
pub(crate) mod cut_off;
pub mod ending;
pub(crate) mod exec;
pub mod hook;
pub mod hooks;
pub mod kept_run;
#[cfg(feature = "daemon")]
pub(crate) mod poison;
pub mod registry;
pub(crate) mod retry;

pub use chain::Chain;
pub use hook::Hook;
pub use registry::Plugins;
