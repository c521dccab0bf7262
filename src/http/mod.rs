//! The HTTP server of a daemon: its health, its metrics, the API, and the dashboard.
//!
//! ```text
//!   listener --> connection --> outer: id, limits, headers, problems
//!   (a slot       (watched:        |
//!    of 256, or    head, body,     +--> host? --> origin? --> caller? --> read only? --> route: role? --> admin, client
//!    brief)        idle)
//! ```
//!
//! The server has a thread and a runtime of its own, so that neither jobs nor their handlers delay an answer, and no request
//! delays a job. What enqueues runs on the handlers' runtime, because plugins in Rust run there. Each connection and each
//! request fails alone.

mod api;
mod attempts;
mod audited;
mod base;
mod connection;
mod dashboard;
mod failed_index;
mod followed;
mod framing;
mod guard;
mod health;
mod index;
mod listener;
mod looks;
mod metrics;
mod openapi;
mod operation;
mod operations;
mod outer;
mod passing;
mod patience;
mod peer;
mod problem;
mod queue_bound;
mod reading;
mod redact;
mod refusal;
mod requests;
mod route;
mod router;
mod server;
mod site;
mod slots;
mod standing;
mod streams;
mod tapped;
mod telling;
mod traced;
mod underway;
mod watch;
mod written_out;

pub use listener::{BindError, Sockets, bind};
pub use passing::{Listening, Passed, take_over};
pub use server::{Changes, OPEN, Relisten, Server, changes};
pub use site::{Content, Outlet, Site};
pub use standing::{Stage, Standing};
