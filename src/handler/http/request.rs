//! Requests: the parts that are equal for all jobs of a task are made once.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::uri::PathAndQuery;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::sign::{Signed, Signer};
use crate::handler::contract::Invocation;
use crate::handler::job_line;
use crate::task::handler_spec::{HttpSpec, Secret};

const JOB_ID: HeaderName = HeaderName::from_static("windlass-job-id");
const CLAIM: HeaderName = HeaderName::from_static("windlass-claim");
const TASK: HeaderName = HeaderName::from_static("windlass-task");
const QUEUE: HeaderName = HeaderName::from_static("windlass-queue");
const ATTEMPT: HeaderName = HeaderName::from_static("windlass-attempt");
const SIGNATURE: HeaderName = HeaderName::from_static("windlass-signature");

/// How many headers are added for each job.
const OF_JOB: usize = if cfg!(feature = "otel") { 7 } else { 6 };
#[cfg(feature = "otel")]
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The parts that all requests of a task share.
pub(super) struct RequestTemplate {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    signer: Option<Signer>,
}

impl RequestTemplate {
    /// Makes a template, or says why that is impossible.
    pub(super) fn new(spec: &HttpSpec) -> Result<Self, String> {
        let mut headers = HeaderMap::with_capacity(spec.headers.len() + 3 + OF_JOB);
        let value = |text: &str| HeaderValue::try_from(text).map_err(|_| "a header has an impossible value".to_owned());
        headers.insert(header::HOST, value(&spec.url.authority)?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("windlass/", env!("CARGO_PKG_VERSION"))));
        if has_body(&spec.method) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, secret) in &spec.headers {
            let mut value = value(known(secret)?)?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(Self {
            method: spec.method.clone(),
            uri: spec.url.path.parse().map_err(|_| "its address has an impossible path".to_owned())?,
            headers,
            signer: signer(&spec.secrets)?,
        })
    }

    /// The request of one job, sent at this second.
    pub(super) fn request(&self, job: &Invocation, now_s: i64) -> Request<RequestBody> {
        let body = if has_body(&self.method) {
            let mut body = Vec::with_capacity(job.args.len() + 256);
            job_line::append(&mut body, job);
            RequestBody(Some(Bytes::from(body)))
        } else {
            RequestBody(None)
        };
        let mut headers = self.headers.clone();
        let id = text(&job.identity.id);
        let claim = if job.claim.as_str() == &*job.identity.id { id.clone() } else { text(job.claim.as_str()) };
        let signature = self.signer.as_ref().map(|signer| {
            signer.sign(Signed {
                second: now_s,
                method: self.method.as_str(),
                path: self.uri.path_and_query().map_or("/", PathAndQuery::as_str),
                id: id.as_bytes(),
                claim: claim.as_bytes(),
                body: body.0.as_deref(),
            })
        });
        headers.insert(JOB_ID, id);
        headers.insert(CLAIM, claim);
        headers.insert(TASK, text(job.task.name.as_str()));
        headers.insert(QUEUE, text(job.queue.as_str()));
        headers.insert(ATTEMPT, HeaderValue::from(job.identity.attempt));
        if let Some(signature) = signature {
            headers.insert(SIGNATURE, signature);
        }
        #[cfg(feature = "otel")]
        if let Some(trace) = &job.trace {
            headers.insert(TRACEPARENT, text(&trace.call_context().to_string()));
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// Do requests of this method have a body? Servers expect none for the others.
fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::DELETE)
}

fn signer(secrets: &[Secret]) -> Result<Option<Signer>, String> {
    let known = secrets.iter().map(known).collect::<Result<Vec<&str>, String>>()?;
    Ok((!known.is_empty()).then(|| Signer::new(known)))
}

fn known(secret: &Secret) -> Result<&str, String> {
    match secret {
        Secret::Known(text) => Ok(text),
        Secret::Unavailable(why) => Err(why.clone()),
    }
}

/// A name as the value of a header. Queues of other programs may have any name: bytes that are not printable ASCII are
/// percent-encoded, and so is `%`.
fn text(name: &str) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if name.bytes().all(plain)
        && let Ok(value) = HeaderValue::try_from(name)
    {
        return value;
    }
    let mut written = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if plain(byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::try_from(written).expect("printable ASCII must be a header's value")
}

/// A body in one piece, or none.
pub(super) struct RequestBody(Option<Bytes>);

impl RequestBody {
    /// These bytes.
    pub(super) fn of(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.get_mut().0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_into_headers_whatever_they_are() {
        assert_eq!(text("mail"), "mail");
        assert_eq!(text("100% groß\r\nx: y"), "100%25%20gro%C3%9F%0D%0Ax:%20y");
    }
}
