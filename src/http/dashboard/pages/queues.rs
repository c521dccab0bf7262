//! All queues: how long they are, how long their jobs wait, and who works them.

use std::cmp::Reverse;
use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::admin::queue_wait::QueueWait;
use crate::admin::queues::{self, QueueList, QueueView};
use crate::config::http::Role;
use crate::http::api::path::Name;
use crate::http::api::queues::{clear, pause_or_resume};
use crate::http::dashboard::chart::share;
use crate::http::dashboard::forms::{Form, done, not_done};
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, Time, encoded};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::text::count::counted;

/// How many queues are read, and how many stand on the page.
const READ: usize = 2000;
const SHOWN: usize = 500;
/// From how many jobs on the queue's name is typed before all of them are deleted.
pub(super) const MANY: u64 = 1000;
/// From when on a job waits for long, in milliseconds.
const LONG_MS: u64 = 60_000;

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    shell: Shell,
    list: QueueList,
    rows: Vec<Row>,
    /// By whom everything is paused, and since when.
    all_by: Option<(String, Time)>,
    /// How many match, of those that were read.
    matching: usize,
    words: String,
    sort: &'static str,
    may_pause: bool,
}

/// What a page tells of a queue.
pub(super) struct Row {
    pub(super) queue: String,
    pub(super) link: String,
    pub(super) length: u64,
    /// How much of the longest, in percent.
    pub(super) part: u64,
    pub(super) oldest: Option<String>,
    pub(super) is_late: bool,
    pub(super) came: Option<String>,
    pub(super) went: Option<String>,
    pub(super) empty_in: Option<String>,
    /// The workers that would claim from it; `None`: it was not looked at.
    pub(super) processors: Option<u64>,
    pub(super) paused: bool,
    /// By whom and since when, if the audit tells it.
    pub(super) paused_by: Option<(String, Time)>,
}

/// The columns by which queues are sorted, with their names.
const SORTS: [(&str, &str); 5] =
    [("name", "Queue"), ("length", "Jobs"), ("oldest", "Oldest"), ("in", "In/min"), ("out", "Out/min")];

impl Row {
    pub(super) fn of(view: &QueueView, most: u64, processors: Option<u64>) -> Self {
        let QueueWait { oldest_ms, oldest_most_ms, .. } = view.wait;
        let oldest_ms = oldest_ms.filter(|_| view.length > 0);
        // Of some ages only a bound is known.
        let least = if oldest_most_ms.is_none() { "≥ " } else { "" };
        Self {
            queue: view.queue.clone(),
            link: format!("/queues/{}", encoded(&view.queue)),
            length: view.length,
            part: share(view.length, most),
            oldest: oldest_ms.map(|ms| match ms {
                0..1000 if least.is_empty() => "< 1 s".to_owned(),
                // In whole seconds, so that fewer pages differ.
                ms => format!("{least}{}", words::span(ms / 1000 * 1000)),
            }),
            is_late: oldest_ms.is_some_and(|ms| ms >= LONG_MS),
            came: rate(view.wait.in_per_minute, view.wait.counted_in, view.wait.counted_ms),
            went: rate(view.wait.out_per_minute, view.wait.counted_out, view.wait.counted_ms),
            empty_in: view.wait.empty_in_ms.filter(|_| view.length > 0).map(words::span),
            processors,
            paused: view.paused,
            paused_by: None,
        }
    }
}

impl Row {
    /// Do jobs wait, and nobody would claim them?
    fn is_left(&self) -> bool {
        self.length > 0 && self.processors == Some(0)
    }
}

/// How many in a minute; of less than a minute, how many in how long.
fn rate(per_minute: Option<u64>, counted: Option<u64>, over_ms: Option<u64>) -> Option<String> {
    let so_far = || Some(format!("{} in {}", words::count(counted?), words::span(over_ms?)));
    per_minute.map(words::count).or_else(so_far)
}

/// By whom each of these queues is paused, and since when. Asked for only if one is.
pub(super) async fn tell_pauses(visit: &Visit, rows: &mut [Row], all_paused: bool) -> Option<(String, Time)> {
    if !all_paused && !rows.iter().any(|row| row.paused) {
        return None;
    }
    // An audit that cannot be read tells nothing, and the rest stands.
    let pauses = visit.site.looks.pauses(&visit.site.admin().ok()?).await.ok()?;
    let told = |queue: Option<String>| {
        let by = pauses.get(&queue)?;
        Some((by.who.clone(), Time::of_ms(by.at_ms, visit.now_ms)))
    };
    for row in rows.iter_mut().filter(|row| row.paused) {
        row.paused_by = told(Some(row.queue.clone()));
    }
    told(None).filter(|_| all_paused)
}

/// How many workers would claim from each queue that was looked at.
pub(super) async fn processors(site: &Site) -> Result<HashMap<String, u64>, Problem> {
    let (store, content) = (site.admin()?, site.content());
    let gauges = Box::pin(site.looks.gauges(&store, &content.registry)).await?;
    Ok(gauges.queues.iter().map(|one| (one.queue.as_str().to_owned(), one.processors)).collect())
}

/// `GET /queues`.
pub(in crate::http) async fn show(visit: Visit) -> Result<Response, Problem> {
    let site = &visit.site;
    let store = site.admin()?;
    let (list, processors) = tokio::join!(Box::pin(queues::list(&store, READ)), Box::pin(processors(site)));
    let (mut list, processors) = (list?, processors?);
    let words = visit.asked("q").unwrap_or_default().to_owned();
    let sort = SORTS.map(|(name, _)| name).into_iter().find(|name| visit.asked("sort") == Some(*name));
    let sort = sort.unwrap_or("name");
    let mut views = std::mem::take(&mut list.queues);
    let wanted = words.to_lowercase();
    views.retain(|view| view.queue.to_lowercase().contains(&wanted));
    match sort {
        "length" => views.sort_by_key(|view| Reverse(view.length)),
        "oldest" => views.sort_by_key(|view| Reverse(view.wait.oldest_ms.filter(|_| view.length > 0))),
        "in" => views.sort_by_key(|view| Reverse(view.wait.in_per_minute)),
        "out" => views.sort_by_key(|view| Reverse(view.wait.out_per_minute)),
        _ => {}
    }
    let (matching, most) = (views.len(), views.iter().map(|view| view.length).max().unwrap_or(0));
    let row = |view: &QueueView| Row::of(view, most, processors.get(&view.queue).copied());
    let mut rows: Vec<Row> = views.iter().take(SHOWN).map(row).collect();
    let all_by = tell_pauses(&visit, &mut rows, list.all_paused).await;
    let page = QueuesPage {
        shell: Shell::new(&visit, "Queues", "Queues").live("snapshot,paused"),
        rows,
        all_by,
        list,
        matching,
        words,
        sort,
        may_pause: visit.may(Role::Operate),
    };
    answer(&page.shell, &page)
}

/// `POST /queues/{queue}/pause`.
pub(in crate::http) async fn pause(visit: Visit, Name(queue): Name, form: Form) -> Response {
    set_paused(&visit, Some(queue), &form, true).await
}

/// `POST /queues/{queue}/resume`.
pub(in crate::http) async fn resume(visit: Visit, Name(queue): Name, form: Form) -> Response {
    set_paused(&visit, Some(queue), &form, false).await
}

/// `POST /pause`.
pub(in crate::http) async fn pause_all(visit: Visit, form: Form) -> Response {
    set_paused(&visit, None, &form, true).await
}

/// `POST /resume`.
pub(in crate::http) async fn resume_all(visit: Visit, form: Form) -> Response {
    set_paused(&visit, None, &form, false).await
}

async fn set_paused(visit: &Visit, queue: Option<String>, form: &Form, paused: bool) -> Response {
    let back = form.back().unwrap_or("/queues");
    let name = queue.as_ref().map_or_else(|| "All queues".to_owned(), |queue| format!("Queue {queue}"));
    let now = match (paused, queue.is_some()) {
        (true, true) => "is paused",
        (true, false) => "are paused",
        (false, true) => "goes on",
        (false, false) => "go on",
    };
    match pause_or_resume(&visit.site, queue, paused).await {
        Ok(told) => {
            let mut text = format!("{name} {now}.");
            if told.all_paused {
                text = format!("{name} is not paused by itself any more, but everything is paused.");
            }
            if !told.still_paused.is_empty() {
                let still = counted(told.still_paused.len() as u64, "queue is", "queues are");
                text = format!("{text} {still} still paused one by one.");
            }
            done(visit, back, text, &told)
        }
        Err(problem) => not_done(visit, back, problem),
    }
}

/// `POST /queues/{queue}/clear`: its jobs and itself, if they are as many as who looks has seen.
pub(in crate::http) async fn remove(State(site): State<Site>, visit: Visit, Name(queue): Name, form: Form) -> Response {
    let back = form.back().unwrap_or("/queues");
    let Some(expected) = form.text("expect").and_then(|text| text.parse::<u64>().ok()) else {
        return not_done(&visit, back, Problem::new(Kind::Malformed, "the form does not say how many jobs were seen"));
    };
    if expected >= MANY && form.text("name") != Some(queue.as_str()) {
        let detail =
            format!("Nothing was deleted: type the name of the queue to delete its {} jobs.", words::count(expected));
        return not_done(&visit, back, Problem::new(Kind::Malformed, detail));
    }
    match clear(&site, queue.clone(), expected).await {
        Ok(told) => {
            let text = format!("Queue {queue} and its {} are deleted.", counted(told.deleted, "job", "jobs"));
            done(&visit, "/queues", text, &told)
        }
        Err(problem) => not_done(&visit, back, problem),
    }
}

impl QueuesPage {
    /// What keeps jobs back beside pauses.
    fn held(&self) -> Vec<String> {
        let mut held = self.list.held_back();
        (held.all_paused, held.paused_queues) = (false, Vec::new());
        held.lines()
    }

    /// In whole seconds, so that the page does not change without need.
    fn seconds_up(&self, ms: &u64) -> u64 {
        ms.div_ceil(10_000).max(1) * 10_000
    }
}
