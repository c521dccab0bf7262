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
use crate::admin::locks;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::store::inspection::LockPlace;
use crate::text::redact::Redactor;

const LIST: List = List::new("locks");

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
    let (limit, from) = (limit(&query)?, LIST.cursor::<LockPlace>(&query)?.unwrap_or_default());
    let (locks, next) = locks::page(&site.admin()?, from, limit).await?;
    // Keys hold the arguments of their jobs. A key with a secret cannot be deleted by what is shown of it, and no cursor
    // names one.
    let (scanned, next) = (locks.len(), next.map(|next| LIST.next(&next)));
    Ok(Json(Page::new(locks, next, scanned, &*site.clock)))
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
