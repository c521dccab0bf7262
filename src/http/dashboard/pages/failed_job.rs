//! A failed job: all that its record says, and its way back to a queue, as it was or mended.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::failed::why;
use crate::admin::failed::{FailedView, FoundFailure, SHOWN_ID};
use crate::admin::failed_mend::Mend;
use crate::admin::failed_retry::RetryOutcome;
use crate::admin::filter::quoted;
use crate::admin::runs::{self, PastRunView};
use crate::config::http::Role;
use crate::http::api::failed::{find, remove_one, retry_mended};
use crate::http::api::path::Name;
use crate::http::audited::NoChange;
use crate::http::dashboard::diff::{Line, diff};
use crate::http::dashboard::forms::{Form, done, done_in_part, not_done};
use crate::http::dashboard::json::lines;
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, Time, encoded};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::job::{Args, QueueName};
use crate::text::cut::{cut, cut_bytes};
use crate::text::shell;

/// How much of arguments, of an error and of a record a page shows, in bytes.
const SHOWN: usize = 64 * 1024;
const ERROR: usize = 8 * 1024;
/// How many lines of what led to it.
const LINES: usize = 400;
/// How many past runs of its task.
const RUNS: usize = 20;

#[derive(Template)]
#[template(path = "failed_job.html")]
struct FailedJobPage {
    shell: Shell,
    view: FailedView,
    /// The page, below the base, without what was asked.
    link: String,
    error: String,
    trace: Vec<String>,
    more_lines: usize,
    args: Option<String>,
    record: String,
    at: Option<Time>,
    retried_at: Option<Time>,
    runs: Vec<PastRun>,
    may_retry: bool,
    may_remove: bool,
    may_edit: bool,
}

/// A past run of the same task.
struct PastRun {
    run: PastRunView,
    ended: Time,
}

#[derive(Template)]
#[template(path = "failed_edit.html")]
struct EditPage {
    shell: Shell,
    view: FailedView,
    link: String,
    args: String,
    queue: String,
    /// What is wrong with what was written.
    wrong: Option<String>,
    /// What would change; `None`: nothing was written yet.
    changes: Option<Changes>,
}

struct Changes {
    lines: Vec<Line>,
    /// Where it came from, and where it goes.
    queues: Option<(String, String)>,
}

/// The failed job that a page is about.
async fn found(visit: &Visit, id: &str) -> Result<FoundFailure, Problem> {
    let hint = visit.query.parsed("at", "a position")?;
    find(&visit.site, id, hint).await
}

fn link(view: &FailedView) -> String {
    format!("/failed/{}", encoded(&view.id))
}

/// `GET /failed/{id}`.
pub(in crate::http) async fn show(visit: Visit, Name(id): Name) -> Result<Response, Problem> {
    let found = found(&visit, &id).await?;
    let (view, now_ms) = (found.view(), visit.now_ms);
    let (store, content) = (visit.site.admin()?, visit.site.content());
    // Few tasks keep their runs; what is not known is left out.
    let past = match view.class.as_deref().filter(|class| content.registry.get(class).is_some()) {
        Some(class) => Box::pin(runs::of(&store, &content.registry, class, RUNS)).await.ok(),
        None => None,
    };
    let past = past.into_iter().flat_map(|past| past.runs);
    let runs = past.map(|run| PastRun { ended: Time::of_ms(run.ended_ms, now_ms), run }).collect();
    let time = |text: &Option<String>| text.as_deref().map(|text| Time::of(text, now_ms));
    let trace: Vec<String> = view.backtrace.iter().take(LINES).map(|line| cut(line, ERROR)).collect();
    let title = view.exception.as_deref().or(view.class.as_deref()).unwrap_or("Failed job").to_owned();
    let page = FailedJobPage {
        link: link(&view),
        error: cut(view.error.as_deref().unwrap_or_default(), ERROR),
        more_lines: view.backtrace.len().saturating_sub(trace.len()),
        trace,
        args: view.args.as_ref().map(|args| cut(lines(args.get()), SHOWN)),
        record: cut_bytes(&found.record, SHOWN),
        at: time(&view.failed_at),
        retried_at: time(&view.retried_at),
        runs,
        may_retry: visit.may(Role::Operate),
        may_remove: visit.may(Role::Admin),
        may_edit: visit.may(Role::Operate) && editable(&visit, &view).is_ok(),
        // What a record says does not change.
        shell: Shell::new(&visit, "Failed", title),
        view,
    };
    answer(&page.shell, &page)
}

impl FailedJobPage {
    fn short_id(&self) -> &str {
        self.view.id.get(..SHOWN_ID).unwrap_or(&self.view.id)
    }

    fn command(&self) -> String {
        shell::command("failed retry", &[self.short_id()])
    }

    fn curl(&self) -> String {
        format!("curl -X POST '{{origin}}{}/api/v1{}/retry?at={}'", self.shell.base, self.link, self.view.position)
    }

    /// The failed jobs of the same task.
    fn same_task(&self) -> Option<String> {
        let class = self.view.class.as_deref()?;
        Some(format!("/failed?q={}", encoded(format!("task:{}", quoted(class)))))
    }

    /// The failed jobs with the same arguments.
    fn same_args(&self) -> Option<String> {
        let args = self.view.args.as_ref()?.get();
        let is_short = args.len() <= 200 && args != "[]";
        is_short.then(|| format!("/failed?q={}", encoded(format!("args:{}", quoted(args)))))
    }
}

/// The arguments that can be edited.
///
/// # Errors
/// Why they cannot.
fn editable(visit: &Visit, view: &FailedView) -> Result<String, Problem> {
    let cannot = |why: &str| {
        let short = view.id.get(..SHOWN_ID).unwrap_or(&view.id);
        Problem::new(Kind::NotRetriable, why).command(shell::command("failed retry --args '[...]'", &[short]))
    };
    let Some(args) = view.args.as_ref().map(|args| args.get()) else {
        return Err(cannot("the record of this failed job holds no job, so that there are no arguments to edit"));
    };
    if args.len() > SHOWN {
        return Err(cannot("the arguments of this job are too long for a page"));
    }
    if visit.site.content().redactor.hide(args) != args {
        let why = "the arguments of this job hold what log.redact hides, and what is hidden would be lost here";
        return Err(cannot(why));
    }
    Ok(lines(args))
}

/// `GET /failed/{id}/edit`.
pub(in crate::http) async fn edit(visit: Visit, Name(id): Name) -> Result<Response, Problem> {
    let view = found(&visit, &id).await?.view();
    let args = editable(&visit, &view)?;
    let queue = view.queue.clone().unwrap_or_default();
    edit_page(&visit, view, args, queue, None, None)
}

fn edit_page(
    visit: &Visit,
    view: FailedView,
    args: String,
    queue: String,
    wrong: Option<String>,
    changes: Option<Changes>,
) -> Result<Response, Problem> {
    let shell = Shell::new(visit, "Failed", "Edit and retry");
    let page = EditPage { shell, link: link(&view), view, args, queue, wrong, changes };
    answer(&page.shell, &page)
}

/// `POST /failed/{id}/edit`: what would change. Nothing does.
pub(in crate::http) async fn preview(visit: Visit, Name(id): Name, form: Form) -> Result<Response, Problem> {
    let found = found(&visit, &id).await?;
    let view = found.view();
    let before = editable(&visit, &view)?;
    let (args, queue) = (form.text("args").unwrap_or_default(), form.text("queue").unwrap_or_default().trim());
    let content = visit.site.content();
    let checked = Args::from_json(args).map_err(|error| format!("the arguments: {error}")).and_then(|args| {
        let queue = QueueName::new(queue).map_err(|error| format!("the queue: {error}"))?;
        let mend = Mend { args: Some(args), queue: Some(queue) };
        mend.checked(&content.registry, &found).map_err(|error| error.to_string())
    });
    // As browsers send lines.
    let written = args.replace("\r\n", "\n");
    let mend = match checked {
        Ok(mend) => mend,
        Err(wrong) => {
            let mut shown = edit_page(&visit, view, written, queue.to_owned(), Some(wrong), None)?;
            shown.extensions_mut().insert(NoChange);
            return Ok(shown);
        }
    };
    let after = mend.args.map(|args| lines(args.as_str())).unwrap_or_default();
    let came_from = view.queue.clone().unwrap_or_default();
    let queues = (came_from != queue).then(|| (came_from, queue.to_owned()));
    let changes = Changes { lines: diff(&before, &after), queues };
    let mut shown = edit_page(&visit, view, written, queue.to_owned(), None, Some(changes))?;
    shown.extensions_mut().insert(NoChange);
    Ok(shown)
}

/// `POST /failed/{id}/retry`: as it was, or with the arguments and to the queue of the form.
pub(in crate::http) async fn retry(State(site): State<Site>, visit: Visit, Name(id): Name, form: Form) -> Response {
    let back = form.back().unwrap_or("/failed");
    let hint = match visit.query.parsed("at", "a position") {
        Ok(hint) => hint,
        Err(problem) => return not_done(&visit, back, problem),
    };
    let owned = |name: &str| form.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match retry_mended(&site, &id, hint, owned("queue"), owned("args")).await {
        Ok(ref outcome @ RetryOutcome::Retried { ref class, ref queue, ref mended, .. }) => {
            let class = class.as_deref().unwrap_or("The job");
            let how = if mended.is_some() { ", with the changes" } else { "" };
            done(&visit, back, format!("{class} is back on queue {queue}{how}."), outcome)
        }
        Ok(outcome) => done_in_part(&visit, back, format!("The job stays: {}", why(&outcome)), &outcome),
        Err(problem) => not_done(&visit, back, problem),
    }
}

/// `POST /failed/{id}/remove`.
pub(in crate::http) async fn remove(State(site): State<Site>, visit: Visit, Name(id): Name, form: Form) -> Response {
    let back = form.back().unwrap_or("/failed");
    let removed = async {
        let hint = visit.query.parsed("at", "a position")?;
        remove_one(&site, &id, hint).await
    };
    match removed.await {
        Ok(told) => done(&visit, back, "The failed job is removed.", &told),
        Err(problem) => not_done(&visit, back, problem),
    }
}
