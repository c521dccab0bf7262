//! A queue: the jobs at its head or its tail, those among them that match, and what can be done to it.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use tokio::time::Instant;

use super::queues::{MANY, Row, processors, tell_pauses};
use crate::admin::explain::{self, Finding, Here};
use crate::admin::queued_jobs::{self, MOST, QueueSearch, QueuedJobs};
use crate::admin::queues;
use crate::config::http::Role;
use crate::http::api::path::Name;
use crate::http::api::query::wrong;
use crate::http::dashboard::forms::{Form, done, not_done};
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, encoded};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::task::load::lacks;

/// How many jobs stand on a page.
const JOBS: usize = 50;
/// For how long jobs are looked at.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much is shown of the arguments of a job, in bytes.
const ARGS: usize = 200;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    shell: Shell,
    row: Row,
    findings: Vec<Finding>,
    jobs: QueuedJobs,
    words: String,
    from_tail: bool,
    passed: i64,
    may_pause: bool,
    may_clear: bool,
    may_remove: bool,
}

/// `GET /queues/{queue}`.
pub(in crate::http) async fn show(visit: Visit, Name(queue): Name) -> Result<Response, Problem> {
    let site = &visit.site;
    let (store, content) = (site.admin()?, site.content());
    let from_tail = match visit.asked("from") {
        None | Some("head") => false,
        Some("tail") => true,
        Some(other) => return Err(wrong("from", "head or tail", other)),
    };
    let passed = visit.query.parsed::<i64>("passed", "how many jobs are passed")?.unwrap_or(0);
    let search = QueueSearch { words: visit.asked("q").unwrap_or_default().to_owned(), from_tail, passed, limit: JOBS };
    let words = search.words.clone();
    let (look, name) = (store.clone(), queue.clone());
    let jobs = site
        .look(move || async move { Ok(queued_jobs::search(&look, &name, &search, Instant::now() + PATIENCE).await?) });
    let (view, jobs, processors) =
        tokio::join!(Box::pin(queues::look(&store, &queue)), Box::pin(jobs), Box::pin(processors(site)));
    let (view, jobs) = (view?, jobs?);
    let findings = if view.length == 0 {
        Vec::new()
    } else {
        let (store, name) = (store.clone(), queue.clone());
        let told = site.look(move || async move {
            let missing = lacks::now(&content.registry);
            let here = Here::of(&content.registry).lacking(&missing, &content.host).from_elsewhere();
            Ok(explain::queue(&store, here, &name).await?)
        });
        told.await?.findings
    };
    let title = format!("Queue {queue}");
    let mut row = [Row::of(&view, view.length, processors?.get(&queue).copied())];
    tell_pauses(&visit, &mut row, false).await;
    let [row] = row;
    let page = QueuePage {
        shell: Shell::new(&visit, "Queues", title).live("snapshot,paused"),
        row,
        findings,
        jobs,
        words,
        from_tail,
        passed: passed.max(0),
        may_pause: visit.may(Role::Operate),
        may_clear: visit.may(Role::Admin),
        may_remove: visit.may(Role::Admin),
    };
    answer(&page.shell, &page)
}

impl QueuePage {
    /// The arguments as the page shows them.
    fn short(&self, text: &str) -> String {
        crate::text::cut::cut(text, ARGS)
    }

    /// The address of the page behind this one.
    fn next(&self) -> Option<String> {
        let passed = self.jobs.next?;
        Some(self.at(self.from_tail, passed))
    }

    /// The address from an end, behind so many jobs.
    fn at(&self, from_tail: bool, passed: i64) -> String {
        let mut link = format!("{}?from={}", self.row.link, if from_tail { "tail" } else { "head" });
        if passed > 0 {
            link.push_str(&format!("&passed={passed}"));
        }
        if !self.words.is_empty() {
            link.push_str(&format!("&q={}", encoded(&self.words)));
        }
        link
    }
}

/// `POST /queues/{queue}/remove`: one job, named by its key and its position.
pub(in crate::http) async fn remove(State(site): State<Site>, visit: Visit, Name(queue): Name, form: Form) -> Response {
    let back = form.back().unwrap_or("/queues");
    let (key, at) = (form.text("job").map(str::to_owned), form.text("at").and_then(|at| at.parse::<i64>().ok()));
    let (Some(key), Some(at)) = (key, at) else {
        return not_done(&visit, back, Problem::new(Kind::Malformed, "the form does not say which job"));
    };
    let removed = async {
        let (store, content) = (site.admin()?, site.content());
        site.change(async move { Ok(queued_jobs::remove(&store, &content.registry, &queue, &key, at).await?) }).await
    };
    match site.readings.take(removed).await {
        Ok(told) if told.removed > 0 => {
            let text = format!("A job of {} is removed.", told.class.as_deref().unwrap_or("no class"));
            done(&visit, back, text, &told)
        }
        Ok(_) => {
            let detail = "This job is gone: it was claimed, or removed by somebody else.";
            not_done(&visit, back, Problem::new(Kind::Changed, detail))
        }
        Err(problem) => not_done(&visit, back, problem),
    }
}

impl QueuePage {
    fn curl(&self) -> String {
        format!("curl '{{origin}}{}/api/v1{}/jobs'", self.shell.base, self.row.link)
    }
}
