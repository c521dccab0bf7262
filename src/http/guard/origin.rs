//! May the page that sent this change something?
//!
//! A browser sends requests of any page, with what it knows of us. It also says where they come from: `Sec-Fetch-Site`, or,
//! where it does not trust the connection, `Origin`. A request with neither is no browser's of these years. It may only not be
//! what a form can send.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::problem::{Kind, Problem};

/// The types of bodies that a form cannot have.
const TYPES: [&str; 3] = ["application/json", "application/x-ndjson", "application/jsonl"];

/// The middleware.
pub(in crate::http) async fn check(request: Request, next: Next) -> Response {
    if !request.method().is_safe()
        && let Err(problem) = judge(request.headers())
    {
        return problem.into_response();
    }
    next.run(request).await
}

fn judge(headers: &HeaderMap) -> Result<(), Problem> {
    let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let refused = |detail: String| Err(Problem::new(Kind::CrossOrigin, detail));
    if let Some(site) = value("sec-fetch-site".parse().unwrap_or(ORIGIN)) {
        return match site {
            "same-origin" | "none" => Ok(()),
            other => {
                refused(format!("the browser says that a page of another origin sent this (Sec-Fetch-Site: {other})"))
            }
        };
    }
    if let Some(origin) = value(ORIGIN) {
        let host = value(HOST).unwrap_or_default();
        let of_page = origin.split_once("://").map(|(_, authority)| authority);
        return match of_page {
            Some(of_page) if of_page.eq_ignore_ascii_case(host) => Ok(()),
            _ => refused(format!("a page of {origin:?} sent this, and this server is {host:?}")),
        };
    }
    let has_body =
        headers.contains_key(TRANSFER_ENCODING) || value(CONTENT_LENGTH).is_some_and(|length| length.trim() != "0");
    let kind = value(CONTENT_TYPE);
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match essence {
        None if !has_body => Ok(()),
        Some(essence) if TYPES.contains(&essence.as_str()) => Ok(()),
        _ => Err(Problem::new(
            Kind::WrongMediaType,
            format!("expected Content-Type: application/json (found {})", kind.unwrap_or("none")),
        )
        .command("curl --json '...' URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &[(&'static str, &str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        map.insert(HOST, "localhost:7480".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        judge(&map).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn the_browsers_word_comes_first() {
        for site in ["same-origin", "none"] {
            assert_eq!(judged(&[("sec-fetch-site", site), ("origin", "http://evil.example")]), Ok(()), "{site}");
        }
        for site in ["cross-site", "same-site", "", "SAME-ORIGIN"] {
            assert_eq!(judged(&[("sec-fetch-site", site), ("content-type", "application/json")]), Err(403), "{site}");
        }
    }

    #[test]
    fn an_origin_must_be_ours() {
        for (origin, wanted) in [
            ("http://localhost:7480", Ok(())),
            ("https://LOCALHOST:7480", Ok(())),
            ("http://localhost", Err(403)),
            ("http://localhost:7480.evil.example", Err(403)),
            ("http://evil.example", Err(403)),
            ("null", Err(403)),
            ("", Err(403)),
        ] {
            assert_eq!(judged(&[("origin", origin), ("content-type", "application/json")]), wanted, "{origin}");
        }
    }

    #[test]
    fn others_may_send_what_no_form_can() {
        assert_eq!(judged(&[]), Ok(()), "nothing is sent");
        assert_eq!(judged(&[("content-length", "0")]), Ok(()));
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/x-ndjson"] {
            assert_eq!(judged(&[("content-length", "2"), ("content-type", kind)]), Ok(()), "{kind}");
        }
        for kind in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
            "",
            "application/jsonx",
        ] {
            assert_eq!(judged(&[("content-length", "2"), ("content-type", kind)]), Err(415), "{kind}");
            assert_eq!(judged(&[("content-type", kind)]), Err(415), "{kind} of an empty form");
        }
        assert_eq!(judged(&[("content-length", "2")]), Err(415));
        assert_eq!(judged(&[("transfer-encoding", "chunked")]), Err(415));
    }
}
