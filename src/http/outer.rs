//! Around every request: its id, its time, its count, the headers of every answer, and the writing of problems.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::{Instant, timeout};

use super::dashboard::Asked;
use super::problem::{Kind, Problem};
use super::site::Site;
use super::{redact, written_out};
use crate::event::Event;
use crate::supervise::scope::{contained_future, message};

/// How long a request may take until its answer begins.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// The header with the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What pages may load: nothing but what comes from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The ids of the requests of one process.
#[derive(Debug)]
pub(super) struct Ids {
    first: u32,
    next: AtomicU32,
}

impl Ids {
    /// Ids that no other process has, as far as chance allows.
    pub(super) fn new() -> Self {
        // Without chance ids of two processes may be equal, which misleads only who compares logs.
        Self { first: getrandom::u32().unwrap_or_default(), next: AtomicU32::new(0) }
    }

    fn take(&self) -> String {
        format!("{:08x}{:08x}", self.first, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The outermost layer.
pub(super) async fn around(State((site, ids)): State<(Site, Arc<Ids>)>, request: Request, next: Next) -> Response {
    site.asks();
    let id = ids.take();
    let is_safe = request.method().is_safe();
    let asked = Asked::of(&request);
    let (method, path) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let begun = Instant::now();
    let answer = timeout(LIMIT, contained_future(Box::pin(next.run(request))));
    let mut response = match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            site.bus.emit(Event::InternalError { error: format!("http request {id} panicked: {}", message(&*panic)) });
            Problem::new(Kind::Internal, "the request failed; the log says more under its id").into_response()
        }
        Err(_) => late(is_safe).into_response(),
    };
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = problem {
        // SQLite undoes what it does not end, so that nothing is unknown.
        let is_certain = is_safe || site.undoes_failed_steps();
        let problem = if is_certain { problem } else { problem.of_a_change() };
        match &asked {
            Some(asked) => asked.tell(&problem, &mut response, &id, &site.content().redactor),
            None => problem.write(&mut response, &id),
        }
        if problem.status().is_server_error() && problem.status() != axum::http::StatusCode::SERVICE_UNAVAILABLE {
            site.bus.emit(Event::InternalError { error: format!("http request {id}: {}", problem.detail()) });
        }
    }
    redact::hide(&site.content().redactor, &mut response).await;
    written_out::write_out(&mut response).await;
    let path = path.as_ref().map(MatchedPath::as_str);
    site.requests.count(&method, path, response.status(), begun.elapsed());
    secure(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn late(is_safe: bool) -> Problem {
    let detail = if is_safe {
        "there was no answer within 30 seconds; ask for less, or try again"
    } else {
        "there was no answer within 30 seconds, and it is not known whether the request was done; look before you repeat it"
    };
    let problem = Problem::new(Kind::Timeout, detail);
    if is_safe { problem.retry_after_s(5) } else { problem }
}

fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What says how long it may be kept, says so itself.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
