//! Posts the span of a program that ends then.

use std::time::Duration;

use tokio::time::timeout;

use super::{export, spans};
use crate::config::otel::OtelConfig;
use crate::handler::http::SystemTrust;
use crate::job::trace::SentSpan;

/// How long it waits for its own span to arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// Posts the span of an enqueue.
///
/// # Errors
/// Says why it did not arrive.
pub(crate) async fn tell_sent(otel: &OtelConfig, span: &SentSpan) -> Result<(), String> {
    let trust = SystemTrust::default();
    let posted = timeout(PATIENCE, export::post(otel, &trust, vec![spans::of_sent(span)])).await;
    let late = |_| format!("no answer came within {}", humantime::format_duration(PATIENCE));
    posted.map_err(late)?.map_err(|error| error.to_string())
}
