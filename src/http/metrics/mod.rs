//! `/metrics`: how this instance and its fleet stand, for Prometheus and who reads its formats.
//!
//! ```text
//!   route --> own (tally, figures, meter, pool when asked) --+
//!         \-> fleet (the store, once a second)               +--> page --> classic text or OpenMetrics
//!         \-> process (the kernel)                         --+
//! ```
//!
//! Nothing is counted for this page alone that costs a job anything: it is put together when somebody asks.

mod families;
mod fleet;
mod names;
mod own;
mod page;
mod process;
mod risen;
mod samples;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};

use self::fleet::Fleet;
use self::own::Labels;
use self::page::{Format, Page};
use super::guard::role;
use super::problem::{Kind, Problem};
use super::site::Site;
use crate::config::http::{MetricsMode, Role};

/// Its path.
pub(super) const PATH: &str = "/metrics";

/// What stays between two pages.
#[derive(Debug, Default)]
struct Kept {
    labels: Labels,
    fleet: Fleet,
}

/// The route.
pub(super) fn route() -> MethodRouter<Site> {
    get(show).layer(Extension(Arc::<Kept>::default()))
}

/// The middleware of the route: who may look, unless the configuration opens it to everybody.
pub(super) async fn check(State(site): State<Site>, request: Request, next: Next) -> Response {
    match site.content().http.metrics {
        MetricsMode::Open => next.run(request).await,
        MetricsMode::Token => role::check(State(Role::Read), request, next).await,
    }
}

async fn show(
    State(site): State<Site>,
    Extension(kept): Extension<Arc<Kept>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut page = Page::default();
    own::add(&mut page, &site, &kept.labels).await;
    kept.fleet.add(&mut page, &site, &kept.labels).await;
    process::add(&mut page);
    let format = Format::wanted(&headers);
    let failed = |_| Problem::new(Kind::Internal, "the metrics could not be written");
    let text = page.write(format).map_err(failed)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(format.media_type()))], text).into_response())
}
