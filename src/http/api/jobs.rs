//! Enqueues a job.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::admission;
use super::body::{self, JsonBody};
use super::list::Json;
use super::once::{self, Once};
use super::path::Name;
use super::query::{self, Query};
use crate::admin::enqueued::EnqueueView;
use crate::admin::refusing_lock::refusing_locks;
use crate::client::delay::OnDuplicate;
use crate::client::enqueue::{Client, EnqueueOutcome};
use crate::client::moment::{Moment, parse_delay};
use crate::client::once::{OnceOutcome, When};
use crate::client::request::{Request, ResolvedJob};
use crate::http::guard::caller::{Caller, Scope};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::traced::Traced;
use crate::job::{Args, QueueName};

const TIME: &str = "a time: RFC 3339, milliseconds, or \"@seconds\"";
const DELAY: &str = "a delay such as \"10m\", or milliseconds";

/// What is asked for.
#[derive(Debug)]
struct Asked {
    request: Request,
    when: When,
    /// Under an id that is told.
    track: bool,
    duplicate: OnDuplicate,
    once: Option<Once>,
    traced: Traced,
}

/// `POST /tasks/{task}/jobs`: the body is the arguments.
pub(in crate::http) async fn of_task(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    Extension(caller): Extension<Caller>,
    Name(task): Name,
    headers: HeaderMap,
    query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    let traced = Traced::begin(&site, &headers);
    let once = once::begin(&site, &headers, &scope)?;
    let query = query.only(&["queue", "at", "in", "front", "track", "suppress_duplicate"])?;
    let read = |name: &str, expected: &str, problem: &dyn std::fmt::Display| {
        query::wrong(name, expected, query.text(name).unwrap_or_default()).because(problem)
    };
    let at = query.text("at").map(|text| Moment::parse(text).map_err(|error| read("at", TIME, &error))).transpose()?;
    let delay =
        query.text("in").map(|text| parse_delay(text).map_err(|error| read("in", DELAY, &error))).transpose()?;
    let track = query.flag("track")?;
    let when = when(at, delay, (query.flag("front")?, track), "?in")?;
    let request = Request {
        task,
        args: arguments(body.text(), "")?,
        queue: query.text("queue").map(str::to_owned),
        foreign: false,
    };
    admit(&site, caller, &request, "?queue").await?;
    let asked = Asked { request, when, track, duplicate: duplicate(query.flag("suppress_duplicate")?), once, traced };
    enqueue(site, asked).await.map_err(|problem| problem.of_args("", body.text()).of_query("queue"))
}

/// `POST /jobs`.
pub(in crate::http) async fn any(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    let traced = Traced::begin(&site, &headers);
    let once = once::begin(&site, &headers, &scope)?;
    query.only(&[])?;
    let members = body.members()?.only(&[
        "task",
        "args",
        "queue",
        "at",
        "in",
        "front",
        "track",
        "foreign",
        "suppress_duplicate",
    ])?;
    let read = |name: &str, expected: &str, problem: &dyn std::fmt::Display| {
        body::wrong(name, expected, "something else").because(problem)
    };
    let at = members
        .text("at", TIME)?
        .map(|text| Moment::parse(&text).map_err(|error| read("at", TIME, &error)))
        .transpose()?;
    let delay = members
        .text("in", DELAY)?
        .map(|text| parse_delay(&text).map_err(|error| read("in", DELAY, &error)))
        .transpose()?;
    let task = members.string("task")?.ok_or_else(|| body::wrong("task", "the name of a task", "nothing"))?;
    let request = Request {
        task,
        args: arguments(members.raw("args"), "/args")?,
        queue: members.string("queue")?,
        foreign: members.flag("foreign")?,
    };
    let track = members.flag("track")?;
    let when = when(at, delay, (members.flag("front")?, track), "/in")?;
    admit(&site, caller, &request, "/queue").await?;
    let asked = Asked { request, when, track, duplicate: duplicate(members.flag("suppress_duplicate")?), once, traced };
    enqueue(site, asked).await.map_err(|problem| problem.of_args("/args", members.raw("args")))
}

/// May this caller enqueue to the queue that the request names, if it names one?
async fn admit(site: &Site, caller: Caller, request: &Request, pointer: &str) -> Result<(), Problem> {
    // One that is no name is refused with the rest of the request.
    let Some(queue) = request.queue.as_deref().and_then(|queue| QueueName::new(queue).ok()) else { return Ok(()) };
    admission::admit(site, caller, &queue, pointer).await
}

pub(super) fn arguments(text: Option<&str>, pointer: &str) -> Result<Option<Args>, Problem> {
    text.map(Args::from_json).transpose().map_err(|error| {
        Problem::new(Kind::Malformed, format!("the arguments are {error}")).wrong(pointer, "JSON", "something else")
    })
}

fn when(at: Option<Moment>, delay: Option<i64>, (front, track): (bool, bool), pointer: &str) -> Result<When, Problem> {
    let several =
        |detail: &str| Err(Problem::new(Kind::Malformed, detail).wrong(pointer, "one of at, in and front", "several"));
    match (at, delay) {
        (Some(_), Some(_)) => several("at and in are both given"),
        (Some(_), None) | (None, Some(_)) if front => several("front is for jobs that are enqueued now"),
        (Some(_), None) | (None, Some(_)) if track => several("track is for jobs that are enqueued now"),
        (Some(at), None) => Ok(When::At(at)),
        (None, Some(ms)) => Ok(When::In(ms)),
        (None, None) => Ok(When::Now { front }),
    }
}

fn duplicate(is_suppressed: bool) -> OnDuplicate {
    if is_suppressed { OnDuplicate::Suppress } else { OnDuplicate::Refuse }
}

/// Enqueues: 201 if there is a new job, or was one under the same key; 200 if a plugin refused it or it was there already.
async fn enqueue(site: Site, asked: Asked) -> Result<Response, Problem> {
    let client = asked.traced.client(site.client()?);
    let mut view = site.change(async move { run(&client, asked).await }).await?;
    let status = if view.enqueued { StatusCode::CREATED } else { StatusCode::OK };
    let is_replay = std::mem::take(&mut view.replayed);
    let response = (status, Json(view)).into_response();
    Ok(if is_replay { once::replayed(response) } else { response })
}

async fn run(client: &Client, asked: Asked) -> Result<EnqueueView, Problem> {
    let Asked { request, when, track, duplicate, once, traced } = asked;
    let (job, view) = match once {
        Some(_) if track => {
            let detail =
                "a job that is enqueued under an Idempotency-Key cannot be tracked; leave out track or the header";
            return Err(Problem::new(Kind::Malformed, detail));
        }
        Some(Once { key, begun }) => {
            let outcome = client.enqueue_once(&request, when, duplicate, &key).await;
            drop(begun);
            match outcome? {
                OnceOutcome::Now(job, outcome) => {
                    let view = now(client, &job, outcome).await;
                    (job, view)
                }
                OnceOutcome::Later(job, scheduled) => {
                    let view = EnqueueView::later(&job, scheduled);
                    (job, view)
                }
                // It was told when it was done.
                OnceOutcome::Before(done) => return Ok(EnqueueView::before(done)),
            }
        }
        None => placed(client, &request, when, track, duplicate).await?,
    };
    traced.ended(&job, &view);
    Ok(view)
}

async fn placed(
    client: &Client,
    request: &Request,
    when: When,
    track: bool,
    duplicate: OnDuplicate,
) -> Result<(ResolvedJob, EnqueueView), Problem> {
    let (job, scheduled) = match when {
        When::Now { front } if track => {
            let (job, outcome, id) = client.enqueue_tracked(request, front).await?;
            let view = now(client, &job, outcome).await;
            let id = Some(id.to_string()).filter(|_| view.enqueued);
            return Ok((job, EnqueueView { id, ..view }));
        }
        When::Now { front } => {
            let (job, outcome) = client.enqueue(request, front).await?;
            let view = now(client, &job, outcome).await;
            return Ok((job, view));
        }
        When::At(at) => client.enqueue_at(request, at, duplicate).await?,
        When::In(ms) => client.enqueue_in(request, ms, duplicate).await?,
    };
    let view = EnqueueView::later(&job, scheduled);
    Ok((job, view))
}

async fn now(client: &Client, job: &ResolvedJob, outcome: EnqueueOutcome) -> EnqueueView {
    match outcome {
        EnqueueOutcome::Enqueued { complaints } => EnqueueView::now(job, &complaints),
        EnqueueOutcome::Refused(refusal) => {
            let lock = refusing_locks(client, &[(job, &refusal)]).await.into_iter().next().flatten();
            EnqueueView::refused(refusal, lock)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_at_one_time() {
        let at = Moment::of_second(5);
        let judged =
            |at, delay, front| when(at, delay, (front, false), "/in").map_err(|problem| problem.status().as_u16());
        assert_eq!(judged(None, None, true), Ok(When::Now { front: true }));
        assert!(when(Some(at), None, (false, true), "/in").is_err());
        assert_eq!(judged(Some(at), None, false), Ok(When::At(at)));
        assert_eq!(judged(None, Some(7), false), Ok(When::In(7)));
        for (at, delay, front) in [(Some(at), Some(7), false), (Some(at), None, true), (None, Some(7), true)] {
            assert_eq!(judged(at, delay, front), Err(400));
        }
    }
}
