//! Spans of jobs, for who collects traces: `[otel]`, if the program was built with it (the feature `otel`).
//!
//! ```text
//!   bus --> the thread "traces" --> spans, some hundred at a time --> a task that posts them
//! ```
//!
//! A run's span is made of the event that tells its end, so that the job path does nothing for it. Nothing here is in the way
//! of a job: the bus drops what does not fit, and so does the queue of what is to be posted. What is dropped is counted, and
//! told once a minute. When the daemon ends, what waits is posted for as long as the shutdown may take.

#[cfg(feature = "otel")]
mod built;
#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod left_out;
#[cfg(all(feature = "otel", feature = "cli"))]
mod once;
#[cfg(feature = "otel")]
mod spans;

#[cfg(feature = "otel")]
pub(super) use built::{Heard, interests, listen, start};
#[cfg(feature = "otel")]
pub(crate) use export::check;
#[cfg(not(feature = "otel"))]
pub(crate) use left_out::check;
#[cfg(not(feature = "otel"))]
pub(super) use left_out::{Heard, interests, listen, start};
#[cfg(all(feature = "otel", feature = "cli"))]
pub(crate) use once::tell_sent;
