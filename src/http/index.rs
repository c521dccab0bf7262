//! What stands at `/`: who this is, and which routes it has.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;

use super::openapi;

/// A route, for people and programs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct RouteView {
    /// Its method.
    method: String,
    /// Its path. Parts in braces stand for names.
    path: String,
    /// What it does.
    summary: String,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct IndexView {
    /// Always `windlass`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Where the description of the routes for programs stands.
    openapi: &'static str,
    /// The routes.
    routes: Vec<RouteView>,
}

/// `GET /`: for browsers as a page.
pub(super) async fn show(headers: HeaderMap) -> Response {
    static TEXTS: OnceLock<(String, String)> = OnceLock::new();
    let (page, json) = TEXTS.get_or_init(|| {
        let index = index();
        (page(&index), serde_json::to_string(&index).unwrap_or_default() + "\n")
    });
    let accepts = |header: &axum::http::HeaderValue| header.to_str().is_ok_and(|text| text.contains("text/html"));
    if headers.get(ACCEPT).is_some_and(accepts) {
        return ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.as_str()).into_response();
    }
    ([(CONTENT_TYPE, "application/json")], json.as_str()).into_response()
}

fn index() -> IndexView {
    let document: Value = serde_json::from_str(openapi::TEXT).unwrap_or_default();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default().to_owned();
            routes.push(RouteView { method: method.to_ascii_uppercase(), path: path.clone(), summary });
        }
    }
    IndexView { name: "windlass", version: env!("CARGO_PKG_VERSION"), openapi: "/openapi.json", routes }
}

fn page(index: &IndexView) -> String {
    let mut rows = String::new();
    for RouteView { method, path, summary } in &index.routes {
        let (shown, summary) = (escaped(path), escaped(summary));
        // What takes no name can be looked at.
        let place = if method == "GET" && !path.contains('{') && !path.ends_with("/events") {
            format!("<a href=\"{}\">{shown}</a>", shown.trim_start_matches('/'))
        } else {
            shown
        };
        let _ = writeln!(rows, "<tr><td>{method}</td><td><code>{place}</code></td><td>{summary}</td></tr>");
    }
    let version = escaped(index.version);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Windlass</title></head>\n<body>\n\
         <h1>Windlass {version}</h1>\n<table>\n{rows}</table>\n</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_there_and_those_without_a_name_are_links() {
        let index = index();
        assert!(index.routes.len() > 30);
        let page = page(&index);
        assert!(page.contains("<a href=\"api/v1/queues\">/api/v1/queues</a>"), "{page}");
        assert!(page.contains("<code>/api/v1/queues/{queue}</code>"));
        assert_eq!(page.matches("<tr>").count(), index.routes.len());
    }
}
