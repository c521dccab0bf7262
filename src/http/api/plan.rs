//! What will run.

use axum::extract::State;
use axum::response::IntoResponse;

use super::list::{Json, limit};
use super::query::{Query, wrong};
use crate::admin::plan::{plan, plan_task};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// How far ahead a plan may look, in hours.
const FARTHEST: u32 = 8784;

/// `GET /plan`.
pub(in crate::http) async fn show(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["hours", "task", "limit"])?;
    let limit = limit(&query)?;
    let expected = format!("a number of hours from 1 to {FARTHEST}");
    let hours: u32 = query.parsed("hours", &expected)?.unwrap_or(24);
    if !(1..=FARTHEST).contains(&hours) {
        return Err(wrong("hours", &expected, &hours.to_string()));
    }
    let (store, content, now_ms) = (site.admin()?, site.content(), site.clock.now_ms());
    let until_ms = now_ms.saturating_add(i64::from(hours) * 3_600_000);
    let found = match query.text("task") {
        Some(task) => plan_task(&store, &content.registry, task, now_ms, until_ms, limit).await?,
        None => plan(&store, &content.registry, now_ms, until_ms, limit).await?,
    };
    Ok(Json(found))
}
