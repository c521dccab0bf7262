//! Supervision: whose code a panic struck, and which of the long-lived tasks still turn.
//!
//! Nothing here ends a process or tells anybody: the daemon installs the panic hook that goes by [`scope`](scope::scope),
//! and the watchdog that looks at [`Pulses`](pulse::Pulses).

#[cfg(debug_assertions)]
mod fault;
pub mod pulse;
pub mod scope;
