//! Delayed jobs.

use axum::extract::State;
use axum::response::IntoResponse;

use super::list::{Json, List, Page, limit};
use super::query::Query;
use crate::admin::delayed_page::{self, DelayedPlace};
use crate::http::problem::Problem;
use crate::http::redact::{hide_job, hide_text};
use crate::http::site::Site;

const LIST: List = List::new("delayed");

/// `GET /delayed`: the first due first.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (limit, from) = (limit(&query)?, LIST.cursor::<DelayedPlace>(&query)?);
    let found = delayed_page::page(&site.admin()?, from, limit).await?;
    let next = found.next.as_ref().map(|place| LIST.next(place));
    let (content, mut items) = (site.content(), found.jobs);
    for view in &mut items {
        hide_job(&content.redactor, &mut view.job);
        hide_text(&content.redactor, &mut view.last_error);
    }
    let scanned = items.len();
    Ok(Json(Page::new(items, next, scanned, &*site.clock)))
}
