//! Failed jobs. They are named by their ids, because positions move.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::{Query, wrong};
use crate::admin::error::AdminError;
use crate::admin::failed::{self, FailedView, FoundFailure};
use crate::admin::failed_mend::Mend;
use crate::admin::failed_page::{self, FailedPlace};
use crate::admin::failed_retry::{self, RetryOutcome};
use crate::admin::failed_search::FailedFilter;
use crate::admin::filter::Filter;
use crate::client::moment::{Moment, parse_ago};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::job::{Args, QueueName};
use crate::text::shell::command;

/// Some of the failed jobs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct FailedJobsPage {
    #[serde(flatten)]
    page: Page<FailedView>,
    /// How many there are in all.
    count: u64,
    /// The job behind which this page was to begin is gone, and it begins about there. Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    moved: bool,
}

/// A failed job that was removed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct FailedRemoved {
    /// How many were removed: 1.
    removed: u64,
    /// Its id.
    id: String,
}

/// The parameters that say which failed jobs.
pub(super) const FILTERS: [&str; 5] = ["task", "queue", "error", "since", "filter"];

/// Which failed jobs a request means.
pub(super) fn meant(query: &Query, now_ms: i64) -> Result<FailedFilter, Problem> {
    let owned = |name: &str| query.text(name).map(str::to_owned);
    Ok(FailedFilter {
        task: owned("task"),
        queue: owned("queue"),
        error: owned("error"),
        since_ms: since(query, now_ms)?,
        unknown: false,
        also: filter(query, now_ms)?,
    })
}

/// `GET /failed`: the newest first.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["task", "queue", "error", "since", "filter", "limit", "cursor"])?;
    let (limit, meant) = (limit(&query)?, meant(&query, site.clock.now_ms())?);
    // A cursor goes on with the filter that it began with. `since` moves with the clock if it is a duration.
    let filters = FILTERS.iter().filter_map(|name| Some([*name, query.text(name)?])).flatten();
    let list = List::of("failed", filters);
    let after: Option<FailedPlace> = list.cursor(&query)?;
    let found = failed_page::page(&site.admin()?, &meant, after.as_ref(), limit).await?;
    let next = found.next.as_ref().map(|place| list.next(place));
    let page = Page::new(found.failed, next, found.scanned, &*site.clock);
    Ok(Json(FailedJobsPage { page, count: found.count, moved: found.moved }))
}

/// What is asked for in the filter language.
fn filter(query: &Query, now_ms: i64) -> Result<Filter, Problem> {
    const EXPECTED: &str = "a filter such as task:resize error:\"no space\" -queue:img*";
    let Some(text) = query.text("filter") else { return Ok(Filter::default()) };
    Filter::parse(text, now_ms).map_err(|error| wrong("filter", EXPECTED, text).because(&error))
}

/// Since when: a time, or a duration before now.
fn since(query: &Query, now_ms: i64) -> Result<Option<i64>, Problem> {
    const EXPECTED: &str = "a time (RFC 3339, milliseconds or \"@seconds\"), or a duration such as \"2h\"";
    let Some(text) = query.text("since") else { return Ok(None) };
    let at = parse_ago(text).and_then(|ago| match ago {
        Some(ago) => Ok(now_ms.saturating_sub(ago)),
        None => Moment::parse(text).map(Moment::ms),
    });
    at.map(Some).map_err(|error| wrong("since", EXPECTED, text).because(&error))
}

/// `GET /failed/{id}`; `at` is its position when it was seen.
pub(in crate::http) async fn show(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(find(&site, &id, &query.only(&["at"])?).await?.view()))
}

/// `POST /failed/{id}/retry`.
pub(in crate::http) async fn retry(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["at"])?;
    let (queue, args) = match body.text() {
        None => (None, None),
        Some(_) => {
            let members = body.members()?.only(&["queue", "args"])?;
            (members.string("queue")?, members.raw("args").map(str::to_owned))
        }
    };
    let args = args.filter(|args| args != "null").map(|args| Args::from_json(&args)).transpose().map_err(|error| {
        Problem::new(Kind::Malformed, format!("args: {error}")).wrong(
            "/args",
            "the arguments of a job",
            "something else",
        )
    })?;
    let queue = queue.map(|queue| {
        QueueName::new(&queue).map_err(|error| {
            Problem::new(Kind::InvalidInputs, format!("queue {queue:?}: {error}")).wrong(
                "/queue",
                error.to_string(),
                &*queue,
            )
        })
    });
    let queue = queue.transpose()?;
    let found = find(&site, &id, &query).await?;
    let (store, plugins) = (site.admin()?, Arc::clone(&site.plugins));
    let registry = Arc::clone(&site.content().registry);
    let mend = Mend { args, queue }.checked(&registry, &found)?;
    let retried = async move { Ok(failed_retry::retry_mended(&store, &registry, &plugins, &found, &mend).await?) };
    match site.change(retried).await? {
        outcome @ (RetryOutcome::Retried { .. } | RetryOutcome::Refused { .. }) => Ok(Json(outcome)),
        RetryOutcome::NotRetriable { id, reason } => Err(Problem::new(
            Kind::NotRetriable,
            format!("failed job {id} cannot be retried: {reason}; its record stays"),
        )),
        RetryOutcome::Gone { id } => Err(gone(&id)),
    }
}

/// `DELETE /failed/{id}`.
pub(in crate::http) async fn remove(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["at"])?;
    body.none()?;
    let found = find(&site, &id, &query).await?;
    let (store, id) = (site.admin()?, found.id.clone());
    if site.change(async move { Ok(failed::remove(&store, &found).await?) }).await? {
        Ok(Json(FailedRemoved { removed: 1, id }))
    } else {
        Err(gone(&id))
    }
}

fn gone(id: &str) -> Problem {
    Problem::new(Kind::Changed, format!("failed job {id} was removed or retried by somebody else"))
}

async fn find(site: &Site, id: &str, query: &Query) -> Result<FoundFailure, Problem> {
    let hint = query.parsed("at", "a position")?;
    let found = failed_page::find(&site.admin()?, id, hint).await;
    found.map_err(|error| match error {
        error @ AdminError::NotFailed(_) => {
            let detail = format!(
                "{error}; the newest {} were looked through, and those about the position ?at=. The command line looks \
                 through all",
                failed_page::MOST
            );
            Problem::new(Kind::UnknownFailedJob, detail).command(command("failed show", &[id]))
        }
        other => other.into(),
    })
}
