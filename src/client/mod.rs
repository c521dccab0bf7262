//! Clients of a store: whoever wants a job to be run, now or later.
//!
//! [`request`] is what a caller asks, checked against the tasks; [`enqueue`] puts it on its queue,
//! [`delay`] among the delayed jobs, [`bulk`] does either for many at once.

pub mod bulk;
pub mod delay;
pub mod enqueue;
pub mod enqueue_hooks;
pub mod moment;
pub mod request;

pub use enqueue::{Client, ClientError};
pub use request::{Request, RequestError};
