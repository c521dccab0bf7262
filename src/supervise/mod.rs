//! Supervision: whose code panicked, which of the long-lived tasks still turn, and whether this process stood still.
//!
//! Nothing here ends a process or logs. The daemon installs a panic hook, which reads [`scope`](scope::scope), and a
//! watchdog, which reads [`Pulses`](pulse::Pulses).

pub mod fault;
pub mod pulse;
pub mod scope;
pub mod stillness;
