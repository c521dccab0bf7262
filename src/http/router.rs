//! All routes, and what stands around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};

use super::audited;
use super::guard::{caller, host, origin, read_only, role};
use super::outer::{self, Ids};
use super::problem::{Kind, Problem};
use super::route::Route;
use super::site::Site;
use super::{api, base, dashboard, health, index, metrics, openapi, reading};
#[cfg(test)]
use crate::config::http::Role;

/// All routes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::open("GET /health/live", get(health::live)),
        Route::open("GET /health/ready", get(health::ready)),
        Route::read("GET /", get(index::show)),
        Route::read("GET /metrics", metrics::route()),
        Route::open("GET /openapi.json", get(openapi::show)),
        Route::enqueue("POST /api/v1/tasks/{task}/jobs", post(api::jobs::of_task)),
        Route::enqueue("POST /api/v1/jobs", post(api::jobs::any)),
        Route::enqueue("POST /api/v1/jobs/bulk", post(api::bulk::enqueue)),
        Route::records("GET /api/v1/running", get(api::runs::list)),
        Route::records("GET /api/v1/jobs/{id}", get(api::runs::show)),
        Route::read("GET /api/v1/jobs/{id}/output", get(api::runs::output)),
        Route::records("GET /api/v1/jobs/{id}/result", get(api::runs::result)),
        Route::enqueue("PUT /api/v1/jobs/{id}/progress", put(api::progress::tell)),
        Route::operate("POST /api/v1/jobs/{id}/cancel", post(api::runs::cancel)),
        Route::read("GET /api/v1/tasks", get(api::tasks::list)),
        Route::read("GET /api/v1/tasks/{task}", get(api::tasks::show)),
        Route::read("GET /api/v1/tasks/{task}/runs", get(api::history::runs)),
        Route::read("GET /api/v1/queues", get(api::queues::list)),
        Route::read("GET /api/v1/queues/{queue}", get(api::queues::show)),
        Route::records("GET /api/v1/queues/{queue}/jobs", get(api::queues::jobs)),
        Route::operate("POST /api/v1/queues/{queue}/pause", post(api::queues::pause)),
        Route::operate("POST /api/v1/queues/{queue}/resume", post(api::queues::resume)),
        Route::admin("DELETE /api/v1/queues/{queue}", delete(api::queues::delete)),
        Route::operate("POST /api/v1/pause", post(api::queues::pause_all)),
        Route::operate("POST /api/v1/resume", post(api::queues::resume_all)),
        Route::records("GET /api/v1/delayed", get(api::delayed::list)),
        Route::admin("DELETE /api/v1/delayed", delete(api::delayed::delete)),
        Route::operate("POST /api/v1/delayed/{second}/promote", post(api::delayed::promote)),
        Route::read("GET /api/v1/plan", get(api::plan::show)),
        Route::read("GET /api/v1/periodic", get(api::periodic::list)),
        Route::operate("POST /api/v1/periodic/{task}/start", post(api::periodic::start)),
        Route::operate("POST /api/v1/periodic/{task}/stop", post(api::periodic::stop)),
        Route::operate("POST /api/v1/periodic/{task}/run", post(api::periodic::run)),
        Route::records("GET /api/v1/failed", get(api::failed::list)),
        Route::records("GET /api/v1/failed/groups", get(api::failed_many::groups)),
        Route::read("GET /api/v1/failed.ndjson", get(api::failed_many::export)),
        Route::operate("POST /api/v1/failed/operations", post(api::operations::begin)),
        Route::read("GET /api/v1/operations/{id}", get(api::operations::show)),
        Route::operate("DELETE /api/v1/operations/{id}", delete(api::operations::stop)),
        Route::records("GET /api/v1/failed/{id}", get(api::failed::show)),
        Route::operate("POST /api/v1/failed/{id}/retry", post(api::failed::retry)),
        Route::admin("DELETE /api/v1/failed/{id}", delete(api::failed::remove)),
        Route::records("GET /api/v1/workers", get(api::workers::list)),
        Route::admin("DELETE /api/v1/workers/{name}", delete(api::workers::clean)),
        Route::read("GET /api/v1/instances", get(api::workers::instances)),
        Route::records("GET /api/v1/locks", get(api::locks::list)),
        Route::admin("DELETE /api/v1/locks/{key}", delete(api::locks::delete)),
        Route::records("GET /api/v1/audit", get(api::audit::list)),
        Route::read("GET /api/v1/overview", get(api::overview::overview)),
        Route::read("GET /api/v1/attention", get(api::explain::attention)),
        Route::read("GET /api/v1/explain", get(api::explain::explain)),
        Route::read("GET /api/v1/history", get(api::history::show)),
        Route::read("GET /api/v1/events", get(api::events::events)),
        Route::read("GET /api/v1/stats", get(api::overview::stats)),
        Route::records("GET /api/v1/details", get(api::overview::details)),
        Route::read("GET /api/v1/leader", get(api::overview::leader)),
    ]
}

/// The router of a site.
pub(super) fn router(site: &Site) -> Router {
    let mut router = Router::new();
    let routes: Vec<Route> = routes().into_iter().chain(dashboard::routes()).collect();
    site.requests.know(routes.iter().map(|route| route.name));
    for mut route in routes {
        let path = route.path();
        if route.changes() {
            route.handler = route.handler.route_layer(from_fn_with_state((site.clone(), route.name), audited::keep));
        }
        if route.reads_records {
            route.handler =
                route.handler.route_layer(from_fn_with_state(Arc::clone(&site.readings), reading::take_turn));
        }
        let handler = match route.role {
            Some(_) if path == metrics::PATH => {
                route.handler.route_layer(from_fn_with_state(site.clone(), metrics::check))
            }
            Some(role) => route.handler.route_layer(from_fn_with_state(role, role::check)),
            None => route.handler,
        };
        router = router.route(path, handler);
    }
    let routed = router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(site.clone(), read_only::check))
        .layer(from_fn_with_state(site.clone(), caller::find))
        .layer(from_fn(origin::check))
        .layer(from_fn_with_state(site.clone(), host::check))
        .layer(from_fn_with_state((site.clone(), Arc::new(Ids::new())), outer::around))
        .with_state(site.clone());
    // Before a route is looked for.
    Router::new().fallback_service(routed).layer(from_fn_with_state(site.clone(), base::strip))
}

/// Only who is somebody learns which routes there are.
async fn unknown_route(request: Request) -> Problem {
    role::somebody(&request).err().unwrap_or_else(|| {
        let detail = format!("there is no route {} {}", request.method(), request.uri().path());
        Problem::new(Kind::UnknownRoute, detail)
    })
}

async fn wrong_method(request: Request) -> Problem {
    role::somebody(&request).err().unwrap_or_else(|| {
        let (path, method) = (request.uri().path(), request.method());
        let detail = format!("{path} does not know {method}; the header Allow lists what it knows");
        Problem::new(Kind::WrongMethod, detail)
    })
}

#[cfg(test)]
mod document;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_has_every_route_with_its_role_and_no_other() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let is_route =
            |name: &str| ["GET /", "POST /", "DELETE /", "PUT /"].iter().any(|start| name.starts_with(start));
        let told: BTreeSet<String> = rows
            .filter(|(name, _)| is_route(name))
            .map(|(name, rest)| format!("{name} | {}", rest.split(" |").next().unwrap_or_default()))
            .collect();
        let role = |route: &Route| route.role.map_or("everybody", Role::name);
        let built: BTreeSet<String> =
            routes().iter().map(|route| format!("{} | {}", route.name, role(route))).collect();
        assert_eq!(told, built);
    }
}
