//! Counters and leaders.

use axum::extract::State;
use axum::response::IntoResponse;

use super::list::Json;
use super::query::Query;
use crate::admin::overview;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// `GET /stats`.
pub(in crate::http) async fn stats(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(overview::stats(&site.admin()?).await?))
}

/// `GET /leader`.
pub(in crate::http) async fn leader(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(overview::leader(&site.admin()?).await?))
}

/// `GET /details`.
pub(in crate::http) async fn details(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    Ok(Json(overview::details(&site.admin()?).await?))
}

/// `GET /overview`.
pub(in crate::http) async fn overview(State(site): State<Site>, query: Query) -> Result<impl IntoResponse, Problem> {
    query.only(&[])?;
    let (store, content) = (site.admin()?, site.content());
    let summary = Box::pin(site.looks.summary(&store, &content.registry)).await?;
    Ok(Json((*summary).clone()))
}
