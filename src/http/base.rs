//! Below which path browsers see this server: `base` under `[http]`, or what a trusted proxy says.
//!
//! A proxy may pass on paths as they are, or without the base: `/jobs/queues` and `/queues` are the same page. Every link begins
//! with the base.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::Next;
use axum::response::Response;

use super::guard::proxy;
use super::peer::Peer;
use super::site::Site;
use crate::config::http::base_path;

/// The base of a request: empty, or such as `/jobs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base(pub(super) Arc<str>);

/// Around all routes. It takes the base off the path, and leaves a [`Base`] for those behind it.
pub(super) async fn strip(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let content = site.content();
    let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    let told = proxy::prefix(address, request.headers(), &content.http.trusted_proxies).and_then(base_path);
    // A proxy that says its own path may pass on ours as well.
    for base in [told.as_deref(), Some(content.http.base.as_str())].into_iter().flatten() {
        if let Some(uri) = below(base, request.uri()) {
            *request.uri_mut() = uri;
        }
    }
    let base = told.unwrap_or_else(|| content.http.base.clone());
    request.extensions_mut().insert(Base(base.into()));
    next.run(request).await
}

/// The address without the base, if it begins with it.
fn below(base: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(base).filter(|_| !base.is_empty())?;
    let path = match rest {
        "" => "/",
        rest if rest.starts_with('/') => rest,
        _ => return None,
    };
    let path = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_taken_off_whole_and_once() {
        let path = |base: &str, path: &str| below(base, &path.parse().unwrap()).map(|uri| uri.to_string());
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(path("/jobs", "/jobs"), told("/"));
        assert_eq!(path("/jobs", "/jobs?a=b"), told("/?a=b"));
        assert_eq!(path("/jobs", "/jobs/queues/a%2Fb?x=%20"), told("/queues/a%2Fb?x=%20"));
        assert_eq!(path("/jobs", "http://localhost/jobs/jobs/x"), told("http://localhost/jobs/x"));
        for (base, other) in [("/jobs", "/jobsx"), ("/jobs", "/queues"), ("", "/queues"), ("/jobs", "/JOBS/x")] {
            assert_eq!(path(base, other), None, "{other}");
        }
    }
}
