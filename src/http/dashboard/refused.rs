//! Problems as pages, for those who ask with a browser.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::assets::{ICON, STYLE};
use super::escape::hiding;
use super::forms::{is_ours, lead};
use super::words::encoded;
use crate::http::base::Base;
use crate::http::guard::session::LOGIN;
use crate::http::problem::{Problem, ProblemView};
use crate::text::redact::Redactor;

/// A request of a browser for a page.
#[derive(Debug, Clone)]
pub(in crate::http) struct Asked {
    base: Base,
    here: String,
    is_part: bool,
    is_safe: bool,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'p> {
    base: &'p str,
    style: String,
    icon: String,
    view: ProblemView,
    id: &'p str,
}

impl Asked {
    /// Is a page asked for, so that a problem is to be one as well?
    pub(in crate::http) fn of(request: &Request) -> Option<Self> {
        let accepts = request.headers().get(ACCEPT)?.to_str().ok()?;
        let path = request.uri().path();
        let is_page = !path.starts_with("/api/") && path != "/metrics" && path != "/openapi.json";
        (is_page && accepts.contains("text/html")).then(|| Self {
            base: request.extensions().get::<Base>().cloned().unwrap_or_default(),
            here: request.uri().path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default(),
            is_part: request.headers().contains_key("hx-request"),
            is_safe: request.method().is_safe(),
        })
    }

    /// The problem as a page. Who is nobody is asked who they are.
    pub(in crate::http) fn tell(&self, problem: &Problem, response: &mut Response, id: &str, redactor: &Redactor) {
        let base = &*self.base.0;
        if problem.status() == StatusCode::UNAUTHORIZED && !self.is_part {
            // What was sent by a form is lost, and its page is a good place to begin again.
            let next = if self.is_safe && is_ours(&self.here) { &self.here } else { "/" };
            *response = lead(base, &format!("{LOGIN}?next={}", encoded(next)));
            return;
        }
        let asset = |path: String| format!("{base}{path}");
        let page = RefusedPage { base, style: asset(STYLE.path()), icon: asset(ICON.path()), view: problem.view(), id };
        // A template of texts is always printed.
        let text = hiding(redactor, || page.render()).unwrap_or_default();
        *response.body_mut() = Body::from(text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if let Some(seconds) = problem.retries_after_s() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}
