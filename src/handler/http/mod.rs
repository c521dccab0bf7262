//! A request to an HTTP server for each job.
//!
//! The job is the body, the same JSON object that `exec` writes to stdin. Its identity is also in headers. The status
//! alone decides the outcome:
//!
//! | status | outcome |
//! |---|---|
//! | 2xx | success, once the answer is complete |
//! | 429, 503 | later, a bounded number of times, after the wait in `retry-after` |
//! | any other | failure, with the beginning of the body as backtrace |
//! | none: no connection, no HTTP, cut short | failure |
//!
//! A stopped run drops its connection at once and is interrupted. The server cannot be told, and may finish the job. A
//! request is sent again only if it provably was not sent: see `connection_pool`.
//!
//! Each run holds one connection and drives it itself, so that nothing continues when the run is dropped. Redirects
//! and proxies from the environment are not followed: a job goes where its task says.

mod connect;
mod connection_pool;
mod handler;
mod post;
mod request;
pub(crate) mod response;
mod retry_after;
mod sign;
#[cfg(feature = "otel")]
mod traced;
mod transport;
mod transport_error;

pub(crate) use connect::SystemTrust;
pub(crate) use handler::Http;
pub(crate) use post::post;
#[cfg(feature = "otel")]
pub(crate) use post::{Untaken, post_with};

#[cfg(test)]
mod tests;
