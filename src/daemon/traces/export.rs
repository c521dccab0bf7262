//! Posts spans: OTLP over HTTP, in protobuf.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::sleep;

use super::spans::{number, text};
use crate::backoff;
use crate::config::Config;
use crate::config::error::Problem;
use crate::config::otel::OtelConfig;
use crate::event::{Bus, Event};
use crate::handler::http::{SystemTrust, Untaken, post_with};
use crate::pool::Work;
use crate::process::sweep::hostname;
use crate::task::http_url::HttpUrl;

/// How often spans are sent again that a collector does not take now.
const TRIES: u32 = 5;
/// The first wait, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What is wrong with `[otel]` beyond its form.
#[must_use]
pub(crate) fn check(config: &Config) -> Option<Problem> {
    let otel = config.otel.as_ref()?;
    HttpUrl::parse(&otel.url).err().map(|error| otel.place.problem(error.to_string()))
}

/// Posts one batch after another, and tells what fails.
pub(super) struct Exporter {
    bus: Bus,
    work: watch::Receiver<Work>,
    trust: SystemTrust,
    /// Did the last one fail?
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(bus: Bus, work: watch::Receiver<Work>) -> Self {
        Self { bus, work, trust: SystemTrust::default(), is_failing: false }
    }

    /// Posts spans to whom the configuration names now, several times if it must. `false`: they are lost.
    pub(super) async fn send(&mut self, batch: Vec<Span>) -> bool {
        if batch.is_empty() {
            return true;
        }
        let mut tried = 0;
        loop {
            // A reload mends what waits, too. Nobody is told if it names nobody any more.
            let Some(otel) = self.work.borrow().config.otel.clone() else { return true };
            let posted = post(&otel, &self.trust, batch.clone()).await;
            tried += 1;
            match posted {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        self.bus.emit(Event::Notice { text: "spans are taken again".to_owned() });
                    }
                    return true;
                }
                Err(untaken) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        let text = format!(
                            "spans are not taken by {}: {untaken}; those that find no room meanwhile are lost, and this is told \
                             again when it works",
                            server(&otel)
                        );
                        self.bus.emit(Event::Warning { text });
                    }
                    if tried == TRIES || !may_pass(&untaken) {
                        return false;
                    }
                }
            }
            let (first, longest) = WAITS;
            sleep(backoff::exponential(tried - 1, first, longest, 0.5)).await;
        }
    }
}

/// May the same be taken later?
fn may_pass(untaken: &Untaken) -> bool {
    match untaken {
        Untaken::Answered(status) => matches!(
            *status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        ),
        Untaken::Unanswered(_) => true,
    }
}

/// The collector, as messages name it.
fn server(otel: &OtelConfig) -> String {
    HttpUrl::parse(&otel.url).map_or_else(|_| "[otel] endpoint".to_owned(), |url| url.origin())
}

/// Posts spans once.
///
/// # Errors
/// Says why they were not taken.
pub(super) async fn post(otel: &OtelConfig, trust: &SystemTrust, spans: Vec<Span>) -> Result<(), Untaken> {
    let url = HttpUrl::parse(&otel.url).map_err(|error| Untaken::Unanswered(error.to_string()))?;
    let mut headers = HeaderMap::with_capacity(otel.headers.len() + 1);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    for (name, secret) in &otel.headers {
        let Ok(mut value) = HeaderValue::try_from(secret.reveal()) else { continue };
        value.set_sensitive(true);
        headers.insert(name.clone(), value);
    }
    let body = request(otel, spans).encode_to_vec();
    post_with(&url, trust, headers, Bytes::from(body), otel.timeout).await
}

fn request(otel: &OtelConfig, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "windlass".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let (host, pid) = (hostname(), std::process::id());
    let mut attributes = vec![
        text("service.name", &otel.service_name),
        text("service.instance.id", &format!("{host}:{pid}")),
        text("host.name", &host),
        number("process.pid", i64::from(pid)),
    ];
    for (key, value) in &otel.attributes {
        attributes.retain(|known| known.key != *key);
        attributes.push(text(key, value));
    }
    let spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let all = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}
