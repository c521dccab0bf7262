//! Tasks, as the files of this instance define them.

use axum::extract::State;
use axum::response::IntoResponse;

use super::list::{Json, List, Page};
use super::path::Name;
use super::query::Query;
use crate::admin::tasks;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// `GET /tasks`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let all = tasks::list(&site.content().registry, site.clock.now_ms());
    Ok(Json(Page::of_names(all, |task| task.name.clone(), str::cmp, &List::new("tasks"), &query, &*site.clock)?))
}

/// `GET /tasks/{task}`.
pub(in crate::http) async fn show(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(tasks::show(&site.content().registry, &name, site.clock.now_ms())?))
}
