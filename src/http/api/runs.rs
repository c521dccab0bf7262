//! Jobs by their ids: where they are, what they print, what they led to, and their end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::Query;
use crate::admin::results::{self, ResultView, TrackedView};
use crate::admin::running::{self, CancelledRun, RunningView, Which};
use crate::admin::watching::{self, LOOK, LastWords, Watcher};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::text::clean;

/// How many runs are listed at most, on all pages together.
const LISTED: usize = 2000;
/// How long an instance is waited for that shows nothing of a run.
const PATIENCE: Duration = Duration::from_secs(15);
/// The header that says where a job is whose output is told.
const STATE: HeaderName = HeaderName::from_static("x-windlass-state");

const LIST: List = List::new("running");

/// The jobs that run.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct RunningPage {
    #[serde(flatten)]
    page: Page<RunningView>,
    /// Are there more jobs than can be listed here? Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// What is known of a job.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct JobAnswer {
    /// Its id, as it was asked for.
    id: String,
    /// `running`, `waiting`, or what it led to: `done`, `failed`, ...
    state: String,
    /// Its run. Left out if it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunningView>,
    /// What its producer tracks. Left out if it is not tracked, or was enqueued long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked: Option<TrackedView>,
    /// What it led to. Left out if it has not ended, or nothing of it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultView>,
}

/// What became of the wish to end runs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct Cancelled {
    /// The runs of the job. They end a moment later: `state` is `asked`.
    runs: Vec<CancelledRun>,
}

fn unknown(id: &str) -> Problem {
    let detail = format!(
        "nothing is known of job {id:?}: it does not run, it is not tracked, and nothing of it is kept. A job that waits and is not \
         tracked has no id"
    );
    Problem::new(Kind::NotFound, detail)
}

/// What is left of a job that ended. Failed jobs are read for that where plugins run, so that no other request waits for it.
async fn last_words(site: &Site, id: &str) -> Result<Option<LastWords>, Problem> {
    let (store, registry, id) = (site.admin()?, Arc::clone(&site.content().registry), id.to_owned());
    site.look(move || async move { Ok(watching::last_words(&store, &registry, &id, None).await?) }).await
}

/// `GET /running`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["task", "limit", "cursor"])?;
    let task = query.text("task").map(str::to_owned);
    let list = if task.is_some() { List::of("running", task.as_deref()) } else { LIST };
    let (_, _) = (limit(&query)?, list.cursor::<String>(&query)?);
    let registry = Arc::clone(&site.content().registry);
    let which = task.as_deref().map_or(Which::All, Which::Class);
    let mut found = running::list(&site.admin()?, &registry, which, LISTED, false).await?;
    // A worker has one job at a time, so that its name is a place among them.
    found.runs.sort_by(|one, other| one.worker.cmp(&other.worker));
    let worker = |run: &RunningView| run.worker.clone();
    let page = Page::of_names(found.runs, worker, str::cmp, &list, &query, &*site.clock)?;
    Ok(Json(RunningPage { page, more: found.more }))
}

/// `GET /jobs/{id}`.
pub(in crate::http) async fn show(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    let store = site.admin()?;
    let registry = Arc::clone(&site.content().registry);
    let known = results::find(&store, &id).await?;
    let runs = running::list(&store, &registry, Which::Ids(std::slice::from_ref(&id)), 1, false).await?;
    let (run, result) = (runs.runs.into_iter().next(), known.result);
    let state = match (&run, &result, &known.tracked) {
        (Some(_), ..) => "running".to_owned(),
        (None, Some(result), _) => result.outcome.clone(),
        (None, None, Some(_)) => "waiting".to_owned(),
        (None, None, None) => match last_words(&site, &id).await? {
            Some(left) => left.outcome,
            None => return Err(unknown(&id)),
        },
    };
    Ok(Json(JobAnswer { id, state, run, tracked: known.tracked, result }))
}

/// `GET /jobs/{id}/output`: the last lines, as text. What must not reach a terminal is written out, unless they are asked for raw.
pub(in crate::http) async fn output(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    let is_raw = query.only(&["raw"])?.flag("raw")?;
    let store = site.admin()?;
    let (runs, _) = running::find(&store, Which::Ids(std::slice::from_ref(&id)), 1).await?;
    let (state, lines) = match runs.first() {
        Some(run) => {
            let foreign =
                || Problem::new(Kind::NotFound, "a worker of another program runs the job, and shows nothing of it");
            let mut watcher = Watcher::new(&store, run.worker(), run.claim()).ok_or_else(foreign)?;
            let begun = Instant::now();
            loop {
                let news = watcher.look().await?;
                if news.shown.is_some() {
                    break ("running".to_owned(), news.lines);
                }
                if news.over.is_some() || begun.elapsed() >= PATIENCE {
                    let detail =
                        "the instance that has the run shows nothing of it: it has ended, or the instance is away";
                    return Err(Problem::new(Kind::Timeout, detail).retry_after_s(1));
                }
                sleep(LOOK).await;
            }
        }
        None => match last_words(&site, &id).await? {
            Some(left) => (left.outcome, left.lines),
            None => match results::find(&store, &id).await?.result {
                Some(result) => (result.outcome, result.output),
                None => return Err(unknown(&id)),
            },
        },
    };
    let content = site.content();
    // It is no JSON, so that nobody else hides in it.
    let lines = content.redactor.hide_lines(lines);
    let shown = |line| if is_raw { Cow::Borrowed(line) } else { clean::printed(line) };
    let text: String = lines.iter().flat_map(|line| [shown(line.as_str()), "\n".into()]).collect();
    let state = HeaderValue::from_str(&state).unwrap_or(HeaderValue::from_static("unknown"));
    let (kind, place) =
        if is_raw { ("application/octet-stream", "attachment") } else { ("text/plain; charset=utf-8", "inline") };
    let (kind, place) = (HeaderValue::from_static(kind), HeaderValue::from_static(place));
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, place), (STATE, state)], text))
}

/// `GET /jobs/{id}/result`.
pub(in crate::http) async fn result(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    let store = site.admin()?;
    let known = results::find(&store, &id).await?;
    let Some(result) = known.result else {
        let (runs, _) = running::find(&store, Which::Ids(std::slice::from_ref(&id)), 1).await?;
        return Err(if runs.is_empty() && known.tracked.is_none() {
            unknown(&id)
        } else {
            Problem::new(Kind::NotEnded, format!("job {id} has not ended; ask again later")).retry_after_s(1)
        });
    };
    Ok(Json(result))
}

/// `POST /jobs/{id}/cancel`.
pub(in crate::http) async fn cancel(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    body.none()?;
    let store = site.admin()?;
    let cancelled = async move {
        let (runs, _) = running::find(&store, Which::Ids(std::slice::from_ref(&id)), LISTED).await?;
        if runs.is_empty() {
            let detail = format!("no run has the id {id:?} now; a job that waits is deleted, not cancelled");
            return Err(Problem::new(Kind::NotFound, detail).command("windlass jobs list"));
        }
        let runs = running::cancel(&store, &runs, "somebody over HTTP").await?;
        Ok(Json(Cancelled { runs }))
    };
    site.change(cancelled).await
}
