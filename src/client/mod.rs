//! Clients of a store: they enqueue jobs and delay them.
//!
//! [`request`] checks what a caller asks for against the tasks. [`enqueue`] puts one job on its queue, [`delay`]
//! among the delayed jobs; [`bulk`] does both for many jobs.

pub mod bulk;
pub mod delay;
pub mod enqueue;
pub(crate) mod enqueue_hooks;
mod marking;
pub mod moment;
pub mod once;
pub mod request;
pub mod wall_time;

pub use enqueue::{Client, ClientError};
pub use request::{Request, RequestError};
