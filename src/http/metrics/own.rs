//! The series of this instance: what it counted, and how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::families::{
    BUILD_INFO, CHILD_RESTARTS, CHILDREN, EVENTS_DROPPED, HTTP_REQUEST_DURATION, HTTP_REQUESTS, JOB_DURATION, JOBS,
    JOBS_RUNNING, LEADER, LEASE_REMAINING, LEASES_LOST, PROCESSORS, PROCESSORS_MAX, RECOVERED, REDELIVERIES,
    RELOAD_SUCCESSFUL, RELOAD_TIME, SCHEDULING_DELAY, START_TIME, STORE_CONNECTED, STORE_ERRORS, STORE_RECONNECTS,
    STORE_REQUEST_DURATION,
};
use super::names::Names;
use super::page::{Page, Value};
use crate::event::children::Gone;
use crate::event::question::PoolFigures;
use crate::event::tally::{MOST_TASKS, OTHER, UNKNOWN};
use crate::http::requests::{BOUNDS_US, Requests, RouteRequests};
use crate::http::site::Site;
use crate::http::standing::Stage;
use crate::job::run_counts::{DURATION_BOUNDS_MS, DURATION_BUCKETS};
use crate::job::{RunEnd, TaskName};
use crate::store::meter::{Outcome, Passes};

/// How many queues have series of their own.
const MOST_QUEUES: usize = 500;

/// The listeners of the bus, in the order in which the daemon adds them.
const LISTENERS: [&str; 4] = ["log", "notify", "streams", "traces"];

/// How long the pool is waited for. One that hangs leaves out its series and delays nothing else.
const PATIENCE: Duration = Duration::from_secs(1);

/// The names that have series.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) tasks: Names,
    pub(super) queues: Names,
}

impl Default for Labels {
    fn default() -> Self {
        Self { tasks: Names::new(MOST_TASKS), queues: Names::new(MOST_QUEUES) }
    }
}

/// Adds them.
pub(super) async fn add(page: &mut Page, site: &Site, labels: &Labels) {
    jobs(page, site, labels);
    instance(page, site, labels);
    store(page, site);
    requests(page, &site.requests);
    // Before the pool works, nobody answers, and a dashboard that stands alone has none.
    if site.asked.is_none()
        && site.standing.stage() != Stage::Starting
        && let Some(pool) = site.bus.figures().pool().ask(PATIENCE).await
    {
        self::pool(page, site, &pool, labels);
    }
}

fn jobs(page: &mut Page, site: &Site, labels: &Labels) {
    let mut ends: BTreeMap<(String, String), [u64; RunEnd::ALL.len()]> = BTreeMap::new();
    let mut redelivered = 0_u64;
    for pair in site.tally.pairs() {
        let (task, queue) = (labels.tasks.label(pair.task.as_str()), labels.queues.label(pair.queue.as_str()));
        let sums = ends.entry((task.to_owned(), queue.to_owned())).or_default();
        sums.iter_mut().zip(pair.ends).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        redelivered = redelivered.saturating_add(pair.ends[RunEnd::CutOff as usize]);
    }
    // A counter that begins with its first job shows no growth by it, so every task begins with 0.
    for task in site.content().registry.iter() {
        let (task, queue) = (labels.tasks.label(task.name.as_str()), labels.queues.label(task.queue.as_str()));
        if task != OTHER && queue != OTHER {
            ends.entry((task.to_owned(), queue.to_owned())).or_default();
        }
    }
    for ((task, queue), counts) in &ends {
        for (end, count) in RunEnd::ALL.into_iter().zip(counts) {
            let is_common = matches!(end, RunEnd::Done | RunEnd::Failed | RunEnd::Retried);
            if is_common || *count > 0 {
                page.count(&JOBS, &[task, queue, end.as_str()], *count);
            }
        }
    }
    page.count(&REDELIVERIES, &[], redelivered);
    let mut durations: BTreeMap<String, (u64, [u64; DURATION_BUCKETS])> = BTreeMap::new();
    for (task, counts) in site.tally.tasks() {
        let (ms, buckets) = durations.entry(labels.tasks.label(task.as_str()).to_owned()).or_default();
        *ms = ms.saturating_add(counts.timed().1);
        buckets.iter_mut().zip(counts.durations()).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    }
    for (task, (ms, buckets)) in &durations {
        let bounds = DURATION_BOUNDS_MS.map(Duration::from_millis);
        page.add(&JOB_DURATION, &[task], histogram(Duration::from_millis(*ms), &bounds, buckets));
    }
}

fn instance(page: &mut Page, site: &Site, labels: &Labels) {
    let store = site.standing.store().map_or("", |store| store.describe().split(':').next().unwrap_or_default());
    page.count(&BUILD_INFO, &[env!("CARGO_PKG_VERSION"), store], 1);
    page.number(&START_TIME, &[], seconds_of_ms(site.started_ms));
    let seen = site.bus.figures().read();
    page.flag(&RELOAD_SUCCESSFUL, &[], !seen.reload.is_refused);
    page.number(&RELOAD_TIME, &[], seconds_of_ms(seen.reload.taken_over_ms));
    for (role, leads) in ["scheduler", "duties"].into_iter().zip(seen.leads) {
        page.flag(&LEADER, &[role], leads);
    }
    page.count(&LEASES_LOST, &[], seen.leases_lost);
    for (kind, count) in ["windlass", "other"].into_iter().zip(seen.recovered) {
        page.count(&RECOVERED, &[kind], count);
    }
    page.count(&STORE_RECONNECTS, &[], seen.outages_over);
    let mut children: BTreeMap<String, (u64, [u64; Gone::ALL.len()])> = BTreeMap::new();
    for one in seen.children {
        let (here, gone) = children.entry(labels.tasks.label(one.task.as_str()).to_owned()).or_default();
        *here += one.here;
        gone.iter_mut().zip(one.gone).for_each(|(sum, count)| *sum += count);
    }
    for (task, (here, gone)) in &children {
        page.count(&CHILDREN, &[task], *here);
        for (why, count) in Gone::ALL.into_iter().zip(gone) {
            page.count(&CHILD_RESTARTS, &[task, why.as_str()], *count);
        }
    }
    for (listener, dropped) in LISTENERS.into_iter().zip(site.bus.dropped()) {
        page.count(&EVENTS_DROPPED, &[listener], dropped);
    }
}

fn store(page: &mut Page, site: &Site) {
    let Some(store) = site.standing.store() else { return page.flag(&STORE_CONNECTED, &[], false) };
    page.flag(&STORE_CONNECTED, &[], !site.outage.is_on());
    let mut verbs: BTreeMap<&str, Vec<Passes>> = BTreeMap::new();
    for passes in store.passes() {
        // What people ask for counts together.
        let verb = if passes.by_itself { passes.arrow } else { OTHER };
        verbs.entry(verb).or_default().push(passes);
    }
    for (verb, all) in verbs {
        let bounds: Vec<Duration> =
            all.first().into_iter().flat_map(|one| &one.buckets).map(|(bound, _)| *bound).collect();
        let mut counts = vec![0; bounds.len() + 1];
        let (mut total, mut errors) = (Duration::ZERO, BTreeMap::<Outcome, u64>::new());
        for passes in &all {
            total += passes.total;
            let within: u64 = passes.buckets.iter().map(|(_, count)| count).sum();
            // What took longer than the last bound counts only in the sum.
            let each = passes.buckets.iter().map(|(_, count)| *count).chain([passes.count.saturating_sub(within)]);
            counts.iter_mut().zip(each).for_each(|(sum, count)| *sum += count);
            if passes.outcome != Outcome::Ok {
                *errors.entry(passes.outcome).or_default() += passes.count;
            }
        }
        page.add(&STORE_REQUEST_DURATION, &[verb], histogram(total, &bounds, &counts));
        for (outcome, count) in errors {
            page.count(&STORE_ERRORS, &[verb, outcome.as_str()], count);
        }
    }
}

fn requests(page: &mut Page, requests: &Requests) {
    for RouteRequests { route, classes, buckets, total } in requests.read() {
        for (class, count) in
            ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(classes).filter(|(_, count)| *count > 0)
        {
            page.count(&HTTP_REQUESTS, &[&route, class], count);
        }
        let bounds = BOUNDS_US.map(Duration::from_micros);
        page.add(&HTTP_REQUEST_DURATION, &[&route], histogram(total, &bounds, &buckets));
    }
}

fn pool(page: &mut Page, site: &Site, pool: &PoolFigures, labels: &Labels) {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    page.count(&PROCESSORS, &["busy"], count(pool.busy));
    page.count(&PROCESSORS, &["idle"], count(pool.idle));
    page.count(&PROCESSORS_MAX, &[], count(pool.most));
    page.number(&SCHEDULING_DELAY, &[], pool.delay.as_secs_f64());
    page.number(&LEASE_REMAINING, &[], pool.lease_left.as_secs_f64());
    let registry = Arc::clone(&site.content().registry);
    let mut running: BTreeMap<&str, u64> =
        registry.iter().map(|task| (labels.tasks.label(task.name.as_str()), 0)).collect();
    for (task, count) in &pool.running {
        let name = task.as_ref().map_or(UNKNOWN, TaskName::as_str);
        *running.entry(labels.tasks.label(name)).or_default() += count;
    }
    for (task, count) in running {
        page.count(&JOBS_RUNNING, &[task], count);
    }
}

/// A histogram of counts between bounds, and one above the last.
pub(super) fn histogram(sum: Duration, bounds: &[Duration], counts: &[u64]) -> Value {
    let bounds = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    Value::Histogram { sum: sum.as_secs_f64(), buckets: bounds.zip(counts.iter().copied()).collect() }
}

/// Milliseconds since the Unix epoch in seconds.
pub(super) fn seconds_of_ms(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a float holds every date in milliseconds")]
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_last_bound_is_in_the_histogram() {
        let bounds = [Duration::from_millis(1), Duration::from_secs(1)];
        let buckets = vec![(0.001, 3), (1.0, 0), (f64::INFINITY, 2)];
        assert_eq!(histogram(Duration::from_millis(2500), &bounds, &[3, 0, 2]), Value::Histogram { sum: 2.5, buckets });
    }
}
