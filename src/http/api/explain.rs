//! Why something does not run, and what needs attention.

use axum::extract::State;
use axum::response::IntoResponse;

use super::jobs::arguments;
use super::list::Json;
use super::query::Query;
use crate::admin::error::AdminError;
use crate::admin::explain::{self, Explanation, Here, JobSubject};
use crate::client::request::{Request, ResolvedJob};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::http::watch;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::definition::Registry;
use crate::task::load::lacks;

/// What may be asked about by one name.
const SUBJECTS: [&str; 5] = ["job", "queue", "task", "schedule", "failed"];

/// What is asked about.
#[derive(Debug, Clone)]
enum Subject {
    /// A job of these bytes.
    Job(Box<ResolvedJob>),
    /// What one of the parameters names.
    Named(&'static str, String),
}

/// `GET /attention`: what nobody asked for.
pub(in crate::http) async fn attention(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    let found = watch::attention(&site, &site.admin()?).await?;
    Ok(Json((*found).clone()))
}

/// `GET /explain`: one subject by its name, or a job by its task, queue and arguments.
pub(in crate::http) async fn explain(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&[&SUBJECTS[..], &["args"]].concat())?;
    let (store, content) = (site.admin()?, site.content());
    let subject = subject(&query, &content.registry)?;
    let look = move || async move {
        let missing = lacks::now(&content.registry);
        let here = Here::of(&content.registry).lacking(&missing, &content.host).from_elsewhere();
        Ok(told(&store, here, subject).await?)
    };
    let found = site.look(look).await?;
    Ok(Json(found))
}

fn subject(query: &Query, registry: &Registry) -> Result<Subject, Problem> {
    if let Some(args) = query.text("args") {
        let Some(task) = query.text("task").filter(|_| others(query, &["task", "queue"]).is_empty()) else {
            return Err(one_subject("args names a job together with task, and queue if need be"));
        };
        let queue = query.text("queue").map(str::to_owned);
        let request = Request { task: task.to_owned(), args: arguments(Some(args), "?args")?, queue, foreign: true };
        return Ok(Subject::Job(Box::new(request.resolve_as_written(registry)?)));
    }
    match others(query, &[])[..] {
        [subject] => Ok(Subject::Named(subject, query.text(subject).unwrap_or_default().to_owned())),
        _ => Err(one_subject("expected one of the parameters job, queue, task, schedule and failed")),
    }
}

async fn told(store: &Store<Admin>, here: Here<'_>, subject: Subject) -> Result<Explanation, AdminError> {
    match subject {
        Subject::Job(job) => explain::job(store, here, JobSubject::Job(&job)).await,
        Subject::Named("job", id) => explain::job(store, here, JobSubject::Id(&id)).await,
        Subject::Named("queue", name) => explain::queue(store, here, &name).await,
        Subject::Named("task", name) => explain::task(store, here, &name).await,
        Subject::Named("schedule", name) => explain::schedule(store, here, &name).await,
        Subject::Named(_, address) => explain::failed(store, here, &address).await,
    }
}

/// The subjects that are asked about beside these.
fn others(query: &Query, known: &[&str]) -> Vec<&'static str> {
    SUBJECTS.into_iter().filter(|subject| !known.contains(subject) && query.text(subject).is_some()).collect()
}

fn one_subject(detail: &str) -> Problem {
    let detail =
        format!("{detail}; a job without an id is named by task, queue and args; GET /api/v1/attention tells of all");
    Problem::new(Kind::Malformed, detail).wrong("?", "one subject", "none or several")
}
