//! Locks that plugins hold.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::JsonBody;
use super::list::{Json, List, Page, limit};
use super::path::Name;
use super::query::Query;
use crate::admin::error::AdminError;
use crate::admin::locks::{self, LockView};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::text::redact::Redactor;

/// How many locks are listed at most, on all pages together.
const LISTED: usize = 2000;

const LIST: List = List::new("locks");

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
    let (_, _) = (limit(&query)?, LIST.cursor::<usize>(&query)?);
    let found = locks::list(&site.admin()?, LISTED).await?;
    // Keys hold the arguments of their jobs. A key with a secret cannot be deleted by what is shown of it, and no cursor
    // names one.
    let page = Page::of_positions(found.locks, &LIST, &query, &*site.clock)?;
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
    let content = site.content();
    let deleted = async move {
        locks::delete(&store, &registry, &key).await.map_err(|error| without_secrets(error, &content.redactor))?;
        Ok(Json(LockDeleted { deleted: true, key }))
    };
    site.change(deleted).await
}

/// The nearest key is only told if nothing in it is hidden.
fn without_secrets(error: AdminError, redactor: &Redactor) -> AdminError {
    match error {
        AdminError::NotFound { what, name, suggestion } => {
            let suggestion = suggestion.filter(|key| matches!(redactor.hide(key), Cow::Borrowed(_)));
            AdminError::NotFound { what, name, suggestion }
        }
        other => other,
    }
}
