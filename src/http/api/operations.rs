//! Operations on many failed jobs.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::body::{JsonBody, wrong};
use super::list::Json;
use super::path::Name;
use super::query::Query;
use crate::admin::failed_search::FailedFilter;
use crate::admin::filter::Filter;
use crate::config::http::Role;
use crate::http::audited::{NoChange, Who};
use crate::http::guard::caller::Caller;
use crate::http::operation::{OperationAction, OperationState, OperationView};
use crate::http::operations::{self, Order};
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;

/// How long an answer waits for what is counted quickly.
const AT_ONCE: Duration = Duration::from_secs(1);

/// `POST /failed/operations`.
pub(in crate::http) async fn begin(
    State(site): State<Site>,
    Extension(caller): Extension<Caller>,
    Extension(who): Extension<Who>,
    query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.only(&[])?;
    let members = body.members()?.only(&["action", "filter", "expect", "dry_run"])?;
    let action = match members.string("action")?.as_deref() {
        Some("retry") => OperationAction::Retry,
        Some("remove") => OperationAction::Remove,
        other => return Err(wrong("action", "retry or remove", other.unwrap_or("nothing"))),
    };
    let only_counts = members.flag("dry_run")?;
    let Some(text) = members.string("filter")? else {
        return Err(wrong("filter", "a filter; an empty one means all failed jobs", "nothing"));
    };
    let expected: Option<u64> = match members.text("expect", "how many jobs match")? {
        Some(text) => Some(text.parse().map_err(|_| wrong("expect", "how many jobs match", &text))?),
        None => None,
    };
    let expect = match (only_counts, expected) {
        (true, _) => None,
        (false, None) => {
            let expected = "how many jobs match, which {\"dry_run\":true} tells";
            return Err(wrong("expect", expected, "nothing"));
        }
        (false, expected) => expected,
    };
    let view = order(&site, (caller, &who), action, text, expect).await?;
    let mut response = (StatusCode::ACCEPTED, Json(view)).into_response();
    if only_counts {
        response.extensions_mut().insert(NoChange);
    }
    Ok(response)
}

/// Begins an operation on those that match; without `expect` it only counts them. Waits a moment for what is done quickly.
pub(in crate::http) async fn order(
    site: &Site,
    (caller, who): (Caller, &Who),
    action: OperationAction,
    text: String,
    expect: Option<u64>,
) -> Result<OperationView, Problem> {
    if action == OperationAction::Remove && expect.is_some() && !caller.may(Role::Admin) {
        let detail = "to remove failed jobs needs a token with the role \"admin\"";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let also = Filter::parse(&text, site.clock.now_ms())
        .map_err(|error| wrong("filter", "a filter such as task:resize error:\"no space\"", &text).because(&error))?;
    let order = Order { action, text, filter: FailedFilter { also, ..FailedFilter::default() }, expect };
    let operation = operations::begin(site, order, who)?;
    let mut changes = operation.view.subscribe();
    // If it takes longer, the client asks again.
    let _ = timeout(AT_ONCE, changes.wait_for(|view| view.state != OperationState::Counting)).await;
    let view = operation.view.borrow().clone();
    if view.state == OperationState::Changed {
        let found = view.matching;
        let detail =
            format!("{found} failed jobs match, and {} were expected; nothing was changed", expect.unwrap_or(0));
        return Err(Problem::new(Kind::Changed, detail).wrong(
            "/expect",
            found.to_string(),
            expect.unwrap_or(0).to_string(),
        ));
    }
    Ok(view)
}

/// The operation of this id, of whichever process.
pub(in crate::http) async fn find(site: &Site, id: &str) -> Result<OperationView, Problem> {
    match site.operations.find(id).map(|operation| operation.view.borrow().clone()) {
        Some(view) => Ok(view),
        None => operations::elsewhere(site, id).await?.ok_or_else(|| unknown(id)),
    }
}

/// `GET /operations/{id}`.
pub(in crate::http) async fn show(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(find(&site, &id).await?))
}

/// `DELETE /operations/{id}`: it stops after the step that it is in.
pub(in crate::http) async fn stop(
    State(site): State<Site>,
    Name(id): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    body.none()?;
    Ok(Json(halt(&site, &id).await?))
}

/// Stops an operation after the step that it is in.
pub(in crate::http) async fn halt(site: &Site, id: &str) -> Result<OperationView, Problem> {
    let Some(operation) = site.operations.find(id) else {
        let view = operations::elsewhere(site, id).await?.ok_or_else(|| unknown(id))?;
        if view.is_over() {
            return Ok(view);
        }
        let detail = format!("the daemon on {:?} has operation {id:?}: ask that one to stop it", view.host());
        return Err(Problem::new(Kind::Changed, detail));
    };
    operation.brake.pull();
    let mut changes = operation.view.subscribe();
    let _ = timeout(AT_ONCE, changes.wait_for(OperationView::is_over)).await;
    let view = operation.view.borrow().clone();
    Ok(view)
}

fn unknown(id: &str) -> Problem {
    let detail = format!("there is no operation {id:?}, or it ended more than a day ago; the audit tells what it did");
    Problem::new(Kind::NotFound, detail)
}
