//! What needs attention, and how the fleet stands.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts as _, Request};
use axum::response::Response;

use crate::admin::explain::{Cause, Finding};
use crate::admin::filter::quoted;
use crate::admin::history::{CountsView, TaskCounts, Window};
use crate::admin::instances::{self, InstanceView};
use crate::admin::summary::Summary;
use crate::http::api::query::wrong;
use crate::http::dashboard::chart::{Bars, failures, share};
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, Time, encoded};
use crate::http::looks::Past;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::http::watch;

/// How many tasks and instances stand on the page.
const TASKS: usize = 8;
const INSTANCES: usize = 50;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    findings: Vec<Told>,
    summary: Arc<Summary>,
    window: &'static str,
    past: Arc<Past>,
    bars: Bars,
    rows: Vec<Row>,
    slowest: Vec<TaskRow>,
    failing: Vec<TaskRow>,
    instances: Vec<InstanceView>,
    more_instances: usize,
}

/// Something to look at.
struct Told {
    finding: Finding,
    /// What it is, in a word or two.
    what: String,
    since: Option<Time>,
    /// Where more stands, below the base.
    link: Option<String>,
}

/// A time of the chart, for its table.
struct Row {
    at: Time,
    counts: CountsView,
}

/// A task that ran.
struct TaskRow {
    task: String,
    runs: u64,
    failed: u64,
    /// How much of the most, in percent.
    part: u64,
    told: String,
    /// Its failed jobs, below the base.
    link: String,
}

/// `GET /`, for browsers.
pub(in crate::http) async fn show(site: Site, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let visit = Visit::from_request_parts(&mut parts, &site).await?;
    let window = match visit.asked("window") {
        None | Some("1h") => Window::Hour,
        Some("24h") => Window::Day,
        Some("30d") => Window::Month,
        Some(other) => return Err(wrong("window", "1h, 24h or 30d", other)),
    };
    let (store, content) = (site.admin()?, site.content());
    let summary = Box::pin(site.looks.summary(&store, &content.registry)).await?;
    let found = Box::pin(watch::attention(&site, &store)).await?;
    let past = Box::pin(site.looks.past(&store, &content.registry, window)).await?;
    let mut instances = Box::pin(instances::list(&store)).await?;
    let more_instances = instances.len().saturating_sub(INSTANCES);
    instances.truncate(INSTANCES);
    let now_ms = summary.as_of_ms;
    let rows = past.in_time.times.iter().rev().take(200);
    let page = OverviewPage {
        shell: Shell::new(&visit, "Overview", "Overview").live("snapshot,attention"),
        findings: found.findings.iter().map(|finding| Told::of(finding, now_ms)).collect(),
        window: window.as_str(),
        bars: Bars::of(&past.in_time, now_ms),
        rows: rows.map(|time| Row { at: Time::of_ms(time.at_ms, now_ms), counts: time.counts.clone() }).collect(),
        slowest: slowest(&past.by_task.tasks),
        failing: failing(&past.by_task.tasks),
        past: Arc::clone(&past),
        summary,
        instances,
        more_instances,
    };
    answer(&page.shell, &page)
}

impl Told {
    fn of(finding: &Finding, now_ms: i64) -> Self {
        let fact = |name: &str| finding.evidence.get(name).and_then(|value| value.as_str());
        let link = match (fact("queue"), fact("task")) {
            (Some(queue), _) => Some(format!("/queues/{}", encoded(queue))),
            (None, Some(task)) if matches!(finding.cause, Cause::Failing | Cause::FailureRate) => Some(failed_of(task)),
            _ => None,
        };
        let name = serde_json::to_value(finding.cause).ok();
        let what = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ");
        let since = finding.since.as_deref().map(|since| Time::of(since, now_ms));
        Self { finding: finding.clone(), what, since, link }
    }
}

/// The tasks on which most time was spent.
fn slowest(tasks: &[TaskCounts]) -> Vec<TaskRow> {
    let spent = |one: &TaskCounts| one.counts.mean_ms.unwrap_or(0).saturating_mul(runs(&one.counts));
    let mut all: Vec<&TaskCounts> = tasks.iter().filter(|one| spent(one) > 0).collect();
    all.sort_by_key(|one| Reverse(spent(one)));
    let most = all.first().map_or(0, |one| spent(one));
    let row = |one: &&TaskCounts| TaskRow {
        part: share(spent(one), most),
        told: words::span(spent(one)),
        ..TaskRow::of(one)
    };
    all.iter().take(TASKS).map(row).collect()
}

/// The tasks of which most runs failed.
fn failing(tasks: &[TaskCounts]) -> Vec<TaskRow> {
    let mut all: Vec<&TaskCounts> = tasks.iter().filter(|one| failures(&one.counts) > 0).collect();
    all.sort_by_key(|one| Reverse(failures(&one.counts)));
    let most = all.first().map_or(0, |one| failures(&one.counts));
    let row = |one: &&TaskCounts| TaskRow {
        part: share(failures(&one.counts), most),
        told: one.counts.failure_rate.map(words::percent).unwrap_or_default(),
        ..TaskRow::of(one)
    };
    all.iter().take(TASKS).map(row).collect()
}

/// The runs that were done or failed.
fn runs(counts: &CountsView) -> u64 {
    counts.done.saturating_add(failures(counts))
}

impl TaskRow {
    fn of(one: &TaskCounts) -> Self {
        let (runs, failed) = (runs(&one.counts), failures(&one.counts));
        Self { task: one.task.clone(), runs, failed, part: 0, told: String::new(), link: failed_of(&one.task) }
    }
}

impl OverviewPage {
    fn chart_failed(&self) -> u64 {
        failures(&self.past.in_time.total)
    }
}

/// Where the failed jobs of a task stand, below the base.
fn failed_of(task: &str) -> String {
    format!("/failed?q={}", encoded(format!("task:{}", quoted(task))))
}
