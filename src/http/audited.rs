//! Writes down who changed what by a request, right after the change.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::{Kind, Problem};
use super::site::Site;
use crate::admin::audit::{self, AuditEntry, AuditOutcome};
use crate::event::Event;
use crate::text::percent::decoded;

/// How long an answer to a change may be.
const LONGEST: usize = 4 << 20;

/// Who asks, for people to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    /// The name of a token.
    pub(super) who: String,
    /// An address.
    pub(super) from: String,
}

/// An answer that has this changed nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoChange;

/// What came of a change whose answer does not tell it: it leads to a page.
#[derive(Debug, Clone)]
pub(super) struct Came {
    /// As JSON.
    pub(super) answer: String,
    pub(super) outcome: AuditOutcome,
}

/// The middleware of a route that changes something.
pub(super) async fn keep(State((site, route)): State<(Site, &'static str)>, request: Request, next: Next) -> Response {
    // To its end even if the client leaves: the change may have been made.
    let done = tokio::spawn(async move {
        let who = request.extensions().get::<Who>().cloned().unwrap_or_default();
        let asked = request.uri().path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let response = next.run(request).await;
        let came = response.extensions().get::<Came>().cloned();
        let outcome = match response.status() {
            _ if let Some(came) = &came => came.outcome,
            status if status.is_success() => AuditOutcome::Done,
            status if status.is_server_error() => AuditOutcome::Failed,
            _ => return response,
        };
        if response.extensions().get::<NoChange>().is_some() {
            return response;
        }
        let (head, body) = response.into_parts();
        let Ok(answer) = to_bytes(body, LONGEST).await else {
            return Problem::new(Kind::Internal, "the answer is too long; the change was made").into_response();
        };
        let content = site.content();
        let redactor = &content.redactor;
        let asked = decoded(&asked).unwrap_or(asked);
        let answered = came.map_or_else(|| String::from_utf8_lossy(&answer), |came| came.answer.into());
        let entry = AuditEntry::new(site.clock.now_ms(), who.who, who.from, route.to_owned(), outcome)
            .request(redactor.hide(&asked).into_owned())
            .answered(redactor.hide(answered.trim_end()).into_owned());
        let kept = match site.admin() {
            Ok(store) => audit::keep(&store, entry).await.map_err(|error| error.to_string()),
            Err(_) => Err("the store is not open".to_owned()),
        };
        site.looks.forget_pauses().await;
        if let Err(error) = kept {
            site.bus.emit(Event::Warning { text: outcome.unwritten(&format!("http: {route}"), &error) });
        }
        Response::from_parts(head, Body::from(answer))
    });
    let failed = |_| Problem::new(Kind::Internal, "the request failed; the log says more").into_response();
    done.await.unwrap_or_else(failed)
}
