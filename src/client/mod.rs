//! Clients of a store: whoever wants a job to be run, now or later.
//!
//! [`request`] is what a caller asks, checked against the tasks; [`enqueue`] puts it on its queue,
//! [`delay`] among the delayed jobs, [`bulk`] does either for many at once.

pub mod bulk;
pub mod delay;
pub mod enqueue;
pub mod error;
pub mod hooked;
pub mod moment;
pub mod request;

pub use enqueue::Client;
pub use error::ClientError;
pub use request::{Request, RequestError};
