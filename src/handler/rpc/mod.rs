//! Children that serve many jobs each, over JSON-RPC 2.0 on their stdin and stdout.
//!
//! ```text
//!   front ──> fleet ──> child ──> session ──> process
//!   a job's     who holds   one child's   requests out,
//!   run         what        life          answers in
//! ```
//!
//! The fleet is what a task's runs and its children share: jobs that wait, and which child holds how many. A child is
//! one async task, which owns the process and its pipes; it takes all that the fleet has for it at once, writes all
//! requests together, and reads all answers that are there.

mod child;
mod child_io;
mod child_pool;
mod handler;
mod pending;
mod pool_state;
mod protocol;
mod session;

#[cfg(test)]
mod tests;

pub use handler::Rpc;
