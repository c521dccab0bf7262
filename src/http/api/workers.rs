//! Workers of any program, and instances of Windlass.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::list::{Json, List, Page, limit};
use super::query::Query;
use crate::admin::held_back::HeldBack;
use crate::admin::instances::{self, InstanceView};
use crate::admin::worker_page;
use crate::admin::workers::WorkerView;
use crate::http::problem::Problem;
use crate::http::site::Site;

const LIST: List = List::new("workers");
const INSTANCES: List = List::new("instances");

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
    let (limit, after) = (limit(&query)?, LIST.cursor::<String>(&query)?);
    let found = worker_page::page(&site.admin()?, after.as_deref(), limit).await?;
    let next = found.workers.last().filter(|_| found.more).map(|last| LIST.next(&last.id));
    let items = found.workers;
    let scanned = items.len();
    Ok(Json(WorkersAnswer { page: Page::new(items, next, scanned, &*site.clock), held_back: found.held_back }))
}

/// `GET /instances`.
pub(in crate::http) async fn instances(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (_, _) = (limit(&query)?, INSTANCES.cursor::<String>(&query)?);
    let all = instances::list(&site.admin()?).await?;
    Ok(Json(Page::of_names(all, InstanceView::key, str::cmp, &INSTANCES, &query, &*site.clock)?))
}
