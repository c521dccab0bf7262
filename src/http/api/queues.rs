//! Queues and the jobs that wait in them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::{Query, wrong};
use crate::admin::copy::AsideView;
use crate::admin::held_back::{HaltedInstance, SkippingInstance};
use crate::admin::job_view::JobView;
use crate::admin::queues::{self, QueueDeleted, QueuePause, QueueView};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// How many queues are listed at most, on all pages together.
const LISTED: usize = 2000;

const LIST: List = List::new("queues");

/// The queues, with what holds all of them back.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct QueuesPage {
    #[serde(flatten)]
    page: Page<QueueView>,
    /// Are there more queues than can be listed here? Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    /// More queues are known than one look reads, at least so many: listed are those that hold jobs, as far as the leader has
    /// seen, paused ones, and some of the others. Left out if all names were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_of: Option<u64>,
    /// How long ago the leader looked at the queues, in milliseconds. Left out if no leader tells how long jobs wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_ago_ms: Option<u64>,
    /// Is everything paused? Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all_paused: bool,
    /// Instances that claim nothing. Left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    halted: Vec<HaltedInstance>,
    /// Instances that skip tasks because their files have mistakes. Left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipping: Vec<SkippingInstance>,
    /// Queues that cannot be listed, because their names are no text. Left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    unnamed: Option<String>,
    /// What a `store copy` has set aside: no queue holds it. Left out if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_aside: Option<AsideView>,
}

/// A job that waits.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct WaitingJob {
    /// Its position from the head, from 0: the next to run is 0.
    position: i64,
    #[serde(flatten)]
    job: JobView,
}

/// Some of the jobs of a queue.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct QueueJobsPage {
    #[serde(flatten)]
    page: Page<WaitingJob>,
    /// How many jobs it holds.
    length: u64,
}

/// `GET /queues`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    // A wrong cursor costs no read.
    let (_, _) = (limit(&query)?, LIST.cursor::<String>(&query)?);
    let all = queues::list(&site.admin()?, LISTED).await?;
    // As node-resque sorts them.
    let order = |one: &str, other: &str| one.encode_utf16().cmp(other.encode_utf16());
    Ok(Json(QueuesPage {
        page: Page::of_names(all.queues, |queue| queue.queue.clone(), order, &LIST, &query, &*site.clock)?,
        more: all.more,
        sampled_of: all.sampled_of,
        sampled_ago_ms: all.sampled_ago_ms,
        all_paused: all.all_paused,
        halted: all.halted,
        skipping: all.skipping,
        unnamed: all.unnamed,
        set_aside: all.set_aside,
    }))
}

/// `GET /queues/{queue}`. `length` is what KEDA's metrics-api scaler reads.
pub(in crate::http) async fn show(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(queues::look(&site.admin()?, &name).await?))
}

/// `GET /queues/{queue}/jobs`: from the next to run on, or with `from=tail` from the last one on.
pub(in crate::http) async fn jobs(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["from", "limit", "cursor"])?;
    let from_tail = match query.text("from") {
        None | Some("head") => false,
        Some("tail") => true,
        Some(other) => return Err(wrong("from", "head or tail", other)),
    };
    let list = List::of(if from_tail { "queues/jobs?from=tail" } else { "queues/jobs" }, [name.as_str()]);
    let limit = i64::try_from(limit(&query)?).unwrap_or(1);
    // How many jobs are passed, from the end that was asked for.
    let passed = list.cursor::<i64>(&query)?.unwrap_or(0).max(0);
    let last = passed.saturating_add(limit - 1);
    let (start, stop) = if from_tail { (-1 - last, -1 - passed) } else { (passed, last) };
    let shown = queues::show(&site.admin()?, &name, start, stop).await?;
    let length = i64::try_from(shown.length).unwrap_or(i64::MAX);
    let first = if from_tail { length.saturating_add(start).max(0) } else { start };
    let mut items: Vec<WaitingJob> =
        shown.jobs.into_iter().zip(first..).map(|(job, position)| WaitingJob { position, job }).collect();
    if from_tail {
        items.reverse();
    }
    let scanned = items.len();
    let passed = passed.saturating_add(i64::try_from(scanned).unwrap_or(0));
    let next = (scanned > 0 && passed < length).then(|| list.next(&passed));
    Ok(Json(QueueJobsPage { page: Page::new(items, next, scanned, &*site.clock), length: shown.length }))
}

/// `POST /queues/{queue}/pause`.
pub(in crate::http) async fn pause(
    site: State<Site>,
    name: Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<QueuePause>, Problem> {
    set_paused(site, Some(name), query, &body, true).await
}

/// `POST /queues/{queue}/resume`.
pub(in crate::http) async fn resume(
    site: State<Site>,
    name: Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<QueuePause>, Problem> {
    set_paused(site, Some(name), query, &body, false).await
}

/// `POST /pause`.
pub(in crate::http) async fn pause_all(
    site: State<Site>,
    query: Query,
    body: JsonBody,
) -> Result<Json<QueuePause>, Problem> {
    set_paused(site, None, query, &body, true).await
}

/// `POST /resume`.
pub(in crate::http) async fn resume_all(
    site: State<Site>,
    query: Query,
    body: JsonBody,
) -> Result<Json<QueuePause>, Problem> {
    set_paused(site, None, query, &body, false).await
}

async fn set_paused(
    State(site): State<Site>,
    name: Option<Name>,
    query: Query,
    body: &JsonBody,
    paused: bool,
) -> Result<Json<QueuePause>, Problem> {
    query.only(&[])?;
    body.none()?;
    Ok(Json(pause_or_resume(&site, name.map(|Name(name)| name), paused).await?))
}

/// Pauses a queue, or all of them; or resumes.
pub(in crate::http) async fn pause_or_resume(
    site: &Site,
    name: Option<String>,
    paused: bool,
) -> Result<QueuePause, Problem> {
    let store = site.admin()?;
    site.change(async move { Ok(queues::pause(&store, name.as_deref(), paused).await?) }).await
}

/// Deletes a queue and its jobs, if these are as many as were seen.
pub(in crate::http) async fn clear(site: &Site, name: String, expected: u64) -> Result<QueueDeleted, Problem> {
    let (store, registry) = (site.admin()?, Arc::clone(&site.content().registry));
    site.change(async move { Ok(queues::delete(&store, &registry, &name, Some(expected)).await?) }).await
}

/// `DELETE /queues/{queue}?expect=n`: the queue and its jobs, if these are as many as the client has seen.
pub(in crate::http) async fn delete(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<QueueDeleted>, Problem> {
    const EXPECTED: &str = "the number of jobs that the queue is known to hold";
    let query = query.only(&["expect"])?;
    body.none()?;
    let expected: u64 = query.parsed("expect", EXPECTED)?.ok_or_else(|| wrong("expect", EXPECTED, ""))?;
    Ok(Json(clear(&site, name, expected).await?))
}
