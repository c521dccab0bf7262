//! Whether the daemon lives, and whether it works. Open to everybody who may connect, and never in need of the store.

use axum::extract::State;
use axum::http::StatusCode;

use super::site::Site;
use super::standing::Stage;

/// What the paths of these routes begin with. They are answered also where there is no connection left for anything else.
pub(super) const PATHS: &str = "/health/";

/// `live`, or 503 and the loops that hang: then only a restart helps.
pub(super) async fn live(State(site): State<Site>) -> (StatusCode, String) {
    let stalled = site.pulses.stalled();
    if stalled.is_empty() {
        (StatusCode::OK, "live\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("hangs: {}\n", stalled.join(", ")))
    }
}

/// `ready`, or 503 and `starting`, `draining`, `store` or `exchange`: what it waits for, or that it ends.
pub(super) async fn ready(State(site): State<Site>) -> (StatusCode, &'static str) {
    match site.standing.stage() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        // Whoever asks over a connection of before means the service, and another daemon works at this address.
        Stage::Draining if site.standing.is_replaced() => (StatusCode::OK, "ready\n"),
        Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Stage::Working if site.outage.is_on() => (StatusCode::SERVICE_UNAVAILABLE, "store\n"),
        // The store takes other steps, but no jobs come or go.
        Stage::Working if site.outage.is_stuck() => (StatusCode::SERVICE_UNAVAILABLE, "exchange\n"),
        Stage::Working => (StatusCode::OK, "ready\n"),
    }
}
