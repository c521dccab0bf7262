//! A server that changes nothing, no matter who asks. To log in changes nothing.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::session;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;

/// The middleware.
pub(in crate::http) async fn check(State(site): State<Site>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if site.content().http.read_only && !request.method().is_safe() && path != session::LOGIN && path != session::LOGOUT
    {
        let detail = "this server only shows (read_only under [http] in its configuration); ask another instance, or use the \
                      command line";
        return Problem::new(Kind::ReadOnly, detail).into_response();
    }
    next.run(request).await
}
