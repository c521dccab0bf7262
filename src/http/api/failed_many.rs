//! All failed jobs that match: counted by kind, or whole.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::failed::{FILTERS, PATIENCE, meant};
use super::list::{Json, limit};
use super::query::Query;
use crate::admin::failed_export;
use crate::admin::failed_groups;
use crate::admin::failed_page;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::http::slots::Slot;

/// How many bytes of an export go out in a second.
const RATE: usize = 1 << 20;

/// `GET /failed/groups`: of all, counted in this process for all who look; with a filter of the newest that a request may look at.
/// Both are read where plugins run.
pub(in crate::http) async fn groups(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["task", "queue", "error", "since", "filter", "limit"])?;
    let (limit, filter, store) = (limit(&query)?, meant(&query, site.clock.now_ms())?, site.admin()?);
    let groups = if filter.is_empty() {
        site.failed_index.look(&store, &site.handlers, limit).await?
    } else {
        let look = move || async move {
            let until = Some(Instant::now() + PATIENCE);
            Ok(failed_groups::groups(&store, filter, failed_page::MOST as u64, limit, until, |_| {}).await?)
        };
        site.look(look).await?
    };
    Ok(Json(groups))
}

/// `GET /failed.ndjson`.
pub(in crate::http) async fn export(
    State(site): State<Site>,
    Extension(slot): Extension<Arc<Slot>>,
    query: Query,
) -> Result<Response, Problem> {
    let query = query.only(&FILTERS)?;
    let (filter, store) = (meant(&query, site.clock.now_ms())?, site.admin()?);
    let (parts, mut written) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let handlers = site.handlers.clone();
    site.handlers.spawn_blocking(move || {
        handlers.block_on(async {
            let each = async |views: Vec<crate::admin::failed::FailedView>| {
                slot.patience.goes_on();
                let mut lines = Vec::new();
                for view in views {
                    // Texts and numbers always become JSON.
                    lines.append(&mut serde_json::to_vec(&view).unwrap_or_default());
                    lines.push(b'\n');
                }
                if lines.is_empty() {
                    return !parts.is_closed();
                }
                let rest = Duration::from_millis((lines.len() * 1000 / RATE) as u64);
                if parts.send(Ok(Bytes::from(lines))).await.is_err() {
                    return false;
                }
                // A part is as large as its jobs are, and its client has as long for it.
                sleep(rest.min(Duration::from_secs(10))).await;
                true
            };
            if let Err(error) = failed_export::export(&store, &filter, each).await {
                // The connection is cut, so that nobody takes a part for the whole.
                let _ = parts.send(Err(std::io::Error::other(error.to_string()))).await;
            }
        });
    });
    let lines = futures_util::stream::poll_fn(move |cx| written.poll_recv(cx));
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(lines)).into_response())
}
