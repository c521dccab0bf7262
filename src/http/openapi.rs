//! The document that describes the API for programs (OpenAPI 3.1). It is a file of the sources, and a test of the router holds it
//! against the routes and the types of their answers.

use axum::Extension;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::redact::OurWords;

/// The document.
pub(super) const TEXT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub(super) async fn show() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    // It is large, and everybody may ask for it.
    (Extension(OurWords), kind, TEXT)
}
