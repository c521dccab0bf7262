//! Failed jobs: by kind on the left, one by one on the right. What is ticked, a kind, or all that matches is retried or removed.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use crate::admin::failed::{self, FailedView};
use crate::admin::failed_groups::{FailedGroup, FailedGroups};
use crate::admin::failed_named::find_near;
use crate::admin::failed_page::{self, FailedPlace};
use crate::admin::failed_retry::{self, RetryOutcome};
use crate::admin::failed_search::FailedFilter;
use crate::admin::filter::Filter;
use crate::config::http::Role;
use crate::http::api::failed::PATIENCE;
use crate::http::api::list::List;
use crate::http::api::operations::order;
use crate::http::audited::Who;
use crate::http::dashboard::chart::share;
use crate::http::dashboard::flash::Flash;
use crate::http::dashboard::forms::{Form, done, done_in_part, lead, lead_saying, not_done};
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, Time, encoded};
use crate::http::operation::OperationAction;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::text::count::counted;
use crate::text::cut::cut;

/// How many records and kinds stand on a page.
const RECORDS: usize = 50;
const GROUPS: usize = 50;
/// How much is shown of an error and of arguments, in bytes.
const ERROR: usize = 400;
const ARGS: usize = 200;
/// How many jobs are ticked at most.
const TICKED: usize = 200;

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage {
    shell: Shell,
    words: String,
    /// What is wrong with the filter.
    wrong: Option<String>,
    count: u64,
    groups: FailedGroups,
    kinds: Vec<Group>,
    rows: Vec<Row>,
    scanned: usize,
    moved: bool,
    is_first: bool,
    next: Option<String>,
    /// How many match, if that is known.
    matching: Option<u64>,
    may_retry: bool,
    may_remove: bool,
}

/// A kind of failures.
struct Group {
    group: FailedGroup,
    link: String,
    is_chosen: bool,
    part: u64,
    last: Option<Time>,
    first: Option<Time>,
}

/// A failed job.
struct Row {
    view: FailedView,
    link: String,
    error: String,
    args: String,
    /// What its program said last.
    said: Option<String>,
    at: Option<Time>,
}

/// `GET /failed`.
pub(in crate::http) async fn show(visit: Visit) -> Result<Response, Problem> {
    let site = &visit.site;
    let store = site.admin()?;
    let words = visit.asked("q").unwrap_or_default().to_owned();
    let (filter, wrong) = match Filter::parse(&words, visit.now_ms) {
        Ok(filter) => (Some(FailedFilter { also: filter, ..FailedFilter::default() }), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let list = List::of("dashboard failed", [words.as_str()]);
    let after: Option<FailedPlace> = list.cursor(&visit.query)?;
    let is_first = after.is_none();
    let groups = Box::pin(site.failed_index.look(&store, &site.handlers, GROUPS)).await?;
    let found = match filter {
        Some(filter) => {
            let look = move || async move {
                Ok(failed_page::page(&store, &filter, after.as_ref(), RECORDS, Instant::now() + PATIENCE).await?)
            };
            Some(site.look(look).await?)
        }
        None => None,
    };
    let now_ms = visit.now_ms;
    let next = found.as_ref().and_then(|found| found.next.as_ref());
    let next = next.map(|place| format!("/failed?q={}&cursor={}", encoded(&words), list.next(place)));
    let most = groups.groups.first().map_or(0, |group| group.count);
    let kinds: Vec<Group> = groups.groups.iter().map(|group| Group::of(group, &words, most, now_ms)).collect();
    let chosen = kinds.iter().find(|kind| kind.is_chosen).map(|kind| kind.group.count);
    let count = found.as_ref().map_or(groups.count, |found| found.count);
    let (scanned, moved) = found.as_ref().map_or((0, false), |found| (found.scanned, found.moved));
    let rows: Vec<Row> = found.into_iter().flat_map(|found| found.failed).map(|view| Row::of(view, now_ms)).collect();
    let matching = match (words.is_empty(), chosen) {
        (true, _) => Some(count),
        (false, chosen @ Some(_)) => chosen,
        // All of them stand here.
        (false, None) if is_first && next.is_none() => Some(rows.len() as u64),
        (false, None) => None,
    };
    let page = FailedPage {
        shell: Shell::new(&visit, "Failed", "Failed").live("failed"),
        words,
        wrong,
        count,
        groups,
        kinds,
        rows,
        scanned,
        moved,
        is_first,
        next,
        matching,
        may_retry: visit.may(Role::Operate),
        may_remove: visit.may(Role::Admin),
    };
    answer(&page.shell, &page)
}

impl Group {
    fn of(group: &FailedGroup, words: &str, most: u64, now_ms: i64) -> Self {
        let filter = format!("group:{}", group.id);
        let time = |text: &Option<String>| text.as_deref().map(|text| Time::of(text, now_ms));
        Self {
            link: format!("/failed?q={}", encoded(&filter)),
            is_chosen: filter == words.trim(),
            part: share(group.count, most),
            last: time(&group.last),
            first: time(&group.first),
            group: group.clone(),
        }
    }
}

impl Row {
    fn of(view: FailedView, now_ms: i64) -> Self {
        let args = view.args.as_ref().map(|args| args.get());
        let args = args.or(view.args_left_out.as_deref()).or(view.raw.as_deref()).unwrap_or_default();
        Self {
            link: format!("/failed/{}?at={}", encoded(&view.id), view.position),
            error: cut(view.error.as_deref().unwrap_or_default(), ERROR),
            args: cut(args, ARGS),
            said: view.said_last().map(|said| cut(said, ERROR)),
            at: view.failed_at.as_deref().map(|at| Time::of(at, now_ms)),
            view,
        }
    }
}

impl FailedPage {
    /// The command that lists the same.
    fn command(&self) -> String {
        match self.words.as_str() {
            "" => "windlass failed list".to_owned(),
            words => crate::text::shell::command_for("failed list --filter", words),
        }
    }

    fn curl(&self) -> String {
        format!("curl -G '{{origin}}{}/api/v1/failed' --data-urlencode {}", self.shell.base, {
            crate::text::shell::word(&format!("filter={}", self.words))
        })
    }
}

/// The jobs that a form names: `ID@POSITION` each.
fn ticked(form: &Form) -> Result<Vec<FailedPlace>, Problem> {
    let places: Vec<FailedPlace> = form
        .all("t")
        .filter_map(|text| {
            let (id, position) = text.split_once('@')?;
            Some(FailedPlace { id: id.to_owned(), position: position.parse().ok()? })
        })
        .collect();
    match places.len() {
        0 => Err(Problem::new(Kind::Malformed, "nothing is ticked")),
        1..=TICKED => Ok(places),
        _ => Err(Problem::new(Kind::Malformed, format!("more than {TICKED} are ticked; use a filter instead"))),
    }
}

/// What came of many.
#[derive(Debug, Default, Serialize)]
struct Many {
    done: u64,
    /// How many were retried or removed by somebody else.
    gone: u64,
    /// Those that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stayed: Vec<RetryOutcome>,
}

/// `POST /failed/retry`: what is ticked.
pub(in crate::http) async fn retry_ticked(State(site): State<Site>, visit: Visit, form: Form) -> Response {
    let back = form.back().unwrap_or("/failed");
    let retried = async {
        let (places, store, content) = (ticked(&form)?, site.admin()?, site.content());
        let plugins = Arc::clone(&site.plugins);
        let change = async move {
            let mut many = Many::default();
            let found = find_near(&store, &places).await?;
            many.gone = (places.len() - found.len()) as u64;
            for one in &found {
                match failed_retry::retry(&store, &content.registry, &plugins, one, None).await? {
                    RetryOutcome::Retried { .. } => many.done += 1,
                    RetryOutcome::Gone { .. } => many.gone += 1,
                    stays => many.stayed.push(stays),
                }
            }
            Ok(many)
        };
        site.readings.take(site.change(change)).await
    };
    match retried.await {
        Ok(many) => tell(&visit, back, &many, "retried"),
        Err(problem) => not_done(&visit, back, problem),
    }
}

/// `POST /failed/remove`: what is ticked.
pub(in crate::http) async fn remove_ticked(State(site): State<Site>, visit: Visit, form: Form) -> Response {
    let back = form.back().unwrap_or("/failed");
    let removed = async {
        let (places, store) = (ticked(&form)?, site.admin()?);
        let change = async move {
            let mut many = Many::default();
            let found = find_near(&store, &places).await?;
            many.gone = (places.len() - found.len()) as u64;
            for one in &found {
                match failed::remove(&store, one).await? {
                    true => many.done += 1,
                    false => many.gone += 1,
                }
            }
            Ok(many)
        };
        site.readings.take(site.change(change)).await
    };
    match removed.await {
        Ok(many) => tell(&visit, back, &many, "removed"),
        Err(problem) => not_done(&visit, back, problem),
    }
}

fn tell(visit: &Visit, back: &str, many: &Many, what: &str) -> Response {
    let mut text = format!("{} {what}.", counted(many.done, "job is", "jobs are"));
    if many.gone > 0 {
        text = format!("{text} {} gone already.", counted(many.gone, "is", "are"));
    }
    if let Some(first) = many.stayed.first() {
        let stayed = counted(many.stayed.len() as u64, "stays", "stay");
        text = format!("{text} {stayed}: {}", why(first));
    }
    if many.done > 0 && many.stayed.is_empty() {
        return done(visit, back, text, many);
    }
    done_in_part(visit, back, text, many)
}

/// Why a job stays.
pub(super) fn why(outcome: &RetryOutcome) -> String {
    match outcome {
        RetryOutcome::Refused { refused_by, reason, remedy, .. } => {
            let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{refused_by} refused{reason}; {remedy}")
        }
        RetryOutcome::NotRetriable { reason, .. } => reason.clone(),
        RetryOutcome::Gone { .. } | RetryOutcome::Retried { .. } => "it is gone".to_owned(),
    }
}

/// `POST /failed/count`: counts all that match, and leads to the page where that number is confirmed.
pub(in crate::http) async fn count(
    State(site): State<Site>,
    Extension(who): Extension<Who>,
    visit: Visit,
    form: Form,
) -> Response {
    begin(&site, &who, &visit, &form, None).await
}

/// `POST /failed/all`: retries or removes all that match, if they are as many as were counted.
pub(in crate::http) async fn change_all(
    State(site): State<Site>,
    Extension(who): Extension<Who>,
    visit: Visit,
    form: Form,
) -> Response {
    let back = form.back().unwrap_or("/failed");
    match form.text("expect").and_then(|text| text.parse().ok()) {
        Some(expect) => begin(&site, &who, &visit, &form, Some(expect)).await,
        None => not_done(&visit, back, Problem::new(Kind::Malformed, "the form does not say how many were counted")),
    }
}

async fn begin(site: &Site, who: &Who, visit: &Visit, form: &Form, expect: Option<u64>) -> Response {
    let back = form.back().unwrap_or("/failed");
    let action = match form.text("do") {
        Some("retry") => OperationAction::Retry,
        Some("remove") => OperationAction::Remove,
        _ => return not_done(visit, back, Problem::new(Kind::Malformed, "the form does not say what is to be done")),
    };
    let filter = form.text("q").unwrap_or_default().to_owned();
    match order(site, (visit.caller(), who), action, filter, expect).await {
        Ok(view) => {
            let to = format!("/operations/{}", view.id);
            match expect {
                // Nothing has changed yet.
                None => lead(&visit.base, &to),
                Some(_) => done(visit, &to, "It has begun.", &view),
            }
        }
        Err(problem) if problem.status().is_client_error() => {
            lead_saying(visit, back, Flash::not_done(problem.detail()))
        }
        Err(problem) => not_done(visit, back, problem),
    }
}
