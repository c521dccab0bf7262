//! `[otel]`: where spans are sent, and which.

use std::time::Duration;

use hyper::http::HeaderName;

use super::error::Place;
use super::secret_text::SecretText;
use crate::job::trace::Sampler;

/// `[otel]`, with what the standard variables say.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OtelConfig {
    /// The address that takes spans: OTLP over HTTP, in protobuf.
    pub url: String,
    /// Headers of each request; any value may be secret.
    pub headers: Vec<(HeaderName, SecretText)>,
    /// Under which name this service is known.
    pub service_name: String,
    /// What else is said of it.
    pub attributes: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How long a request may take.
    pub timeout: Duration,
    /// The variables that hold secrets.
    pub secret_variables: Vec<String>,
    /// Where the address stands.
    pub place: Place,
}
