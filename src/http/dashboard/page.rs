//! A page as an answer: what stands around each, and how it is sent.

use std::sync::Arc;

use askama::DynTemplate;
use axum::http::header::{CONTENT_TYPE, ETAG, SET_COOKIE, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::assets::{HTMX, ICON, SCRIPT, SSE, STYLE};
use super::escape::hiding;
use super::flash::Flash;
use super::places::{PLACES, Place};
use super::visit::Visit;
use crate::http::guard::caller::Caller;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Content;
use crate::job::digest::fnv1a;

/// What stands around a page (`layout.html`).
#[derive(Debug)]
pub(super) struct Shell {
    /// The title, for tabs.
    pub(super) title: String,
    /// What every link begins with.
    pub(super) base: String,
    /// The page itself, below the base.
    pub(super) here: String,
    /// The place in the rail that it belongs to, by its name.
    pub(super) place: &'static str,
    pub(super) places: &'static [Place],
    /// The topics of events after which the page is read again; `None`: it stays as it is.
    pub(super) topics: Option<&'static str>,
    pub(super) is_part: bool,
    pub(super) said: Option<Flash>,
    /// Who looks, if a token says so.
    pub(super) name: Option<String>,
    pub(super) in_session: bool,
    pub(super) read_only: bool,
    /// Is it nobody who looks? Then nothing is told of this server.
    pub(super) is_nobody: bool,
    pub(super) assets: Assets,
    pub(super) version: &'static str,
    content: Arc<Content>,
    known: Option<String>,
}

/// Where a page finds what it loads.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) htmx: String,
    pub(super) sse: String,
    pub(super) icon: String,
}

impl Shell {
    /// Around the page of a visit. `place`: the name of its place in the rail.
    pub(super) fn new(visit: &Visit, place: &'static str, title: impl Into<String>) -> Self {
        let asset = |path: String| format!("{}{path}", visit.base);
        Self {
            title: title.into(),
            base: visit.base.clone(),
            here: visit.here.clone(),
            place,
            places: PLACES,
            topics: None,
            is_part: visit.is_part,
            said: visit.said.clone(),
            name: visit.name.clone(),
            in_session: visit.in_session,
            read_only: visit.read_only,
            is_nobody: visit.caller() == Caller::Nobody,
            assets: Assets {
                style: asset(STYLE.path()),
                script: asset(SCRIPT.path()),
                htmx: asset(HTMX.path()),
                sse: asset(SSE.path()),
                icon: asset(ICON.path()),
            },
            version: env!("CARGO_PKG_VERSION"),
            content: visit.site.content(),
            known: visit.known.clone(),
        }
    }

    /// A page that is read again when there are events of these topics, behind commas.
    pub(super) fn live(self, topics: &'static str) -> Self {
        Self { topics: Some(topics), ..self }
    }

    /// The name of this host.
    pub(super) fn host(&self) -> &str {
        &self.content.host
    }
}

/// The answer with this page, which stands in this shell. A part that has not changed is not sent again.
pub(super) fn answer(shell: &Shell, template: &dyn DynTemplate) -> Result<Response, Problem> {
    let text = hiding(&shell.content.redactor, || template.dyn_render())
        .map_err(|error| Problem::new(Kind::Internal, format!("the page cannot be printed: {error}")))?;
    let tag = format!("\"{:016x}\"", fnv1a(text.bytes()));
    let is_known = shell.is_part && shell.known.as_deref() == Some(tag.as_str());
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(VARY, HeaderValue::from_static("HX-Request, Cookie"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    if shell.said.is_some()
        && let Some(gone) = Flash::gone(&shell.base)
    {
        headers.append(SET_COOKIE, gone);
    }
    Ok(response)
}
