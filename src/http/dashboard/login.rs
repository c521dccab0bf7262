//! The beginning and the end of a session. Who has no token sees nothing else.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::{CONNECTION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::flash::{Flash, cookie_path};
use super::forms::{Form, is_ours, lead, lead_saying};
use super::page::{Shell, answer};
use super::visit::Visit;
use crate::event::Event;
use crate::http::guard::caller::{Refused, try_token};
use crate::http::guard::proxy;
use crate::http::guard::session::{self, LASTS_S, LOGIN, SESSION};
use crate::http::peer::Peer;
use crate::http::problem::Problem;
use crate::http::site::Site;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    next: String,
    /// Why the last try was refused.
    refused: Option<String>,
    /// Is there any token at all?
    has_tokens: bool,
}

/// `GET /login`.
pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    let next = visit.asked("next").unwrap_or("/").to_owned();
    page(&visit, next, None)
}

fn page(visit: &Visit, next: String, refused: Option<String>) -> Result<Response, Problem> {
    let has_tokens = !visit.site.content().http.tokens.is_empty();
    let page = LoginPage { shell: Shell::new(visit, "", "Log in"), next, refused, has_tokens };
    answer(&page.shell, &page)
}

/// `POST /login`.
pub(super) async fn begin(
    State(site): State<Site>,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    let content = site.content();
    let next = form.text("next").filter(|path| is_ours(path)).unwrap_or("/").to_owned();
    let client = proxy::client(peer.address, &headers, &content.http.trusted_proxies);
    let token = form.text("token").unwrap_or_default().trim();
    match try_token(&content.http, &site.attempts, client, token) {
        Ok(held) => {
            let value = session::begin(held, visit.now_ms);
            let mut response = lead(&visit.base, &next);
            set(&mut response, &visit.base, &value, LASTS_S, &headers);
            Ok(response)
        }
        Err(Refused { problem, told }) => {
            if let Some(text) = told {
                site.bus.emit(Event::Warning { text });
            }
            let mut response = page(&visit, next, Some(problem.detail().to_owned()))?;
            *response.status_mut() = problem.status();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                // Each further try costs a connection.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }
}

/// `POST /logout`.
pub(super) async fn end(visit: Visit, headers: HeaderMap) -> Response {
    let mut response = lead_saying(&visit, LOGIN, Flash::done("You are logged out."));
    set(&mut response, &visit.base, "", 0, &headers);
    response
}

fn set(response: &mut Response, base: &str, value: &str, lasts_s: i64, headers: &HeaderMap) {
    let secure = if proxy::is_encrypted(headers) { "; Secure" } else { "" };
    // Lax: who comes by a link from elsewhere stays logged in.
    let path = cookie_path(base);
    let cookie = format!("{SESSION}={value}; Path={path}; Max-Age={lasts_s}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
