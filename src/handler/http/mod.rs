//! A request to an HTTP server for each job.
//!
//! The job is the body, one JSON object as `exec` gets it on stdin; its identity stands in headers too. How it ended
//! is read from the status alone:
//!
//! | status | outcome |
//! |---|---|
//! | 2xx | success, once the answer is complete |
//! | 429, 503 | later, a bounded number of times; when, says `retry-after` |
//! | any other | failure, with the beginning of the body as backtrace |
//! | none: no connection, no HTTP, cut short | failure |
//!
//! A stopped run drops its connection at once and is interrupted: the server cannot be told, and may do the job to its
//! end. A request is sent again only if it provably never left: see `pool`.
//!
//! One run holds one connection and drives it itself, so that nothing of it goes on when the run is dropped. Neither
//! redirects nor proxies of the environment are followed: a job goes where its task says.

mod connect;
mod connection_pool;
mod handler;
mod request;
mod response;
mod retry_after;
mod sign;
mod transport;
mod transport_error;

pub use connect::SystemTrust;
pub use handler::Http;

#[cfg(test)]
mod tests;
