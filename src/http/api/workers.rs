//! Workers of any program, and instances of Windlass.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::list::{Cursor, Json, Page, limit};
use super::query::Query;
use crate::admin::held_back::HeldBack;
use crate::admin::workers::WorkerView;
use crate::admin::{instances, worker_page};
use crate::http::problem::Problem;
use crate::http::redact::hide_worker;
use crate::http::site::Site;

/// Some of the workers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct WorkersAnswer {
    #[serde(flatten)]
    page: Page<WorkerView>,
    /// What holds jobs back. Left out if nothing does.
    #[serde(flatten)]
    held_back: HeldBack,
}

/// `GET /workers`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (limit, after) = (limit(&query)?, Cursor::<String>::of(&query, "workers")?);
    let found = worker_page::page(&site.admin()?, after.as_deref(), limit).await?;
    let next = found.workers.last().filter(|_| found.more).map(|last| Cursor::text("workers", &last.id));
    let (content, mut items) = (site.content(), found.workers);
    items.iter_mut().for_each(|worker| hide_worker(&content.redactor, worker));
    let scanned = items.len();
    Ok(Json(WorkersAnswer { page: Page::new(items, next, scanned, &*site.clock), held_back: found.held_back }))
}

/// `GET /instances`.
pub(in crate::http) async fn instances(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (_, _) = (limit(&query)?, Cursor::<String>::of(&query, "instances")?);
    let all = instances::list(&site.admin()?).await?;
    Ok(Json(Page::of_names(all, |one| &one.name, str::cmp, "instances", &query, &*site.clock)?))
}
