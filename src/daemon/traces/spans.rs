//! Spans, by the semantic conventions of messaging and HTTP. They hold no arguments and no results.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::event::Event;
use crate::event::kind::JobInfo;
use crate::job::trace::context::SpanId;
use crate::job::trace::{HttpCall, RunTrace, SentSpan, TraceContext};
use crate::text::clean;
use crate::text::cut::cut;
use crate::text::redact::Redactor;

/// How much of an error a span holds, in bytes.
const LONGEST_ERROR: usize = 256;
/// That a trace is recorded, and that its parent may be another program's: flags of spans.
const SAMPLED: u32 = 0x01;
const FROM_ELSEWHERE: u32 = 0x300;

/// The spans that end with this event. `redact`: the keys whose values are hidden in errors.
pub(super) fn of_event(at_ms: i64, event: &Event, redact: impl FnOnce() -> Vec<String>, out: &mut Vec<Span>) {
    let (job, outcome, error, duration) = match event {
        Event::Success { job, duration, .. } => (job, "done", None, Some(*duration)),
        Event::Swallowed { job, error, duration } => (job, "done", Some(error), Some(*duration)),
        Event::Failure { job, error, duration, .. } => (job, "failed", Some(error), Some(*duration)),
        Event::Retry { job, error, duration, .. } => (job, "retried", Some(error), Some(*duration)),
        Event::Later { job, .. } => (job, "later", None, None),
        Event::ReEnqueue { job, .. } => (job, "cut_off", None, None),
        Event::Sent { span } => return out.push(of_sent(span)),
        _ => return,
    };
    let Some(trace) = job.trace.as_deref().filter(|trace| trace.context.sampled) else { return };
    if trace.began_ms().is_none() && error.is_none() {
        // It goes back without a run.
        return;
    }
    let error = error.map(|error| Redactor::new(&redact()).hide(error).into_owned());
    out.extend(wait(trace, job));
    out.push(run(trace, job, outcome, error.as_deref(), at_ms, duration));
    out.extend(trace.call().map(|call| of_call(trace, call)));
}

/// The time between the enqueue and the claim.
fn wait(trace: &RunTrace, job: &JobInfo) -> Option<Span> {
    let since_ms = trace.waited_since_ms?;
    let context = TraceContext { span: trace.wait_span(), ..trace.context };
    let mut span = begun(context, trace.parent, format!("wait {}", job.queue), since_ms.min(trace.claimed_ms));
    span.end_time_unix_nano = nanoseconds(trace.claimed_ms);
    span.set_kind(SpanKind::Internal);
    span.attributes = messaging(job.queue.as_str(), job.class.as_str(), "wait");
    span.attributes.push(text("messaging.message.id", &job.id));
    Some(span)
}

fn run(
    trace: &RunTrace,
    job: &JobInfo,
    outcome: &str,
    error: Option<&str>,
    at_ms: i64,
    duration: Option<Duration>,
) -> Span {
    // A job that cannot be performed is over when it is read.
    let began_ms = trace.began_ms().unwrap_or(trace.claimed_ms);
    let mut span = begun(trace.context, trace.parent, format!("process {}", job.queue), began_ms);
    let end = duration.map_or(nanoseconds(at_ms), |duration| later(began_ms, duration));
    span.end_time_unix_nano = end.max(span.start_time_unix_nano);
    span.set_kind(SpanKind::Consumer);
    span.attributes = messaging(job.queue.as_str(), job.class.as_str(), "process");
    span.attributes.extend([
        text("messaging.operation.type", "process"),
        text("messaging.message.id", &job.id),
        text("messaging.client.id", job.worker.name()),
        text("windlass.worker", job.worker.name()),
        text("windlass.claim", trace.claim.as_str()),
        number("windlass.attempt", i64::from(trace.identity.attempt)),
        number("windlass.redelivered", i64::from(trace.identity.redelivered)),
        text("windlass.outcome", outcome),
    ]);
    if let Some(error) = error {
        fail(&mut span, error);
    }
    span
}

fn of_call(trace: &RunTrace, call: &HttpCall) -> Span {
    let mut span = begun(trace.call_context(), Some(trace.context.span), call.method.clone(), call.began_ms);
    span.end_time_unix_nano = later(call.began_ms, call.duration);
    span.flags = SAMPLED;
    span.set_kind(SpanKind::Client);
    span.attributes = vec![
        text("http.request.method", &call.method),
        text("server.address", &call.host),
        number("server.port", i64::from(call.port)),
    ];
    match call.status {
        Some(status) => {
            span.attributes.push(number("http.response.status_code", i64::from(status)));
            if status >= 400 {
                span.attributes.push(text("error.type", &status.to_string()));
                span.status = Some(status_of(StatusCode::Error, String::new()));
            }
        }
        None => span.status = Some(status_of(StatusCode::Error, "no answer came".to_owned())),
    }
    span
}

/// The span of an enqueue.
pub(super) fn of_sent(sent: &SentSpan) -> Span {
    let SentSpan { context, parent, began_ms, ended_ms, queue, task, refused_by } = sent;
    let mut span = begun(*context, *parent, format!("send {queue}"), *began_ms);
    span.end_time_unix_nano = nanoseconds(*ended_ms).max(span.start_time_unix_nano);
    span.set_kind(SpanKind::Producer);
    span.attributes = messaging(queue, task, "send");
    span.attributes.push(text("messaging.operation.type", "send"));
    span.attributes.push(text("windlass.outcome", if refused_by.is_some() { "refused" } else { "enqueued" }));
    if let Some(plugin) = refused_by {
        span.attributes.push(text("windlass.refused_by", plugin));
    }
    span
}

fn begun(context: TraceContext, parent: Option<SpanId>, name: String, began_ms: i64) -> Span {
    Span {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        parent_span_id: parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        flags: if parent.is_some() { SAMPLED | FROM_ELSEWHERE } else { SAMPLED },
        name: clean::line(&name).into_owned(),
        start_time_unix_nano: nanoseconds(began_ms),
        ..Span::default()
    }
}

fn messaging(queue: &str, task: &str, operation: &str) -> Vec<KeyValue> {
    vec![
        text("messaging.system", "resque"),
        text("messaging.operation.name", operation),
        text("messaging.destination.name", queue),
        text("windlass.task", task),
    ]
}

/// An error begins with what it is called.
fn fail(span: &mut Span, error: &str) {
    let (exception, _) = error.split_once(": ").unwrap_or((error, ""));
    span.attributes.push(text("error.type", &cut(clean::line(exception), LONGEST_ERROR)));
    span.status = Some(status_of(StatusCode::Error, cut(clean::line(error), LONGEST_ERROR)));
}

fn status_of(code: StatusCode, message: String) -> Status {
    Status { message, code: code.into() }
}

/// A text as an attribute, in one line.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(clean::line(value).into_owned()))
}

/// A number as an attribute.
pub(super) fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn nanoseconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}

fn later(ms: i64, duration: Duration) -> u64 {
    nanoseconds(ms).saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
