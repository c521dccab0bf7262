//! What pages send: forms. Each leads back to a page, which says what came of it, and is in the audit like a change over the API.
//!
//! Where a form comes from is judged before (`guard/origin`): a browser says so, or the form is refused.

use axum::extract::{FromRequest, Request};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::flash::Flash;
use super::visit::Visit;
use crate::admin::audit::AuditOutcome;
use crate::http::api::body::{expect, whole};
use crate::http::api::query::decode;
use crate::http::audited::Came;
use crate::http::problem::{Kind, Problem};

/// How many fields a form has at most: those that are ticked on a page, and a few more.
const MOST: usize = 300;

/// The fields of a form.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (head, bytes) = whole(request).await?;
        if !bytes.is_empty() {
            expect(&head.headers, &["application/x-www-form-urlencoded"])?;
        }
        let text = String::from_utf8(bytes).map_err(|_| Problem::new(Kind::Malformed, "the form is not UTF-8"))?;
        let mut fields = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if fields.len() >= MOST {
                return Err(Problem::new(Kind::Malformed, format!("expected a form of at most {MOST} fields")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.push((decode(name)?, decode(value)?));
        }
        Ok(Self(fields))
    }
}

impl Form {
    /// The field of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The page to go back to, if the form names one of ours.
    pub(super) fn back(&self) -> Option<&str> {
        self.text("back").filter(|path| is_ours(path))
    }
}

/// Is this an address below our base, and not one of another site?
pub(super) fn is_ours(path: &str) -> bool {
    // Browsers take a backslash for a slash, and drop control characters.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_plain && path.starts_with('/') && !path.starts_with("//") && path.len() <= 8192
}

/// Leads to a page below the base.
pub(super) fn lead(base: &str, to: &str) -> Response {
    let to = if is_ours(to) { to } else { "/" };
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(location) = HeaderValue::try_from(format!("{base}{to}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Leads to a page that says this first.
pub(super) fn lead_saying(visit: &Visit, to: &str, said: Flash) -> Response {
    let mut response = lead(&visit.base, to);
    let text = visit.site.content().redactor.hide(&said.text).into_owned();
    if let Some(cookie) = (Flash { text, ..said }).header(&visit.base) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// It was done: `answer` is what the audit keeps, `text` what the next page says.
pub(super) fn done(visit: &Visit, to: &str, text: impl Into<String>, answer: &impl Serialize) -> Response {
    came(lead_saying(visit, to, Flash::done(text)), answer, AuditOutcome::Done)
}

/// Some of it was done, and the page says what was not.
pub(super) fn done_in_part(visit: &Visit, to: &str, text: impl Into<String>, answer: &impl Serialize) -> Response {
    came(lead_saying(visit, to, Flash::not_done(text)), answer, AuditOutcome::Refused)
}

/// It was not done, and the next page says why.
pub(super) fn not_done(visit: &Visit, to: &str, problem: Problem) -> Response {
    let problem = if visit.site.undoes_failed_steps() { problem } else { problem.of_a_change() };
    let view = problem.view();
    let response = lead_saying(visit, to, Flash::not_done(problem.detail()));
    // What was refused changed nothing, and is not kept.
    if problem.status().is_server_error() { came(response, &view, AuditOutcome::Failed) } else { response }
}

fn came(mut response: Response, answer: &impl Serialize, outcome: AuditOutcome) -> Response {
    // Texts and numbers always become JSON.
    let answer = serde_json::to_string(answer).unwrap_or_default();
    response.extensions_mut().insert(Came { answer, outcome });
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(body: &str, kind: &str) -> Result<Form, u16> {
        let request = Request::post("/").header("content-type", kind).body(Body::from(body.to_owned())).unwrap();
        Form::from_request(request, &()).await.map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn fields_are_decoded_and_bounded() {
        let kind = "application/x-www-form-urlencoded";
        let form = read("t=a&t=b%26c&args=%5B1%2C+%22%C3%A9%22%5D&empty=", kind).await.unwrap();
        assert_eq!(form.all("t").collect::<Vec<_>>(), ["a", "b&c"]);
        assert_eq!((form.text("args"), form.text("empty"), form.text("none")), (Some("[1, \"é\"]"), Some(""), None));
        assert_eq!(read("a=1", "text/plain").await.unwrap_err(), 415);
        assert_eq!(read("a=%ff", kind).await.unwrap_err(), 400);
        assert_eq!(read(&"a&".repeat(MOST + 1), kind).await.unwrap_err(), 400);
        assert_eq!(read(&"a".repeat((1 << 20) + 1), kind).await.unwrap_err(), 413);
    }

    #[test]
    fn a_form_leads_to_no_other_site() {
        for (to, leads) in [
            ("/queues?sort=oldest", "/jobs/queues?sort=oldest"),
            ("//evil.example", "/jobs/"),
            ("/\\evil.example", "/jobs/"),
            ("https://evil.example", "/jobs/"),
            ("/a\nb", "/jobs/"),
            ("", "/jobs/"),
        ] {
            assert_eq!(lead("/jobs", to).headers()[LOCATION], leads, "{to:?}");
        }
    }
}
