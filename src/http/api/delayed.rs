//! Delayed jobs.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::jobs::arguments;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::{Query, wrong};
use crate::admin::delayed::{self, TimeView};
use crate::admin::delayed_moves::{self, SecondRun};
use crate::admin::delayed_page::{self, DelayedPlace};
use crate::admin::queues::expect_job;
use crate::client::request::Request;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;

const LIST: List = List::new("delayed");

/// How many jobs of a second one request runs.
const RUN: u64 = 1000;

/// Delayed jobs that were deleted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct DelayedDeleted {
    /// How many.
    deleted: usize,
    /// When they were due.
    times: Vec<TimeView>,
}

/// `GET /delayed`: the first due first.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (limit, from) = (limit(&query)?, LIST.cursor::<DelayedPlace>(&query)?);
    let found = delayed_page::page(&site.admin()?, from, limit).await?;
    let next = found.next.as_ref().map(|place| LIST.next(place));
    let scanned = found.jobs.len();
    Ok(Json(Page::new(found.jobs, next, scanned, &*site.clock)))
}

/// `DELETE /delayed`: all delayed jobs of a task with these arguments.
pub(in crate::http) async fn delete(
    State(site): State<Site>,
    query: Query,
    body: JsonBody,
) -> Result<Json<DelayedDeleted>, Problem> {
    let query = query.only(&["task", "queue", "args"])?;
    body.none()?;
    let task = query.text("task").ok_or_else(|| wrong("task", "the name of a task", ""))?;
    let queue = query.text("queue").map(str::to_owned);
    let foreign = queue.is_some();
    let request = Request { task: task.to_owned(), args: arguments(query.text("args"), "?args")?, queue, foreign };
    let (store, registry) = (site.admin()?, Arc::clone(&site.content().registry));
    let job = request.resolve_as_written(&registry)?;
    let delete = async move {
        let (task, queue) = (job.task.as_str(), job.queue.as_str());
        let times = delayed::delete(&store, task, queue, &job.args).await?;
        if times.is_empty() {
            expect_job(&store, &registry, Some(task), Some(queue)).await?;
        }
        Ok(Json(DelayedDeleted { deleted: times.len(), times }))
    };
    site.change(delete).await
}

/// `POST /delayed/{second}/promote`: what is due then is due now.
pub(in crate::http) async fn promote(
    State(site): State<Site>,
    Name(second): Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<SecondRun>, Problem> {
    query.only(&[])?;
    body.none()?;
    let Ok(second) = second.parse::<i64>() else {
        let detail =
            "expected the unix second of delayed jobs in the path: the member ms of one of them, divided by 1000";
        return Err(Problem::new(Kind::Malformed, detail));
    };
    let (store, registry) = (site.admin()?, Arc::clone(&site.content().registry));
    let run = async move { Ok(Json(delayed_moves::run_second(&store, &registry, second, RUN).await?)) };
    site.change(run).await
}
