//! The document that describes the API for programs (OpenAPI 3.1). It is a file of the sources, and a test of the router holds it
//! against the routes and the types of their answers.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The document.
pub(super) const TEXT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub(super) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT)
}
