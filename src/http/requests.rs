//! Counts the requests of this server, by route: how they were answered, and after how long.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};

/// The upper bounds of the buckets in microseconds, inclusive. Longer requests fall into one more bucket.
pub(super) const BOUNDS_US: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// How many classes of status codes there are, from 1xx on.
const CLASSES: usize = 5;

/// What no route answers counts under this name.
const OTHER: &str = "_other";

/// The requests of a server.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// By method and path of each route.
    routes: OnceLock<HashMap<(&'static str, &'static str), Counts>>,
    other: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    classes: [AtomicU64; CLASSES],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

/// The requests to one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteRequests {
    /// `GET /path`.
    pub(super) route: String,
    /// How many were answered with 1xx, 2xx and so on.
    pub(super) classes: [u64; CLASSES],
    /// How many began to be answered within each of [`BOUNDS_US`] and not within the one before, and the rest.
    pub(super) buckets: [u64; BOUNDS_US.len() + 1],
    /// How long they took together.
    pub(super) total: Duration,
}

impl Requests {
    /// These are the routes, `GET /path`. The first call counts.
    pub(super) fn know(&self, names: impl Iterator<Item = &'static str>) {
        let routes = names.filter_map(|name| name.split_once(' ')).map(|route| (route, Counts::default()));
        let _ = self.routes.set(routes.collect());
    }

    /// A request was answered. `path` is that of the route which it took.
    pub(super) fn count(&self, method: &Method, path: Option<&str>, status: StatusCode, took: Duration) {
        // What answers GET answers HEAD.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let found = path.and_then(|path| self.routes.get()?.get(&(method, path)));
        found.unwrap_or(&self.other).count(status, took);
    }

    /// What was counted, of routes that were taken.
    pub(super) fn read(&self) -> Vec<RouteRequests> {
        let routes = self.routes.get().into_iter().flatten();
        let named = routes.map(|((method, path), counts)| counts.read(format!("{method} {path}")));
        let mut all: Vec<_> = named.chain([self.other.read(OTHER.to_owned())]).collect();
        all.retain(|one| one.classes.iter().any(|count| *count > 0));
        all.sort_by(|one, other| one.route.cmp(&other.route));
        all
    }
}

impl Counts {
    fn count(&self, status: StatusCode, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES - 1);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(us, Ordering::Relaxed);
    }

    fn read(&self, route: String) -> RouteRequests {
        RouteRequests {
            route,
            classes: self.classes.each_ref().map(|count| count.load(Ordering::Relaxed)),
            buckets: self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed)),
            total: Duration::from_micros(self.total_us.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_by_route_and_strangers_together() {
        let requests = Requests::default();
        requests.count(&Method::GET, Some("/a"), StatusCode::OK, Duration::ZERO);
        requests.know(["GET /a", "POST /a"].into_iter());
        let ms = Duration::from_millis;
        requests.count(&Method::GET, Some("/a"), StatusCode::OK, ms(1));
        requests.count(&Method::HEAD, Some("/a"), StatusCode::NOT_FOUND, ms(60_000));
        requests.count(&Method::POST, Some("/a"), StatusCode::SERVICE_UNAVAILABLE, ms(2));
        for made_up in [Method::DELETE, Method::from_bytes(b"BREW").unwrap()] {
            requests.count(&made_up, Some("/a"), StatusCode::METHOD_NOT_ALLOWED, ms(1));
        }
        requests.count(&Method::GET, None, StatusCode::NOT_FOUND, ms(1));
        let read = requests.read();
        let classes: Vec<_> = read.iter().map(|one| (one.route.as_str(), one.classes)).collect();
        let expected = [("GET /a", [0, 1, 0, 1, 0]), ("POST /a", [0, 0, 0, 0, 1]), ("_other", [0, 1, 0, 3, 0])];
        assert_eq!(classes, expected);
        assert_eq!((read[0].buckets[1], read[0].buckets[BOUNDS_US.len()], read[0].total), (1, 1, ms(60_001)));
    }
}
