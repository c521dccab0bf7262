//! Child processes that serve many jobs each, over JSON-RPC 2.0 on their stdin and stdout.
//!
//! ```text
//!   handler ──> child_pool ──> child ────> session ───────> process
//!   a job's     jobs and       one child's  requests out,
//!   run         children       task         responses in
//! ```
//!
//! The child pool holds what the runs and the children of a task share: the jobs that wait, and how many jobs each
//! child holds. One async task owns each child, its process and its pipes. It takes all jobs that the pool has for it
//! at once, writes all requests together, and reads all responses that have arrived.

mod child;
mod child_io;
mod child_pool;
mod handler;
mod pending;
mod pool_state;
pub(crate) mod protocol;
mod request_buffer;
mod session;
mod session_end;
pub(crate) mod stray;

#[cfg(test)]
mod tests;

pub(crate) use handler::Rpc;
