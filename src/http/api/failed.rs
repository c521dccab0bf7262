//! Failed jobs. They are named by their ids, because positions move.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::time::Instant;

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

/// For how long a request looks at records. What it has found by then is its answer, and the next one goes on.
pub(in crate::http) const PATIENCE: Duration = Duration::from_secs(5);

/// What `at` is.
const POSITION: &str = "a position";

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

/// `GET /failed`: the newest first. Records are read where plugins run, because many or long ones take their time, and nobody
/// else is to wait for that.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["task", "queue", "error", "since", "filter", "limit", "cursor"])?;
    let (limit, meant) = (limit(&query)?, meant(&query, site.clock.now_ms())?);
    // A cursor goes on with the filter that it began with. `since` moves with the clock if it is a duration.
    let filters = FILTERS.iter().filter_map(|name| Some([*name, query.text(name)?])).flatten();
    let list = List::of("failed", filters);
    let after: Option<FailedPlace> = list.cursor(&query)?;
    let store = site.admin()?;
    let look = move || async move {
        Ok(failed_page::page(&store, &meant, after.as_ref(), limit, Instant::now() + PATIENCE).await?)
    };
    let found = site.look(look).await?;
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
    let hint = query.only(&["at"])?.parsed("at", POSITION)?;
    Ok(Json(find(&site, &id, hint).await?.view()))
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
    let hint = query.parsed("at", POSITION)?;
    Ok(Json(retry_mended(&site, &id, hint, queue, args).await?))
}

/// Retries a failed job that was seen at the position `hint`, with these arguments and to this queue if they are given. What
/// was not retried, and stays, is a problem or an outcome.
pub(in crate::http) async fn retry_mended(
    site: &Site,
    id: &str,
    hint: Option<i64>,
    queue: Option<String>,
    args: Option<String>,
) -> Result<RetryOutcome, Problem> {
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
    let found = site.readings.take(find(site, id, hint)).await?;
    let (store, plugins) = (site.admin()?, Arc::clone(&site.plugins));
    let registry = Arc::clone(&site.content().registry);
    let mend = Mend { args, queue }.checked(&registry, &found)?;
    let retried = async move { Ok(failed_retry::retry_mended(&store, &registry, &plugins, &found, &mend).await?) };
    match site.change(retried).await? {
        outcome @ (RetryOutcome::Retried { .. } | RetryOutcome::Refused { .. }) => Ok(outcome),
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
    let hint = query.parsed("at", POSITION)?;
    Ok(Json(remove_one(&site, &id, hint).await?))
}

/// Removes a failed job that was seen at the position `hint`.
pub(in crate::http) async fn remove_one(site: &Site, id: &str, hint: Option<i64>) -> Result<FailedRemoved, Problem> {
    let found = site.readings.take(find(site, id, hint)).await?;
    let (store, id) = (site.admin()?, found.id.clone());
    if site.change(async move { Ok(failed::remove(&store, &found).await?) }).await? {
        Ok(FailedRemoved { removed: 1, id })
    } else {
        Err(gone(&id))
    }
}

fn gone(id: &str) -> Problem {
    Problem::new(Kind::Changed, format!("failed job {id} was removed or retried by somebody else"))
}

/// The failed job of this id. The caller has its turn.
pub(in crate::http) async fn find(site: &Site, id: &str, hint: Option<i64>) -> Result<FoundFailure, Problem> {
    let (store, id) = (site.admin()?, id.to_owned());
    let look = move || async move { failed_page::find(&store, &id, hint).await.map_err(|error| not_found(&id, error)) };
    site.look(look).await
}

fn not_found(id: &str, error: AdminError) -> Problem {
    match error {
        error @ AdminError::NotFailed(_) => {
            let detail = format!(
                "{error}; the newest {} were looked through, and those about the position ?at=. The command line looks \
                 through all",
                failed_page::MOST
            );
            Problem::new(Kind::UnknownFailedJob, detail).command(command("failed show", &[id]))
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;
    use crate::clock::ManualClock;
    use crate::http::api::failed_many::groups;
    use crate::store::handle::Store;
    use crate::store::sqlite::SqliteStore;

    #[test]
    fn records_are_not_read_on_the_thread_of_the_server() {
        let handlers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("w.db"), Arc::new(ManualClock::at(0))).unwrap();
        let site = Site::alone(handlers.handle().clone());
        site.standing.opened(&Store::from(store));
        let query = |text: &str| Query::parse(text).unwrap();
        let ask = || {
            let (site, id) = (|| State(site.clone()), Name("0123456789abcdef".to_owned()));
            server.block_on(async {
                [
                    list(site(), query("filter=task:x")).await.err(),
                    groups(site(), query("filter=task:x")).await.err(),
                    show(site(), id, query("")).await.err(),
                ]
                .map(|problem| problem.map(|problem| problem.status().as_u16()))
            })
        };
        assert_eq!(ask(), [None, None, Some(404)]);
        // Where they are read there is nobody any more.
        handlers.shutdown_background();
        assert_eq!(ask(), [Some(500); 3]);
    }

    #[test]
    fn since_when_has_a_unit() {
        let at = |text: &str| since(&Query::parse(&format!("since={text}")).unwrap(), 10_000_000).map_err(|_| ());
        assert_eq!((at("2h"), at("-2h"), at("@5")), (Ok(Some(2_800_000)), Ok(Some(2_800_000)), Ok(Some(5000))));
        for bad in ["5", "-5", "1795490778", "noon", ""] {
            assert_eq!(at(bad), Err(()), "{bad}");
        }
    }
}
