//! Periodic tasks and schedules.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::Query;
use crate::admin::error::AdminError;
use crate::admin::periodic::{self, PeriodicView, RunNowOutcome, StartOutcome};
use crate::admin::schedules::{self, ScheduleRun, ScheduleView};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;

/// How many tasks are listed that are not defined here.
const UNDEFINED: usize = 200;

const LIST: List = List::new("periodic");

/// Some of what runs by itself.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct PeriodicPage {
    #[serde(flatten)]
    page: Page<ByItself>,
    /// How many more periodic tasks the store knows that are not defined here. Left out if none.
    #[serde(skip_serializing_if = "is_zero")]
    undefined_more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A task that runs by itself, or one of its schedules.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::http) enum ByItself {
    /// With `frequency` or `schedule`.
    Periodic(PeriodicView),
    /// A `[[schedule]]`.
    Schedule(ScheduleView),
}

impl ByItself {
    /// What the listing is ordered by: a task and a schedule may have one name.
    fn key(&self) -> String {
        match self {
            Self::Periodic(task) => format!("{}\0", task.task),
            Self::Schedule(schedule) => format!("{}\0\0", schedule.id),
        }
    }
}

/// What came of a request.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct PeriodicChanged {
    /// The periodic task. Left out of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// The schedule. Left out of a periodic task.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// `started`, `stopped`, `already`, `enqueued`, `waits`, `runs` or `refused`.
    outcome: &'static str,
    /// How many copies of its job were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
    /// The plugin that refused the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Start,
    Stop,
    Run,
}

/// `GET /periodic`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (_, _) = (limit(&query)?, LIST.cursor::<String>(&query)?);
    let (store, content) = (site.admin()?, site.content());
    let (tasks, more) = periodic::list(&store, &content.registry, site.clock.now_ms(), UNDEFINED).await?;
    let schedules = schedules::list(&store, &content.registry).await?;
    let tasks = tasks.into_iter().map(ByItself::Periodic);
    let mut all: Vec<ByItself> = tasks.chain(schedules.into_iter().map(ByItself::Schedule)).collect();
    all.sort_by_cached_key(ByItself::key);
    let page = Page::of_names(all, ByItself::key, str::cmp, &LIST, &query, &*site.clock)?;
    Ok(Json(PeriodicPage { page, undefined_more: more }))
}

/// `POST /periodic/{task}/start`.
pub(in crate::http) async fn start(
    site: State<Site>,
    name: Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<PeriodicChanged>, Problem> {
    change(site, name, query, &body, Wish::Start).await
}

/// `POST /periodic/{task}/stop`.
pub(in crate::http) async fn stop(
    site: State<Site>,
    name: Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<PeriodicChanged>, Problem> {
    change(site, name, query, &body, Wish::Stop).await
}

/// `POST /periodic/{task}/run`.
pub(in crate::http) async fn run(
    site: State<Site>,
    name: Name,
    query: Query,
    body: JsonBody,
) -> Result<Json<PeriodicChanged>, Problem> {
    change(site, name, query, &body, Wish::Run).await
}

async fn change(
    State(site): State<Site>,
    Name(name): Name,
    query: Query,
    body: &JsonBody,
    wish: Wish,
) -> Result<Json<PeriodicChanged>, Problem> {
    query.only(&[])?;
    body.none()?;
    let (store, registry) = (site.admin()?, Arc::clone(&site.content().registry));
    site.change(async move { Ok(Json(changed(&store, &registry, name, wish).await?)) }).await
}

/// As the command line: the name is that of a periodic task, or of a schedule.
async fn changed(
    store: &Store<Admin>,
    registry: &Registry,
    name: String,
    wish: Wish,
) -> Result<PeriodicChanged, AdminError> {
    let schedule = schedules::unless_periodic(registry, &name)?;
    let bare = PeriodicChanged { task: None, schedule: None, outcome: "already", removed: None, refused_by: None };
    let Some(one) = schedule else {
        let (outcome, removed) = match wish {
            Wish::Stop => ("stopped", Some(periodic::stop(store, registry, &name).await?)),
            Wish::Start => match periodic::start(store, registry, &name).await? {
                StartOutcome::Started => ("started", None),
                StartOutcome::Already => ("already", None),
            },
            Wish::Run => match periodic::run(store, registry, &name).await? {
                RunNowOutcome::Enqueued => ("enqueued", None),
                RunNowOutcome::Waits => ("waits", None),
                RunNowOutcome::Runs => ("runs", None),
            },
        };
        return Ok(PeriodicChanged { task: Some(name), outcome, removed, ..bare });
    };
    let bare = PeriodicChanged { schedule: Some(one.id().to_owned()), ..bare };
    let done = |changed: bool, outcome| if changed { outcome } else { "already" };
    Ok(match wish {
        Wish::Start => PeriodicChanged { outcome: done(schedules::start(store, one).await?, "started"), ..bare },
        Wish::Stop => PeriodicChanged { outcome: done(schedules::stop(store, one).await?, "stopped"), ..bare },
        Wish::Run => match schedules::run(store, one).await? {
            ScheduleRun::Refused { refused_by } => {
                PeriodicChanged { outcome: "refused", refused_by: Some(refused_by), ..bare }
            }
            ScheduleRun::Enqueued => PeriodicChanged { outcome: "enqueued", ..bare },
        },
    })
}
