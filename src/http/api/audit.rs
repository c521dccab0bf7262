//! Who changed what.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::list::{Json, List, Page, limit};
use super::query::Query;
use crate::admin::audit;
use crate::http::problem::Problem;
use crate::http::site::Site;

const LIST: List = List::new("audit");

/// How many entries were passed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Passed(usize);

/// `GET /audit`: the newest first.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (limit, passed) = (limit(&query)?, LIST.cursor::<Passed>(&query)?.map_or(0, |Passed(passed)| passed));
    let found = audit::read(&site.admin()?, passed, limit).await?;
    let scanned = found.audit.len();
    let next = found.more.then(|| LIST.next(&Passed(passed.saturating_add(scanned))));
    Ok(Json(Page::new(found.audit, next, scanned, &*site.clock)))
}
