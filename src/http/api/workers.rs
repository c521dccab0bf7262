//! Workers of any program, and instances of Windlass.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::Query;
use crate::admin::error::AdminError;
use crate::admin::held_back::HeldBack;
use crate::admin::instances::{self, InstanceView};
use crate::admin::worker_life::clean_dead;
use crate::admin::worker_page;
use crate::admin::workers::{CleanedWorker, WorkerView};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::text::shell;

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

/// `DELETE /workers/{name}`: removes one that is dead; its job goes to the failed list.
pub(in crate::http) async fn clean(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<CleanedWorker>, Problem> {
    query.only(&[])?;
    body.none()?;
    let (store, content, now_ms) = (site.admin()?, site.content(), site.clock.now_ms());
    let (registry, host) = (Arc::clone(&content.registry), content.host.clone());
    let clean = async move {
        let cleaned = clean_dead(&store, &registry, &name, &host, now_ms).await;
        let cleaned = cleaned.map_err(|error| match error {
            AdminError::Alive { .. } => {
                Problem::from(error).command(shell::command("workers force-clean", &[name.as_str()]))
            }
            other => other.into(),
        })?;
        Ok(Json(cleaned))
    };
    site.change(clean).await
}
