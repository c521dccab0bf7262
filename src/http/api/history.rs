//! What ran.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::list::Json;
use super::path::Name;
use super::query::{Query, wrong};
use crate::admin::history::{self, Window};
use crate::admin::runs;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// How many runs of a task are shown, and at most: each may hold 4 KiB.
const RUNS: usize = 20;
const MOST_RUNS: usize = 60;

/// `GET /history`: in time, or with `by=task` task by task.
pub(in crate::http) async fn show(State(site): State<Site>, query: Query) -> Result<Response, Problem> {
    let query = query.only(&["task", "window", "by"])?;
    let window = match query.text("window") {
        None | Some("1h") => Window::Hour,
        Some("24h") => Window::Day,
        Some("30d") => Window::Month,
        Some(other) => return Err(wrong("window", "1h, 24h or 30d", other)),
    };
    let (store, content, task) = (site.admin()?, site.content(), query.text("task"));
    match query.text("by") {
        None | Some("time") => {
            let mut found = history::in_time(&store, &content.registry, task, window).await?;
            // Of very many times only the whole tells how long runs took one by one.
            if window == Window::Month {
                found.times.iter_mut().for_each(|time| time.counts.durations.clear());
            }
            Ok(Json(found).into_response())
        }
        Some("task") => Ok(Json(history::by_task(&store, &content.registry, task, window).await?).into_response()),
        Some(other) => Err(wrong("by", "time or task", other)),
    }
}

/// `GET /tasks/{task}/runs`: also of a schedule by its id.
pub(in crate::http) async fn runs(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit"])?;
    let expected = format!("a number from 1 to {MOST_RUNS}");
    let limit: usize = query.parsed("limit", &expected)?.unwrap_or(RUNS);
    if !(1..=MOST_RUNS).contains(&limit) {
        return Err(wrong("limit", &expected, &limit.to_string()));
    }
    let content = site.content();
    let found = runs::of(&site.admin()?, &content.registry, &name, limit).await?;
    Ok(Json(found))
}
