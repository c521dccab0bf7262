//! Delayed jobs.

use axum::extract::State;
use axum::response::IntoResponse;

use super::list::{Json, List, Page, limit};
use super::query::Query;
use crate::admin::delayed_page::{self, DelayedPlace};
use crate::http::problem::Problem;
use crate::http::site::Site;

const LIST: List = List::new("delayed");

/// `GET /delayed`: the first due first.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (limit, from) = (limit(&query)?, LIST.cursor::<DelayedPlace>(&query)?);
    let found = delayed_page::page(&site.admin()?, from, limit).await?;
    let next = found.next.as_ref().map(|place| LIST.next(place));
    let scanned = found.jobs.len();
    Ok(Json(Page::new(found.jobs, next, scanned, &*site.clock)))
}
