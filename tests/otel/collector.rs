//! A collector of the test's own: it takes spans as OTLP has them, and decodes them by the standard's own definitions.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::daemon::eventually;
use crate::server::{Answer, Request, Server, answer};

/// Where spans arrive.
pub(crate) struct Collector(pub(crate) Server);

/// A span with what it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) span: Span,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
}

impl Collector {
    /// Takes all spans.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| answer("200 OK", ""))
    }

    /// Answers by this function.
    pub(crate) fn answering(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self(Server::start(answer))
    }

    /// `[otel]` with this collector.
    pub(crate) fn section(&self, more: &str) -> String {
        format!("[otel]\nendpoint = \"http://127.0.0.1:{}\"\n{more}\n", self.0.port)
    }

    /// All spans that came, in order.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let requests = self.0.seen.all();
        requests.iter().flat_map(|request| of(&request.body)).collect()
    }

    /// The only span of this name, once it has come.
    #[track_caller]
    pub(crate) fn span(&self, name: &str) -> Seen {
        self.some(name, 1).remove(0)
    }

    /// All spans of this name, once so many have come.
    #[track_caller]
    pub(crate) fn some(&self, name: &str, number: usize) -> Vec<Seen> {
        let named = || self.spans().into_iter().filter(|seen| seen.span.name == name).collect::<Vec<_>>();
        eventually(&format!("{number} spans {name}"), || named().len() == number);
        named()
    }
}

impl Seen {
    #[track_caller]
    pub(crate) fn says(&self, key: &str) -> &str {
        self.attributes.get(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }

    /// As a `traceparent` has it.
    pub(crate) fn context(&self) -> String {
        format!("00-{}-{}-01", hex(&self.span.trace_id), hex(&self.span.span_id))
    }

    /// Is it a child of that one?
    pub(crate) fn is_child_of(&self, other: &Self) -> bool {
        self.span.trace_id == other.span.trace_id && self.span.parent_span_id == other.span.span_id
    }

    /// The status: whether it is an error, and which.
    pub(crate) fn error(&self) -> Option<&str> {
        self.span.status.as_ref().filter(|status| status.code == 2).map(|status| status.message.as_str())
    }
}

/// The spans of a request.
pub(crate) fn of(body: &[u8]) -> Vec<Seen> {
    let request = ExportTraceServiceRequest::decode(body).expect("the body must be OTLP");
    let mut all = Vec::new();
    for spans in request.resource_spans {
        let resource = texts(&spans.resource.expect("it must say who it is of").attributes);
        for scope in spans.scope_spans {
            assert_eq!(scope.scope.expect("it must say who made it").name, "windlass");
            let seen = |span: Span| Seen { attributes: texts(&span.attributes), span, resource: resource.clone() };
            all.extend(scope.spans.into_iter().map(seen));
        }
    }
    all
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither a text nor a number: {other:?}"),
    };
    attributes.iter().map(|one| (one.key.clone(), text(&one.value))).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
