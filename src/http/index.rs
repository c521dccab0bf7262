//! What stands at `/`: who this is, and which routes it has.

use std::sync::OnceLock;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;

use super::dashboard::overview;
use super::openapi;
use super::problem::Problem;
use super::site::Site;

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

/// `GET /`: for browsers the overview.
pub(super) async fn show(State(site): State<Site>, request: Request) -> Result<Response, Problem> {
    static JSON: OnceLock<String> = OnceLock::new();
    let accepts = |header: &axum::http::HeaderValue| header.to_str().is_ok_and(|text| text.contains("text/html"));
    if request.headers().get(ACCEPT).is_some_and(accepts) {
        return overview::show(site, request).await;
    }
    let json = JSON.get_or_init(|| serde_json::to_string(&index()).unwrap_or_default() + "\n");
    Ok(([(CONTENT_TYPE, "application/json")], json.as_str()).into_response())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_api_stands_there() {
        let index = index();
        assert!(index.routes.len() > 30);
        assert!(index.routes.iter().any(|route| route.method == "DELETE" && route.path == "/api/v1/queues/{queue}"));
    }
}
