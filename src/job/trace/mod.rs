//! The trace that a job belongs to, in the terms of W3C Trace Context and OpenTelemetry.
//!
//! A job's bytes are its producer's, so its trace stands beside them: in the id that it has before its first run
//! ([`beside`]). Who runs it needs to look nowhere, and the trace survives retries, crashes and the failed list as the id
//! does. Spans of a run have ids that follow from its claim, so that nobody has to pass them on.

pub mod beside;
pub mod context;
pub mod run;
pub mod sampler;
pub mod sent;

pub use beside::JobTrace;
pub use context::TraceContext;
pub use run::{HttpCall, RunTrace};
pub use sampler::Sampler;
pub use sent::{SentSpan, SentTrace};
