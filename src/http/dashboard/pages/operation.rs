//! An operation on many failed jobs: what was counted and waits for a yes, how far it is, and what came of it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::failed::why;
use crate::config::http::Role;
use crate::http::api::operations::{find, halt};
use crate::http::api::path::Name;
use crate::http::dashboard::forms::{Form, done, not_done};
use crate::http::dashboard::page::{Shell, answer};
use crate::http::dashboard::visit::Visit;
use crate::http::dashboard::words::{self, Time, encoded};
use crate::http::operation::{OperationAction, OperationState, OperationView};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// How many of the jobs that stay are named.
const NAMED: usize = 20;

#[derive(Template)]
#[template(path = "operation.html")]
struct OperationPage {
    shell: Shell,
    view: OperationView,
    began: Time,
    /// The jobs that match, below the base.
    link: String,
    /// Does it wait for a yes?
    waits: bool,
    /// May who looks say it?
    may_begin: bool,
    may_stop: bool,
    is_retry: bool,
    /// How many were looked at of those that match.
    looked_at: u64,
    stayed: Vec<String>,
    told: &'static str,
}

/// `GET /operations/{id}`.
pub(in crate::http) async fn show(visit: Visit, Name(id): Name) -> Result<Response, Problem> {
    let view = find(&visit.site, &id).await?;
    let is_retry = view.action == OperationAction::Retry;
    let shell = Shell::new(&visit, "Failed", if is_retry { "Retry many" } else { "Remove many" });
    let is_over = view.is_over();
    let page = OperationPage {
        shell: if is_over { shell } else { shell.live("operation") },
        began: Time::of(&view.began, visit.now_ms),
        link: format!("/failed?q={}", encoded(&view.filter)),
        waits: view.state == OperationState::Counted,
        may_begin: visit.may(if is_retry { Role::Operate } else { Role::Admin }),
        may_stop: !is_over && visit.may(Role::Operate),
        is_retry,
        looked_at: view.done.saturating_add(view.refused).saturating_add(view.gone),
        stayed: view.stayed.iter().take(NAMED).map(why).collect(),
        told: match view.state {
            OperationState::Counting => "counting what matches",
            OperationState::Counted => "counted; nothing is changed yet",
            OperationState::Changed => "another number matched than was expected; nothing was changed",
            OperationState::Running => "under way",
            OperationState::Done => "done",
            OperationState::Stopped => "stopped; what was done stays done",
            OperationState::Failed => "failed; what was done stays done",
            OperationState::Lost => "its daemon is gone; what was done stays done, and more may have been",
        },
        view,
    };
    answer(&page.shell, &page)
}

/// `POST /operations/{id}/stop`.
pub(in crate::http) async fn stop(State(site): State<Site>, visit: Visit, Name(id): Name, _: Form) -> Response {
    let back = format!("/operations/{}", encoded(&id));
    match halt(&site, &id).await {
        Ok(view) => done(&visit, &back, "It stops after the step that it is in.", &view),
        Err(problem) => not_done(&visit, &back, problem),
    }
}
