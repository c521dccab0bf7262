//! Locks that plugins hold.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Cursor, Json, Page, limit};
use super::path::Name;
use super::query::Query;
use crate::admin::locks::{self, LockView};
use crate::http::problem::Problem;
use crate::http::redact::hide_line;
use crate::http::site::Site;

/// How many locks are listed at most, on all pages together.
const LISTED: usize = 2000;

/// Some of the locks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct LocksPage {
    #[serde(flatten)]
    page: Page<LockView>,
    /// Are there more locks than can be listed here? Left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// A lock that was deleted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(in crate::http) struct LockDeleted {
    /// Always.
    deleted: bool,
    /// Its key.
    key: String,
}

/// `GET /locks`.
pub(in crate::http) async fn list(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    let query = query.only(&["limit", "cursor"])?;
    let (_, _) = (limit(&query)?, Cursor::<usize>::of(&query, "locks")?);
    let found = locks::list(&site.admin()?, LISTED).await?;
    let mut page = Page::of_positions(found.locks, "locks", &query, &*site.clock)?;
    // Keys hold the arguments of their jobs. A key with a secret cannot be deleted by what is shown of it.
    let content = site.content();
    page.items.iter_mut().for_each(|lock| hide_line(&content.redactor, &mut lock.key));
    Ok(Json(LocksPage { page, more: found.more }))
}

/// `DELETE /locks/{key}`.
pub(in crate::http) async fn delete(
    State(site): State<Site>,
    Name(key): Name,
    query: Query,
    body: JsonBody,
) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    body.none()?;
    let (store, registry) = (site.admin()?, Arc::clone(&site.content().registry));
    let deleted = async move {
        locks::delete(&store, &registry, &key).await?;
        Ok(Json(LockDeleted { deleted: true, key }))
    };
    site.change(deleted).await
}
