//! The series of the whole fleet, which every instance tells alike.
//!
//! However many ask, the store is asked once a second and once at a time. What the leader sampled of the queues is told by the
//! `samples` beside this file.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::families::{
    FAILED_JOBS, FLEET_READ, INSTANCES, PERIODIC_INTERVAL, PERIODIC_LAST_RUN, PERIODIC_LAST_SUCCESS, PERIODIC_NEXT,
    PERIODIC_OVERDUE, PERIODIC_STOPPED, PROMOTION_LAG, QUEUE_JOBS, QUEUE_PAUSED, QUEUE_PROCESSORS, WORKERS,
};
use super::own::{Labels, seconds_of_ms};
use super::page::Page;
use super::risen::Risen;
use super::samples;
use crate::admin::gauges::{GaugeReader, Gauges};
use crate::event::tally::OTHER;
use crate::http::site::Site;

/// How old the figures may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store is waited for. Who collects waits for 10 s as a rule, and the rest of the page is to arrive.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last figures.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    last: Mutex<Last>,
    risen: std::sync::Mutex<Risen>,
}

#[derive(Debug, Default)]
struct Last {
    reader: GaugeReader,
    /// When they were read, and what came of it.
    read: Option<(Instant, Option<Arc<Gauges>>)>,
}

impl Fleet {
    /// The figures; `None` if they cannot be read.
    async fn gauges(&self, site: &Site) -> Option<Arc<Gauges>> {
        let mut last = self.last.lock().await;
        let Last { reader, read } = &mut *last;
        if let Some((at, gauges)) = read
            && at.elapsed() < FRESH
        {
            return gauges.clone();
        }
        let store = site.standing.store()?.narrow();
        let registry = Arc::clone(&site.content().registry);
        let answer = timeout(PATIENCE, reader.read(&store, &registry)).await;
        let gauges = answer.ok().and_then(Result::ok).map(Arc::new);
        // A failure is remembered, too: a store that does not answer is not asked by everybody.
        *read = Some((Instant::now(), gauges.clone()));
        gauges
    }

    /// Adds the series.
    pub(super) async fn add(&self, page: &mut Page, site: &Site, labels: &Labels) {
        let gauges = self.gauges(site).await;
        page.flag(&FLEET_READ, &[], gauges.is_some());
        if let Some(gauges) = gauges {
            let mut risen = self.risen.lock().unwrap_or_else(PoisonError::into_inner);
            write(page, &gauges, labels, &mut risen);
        }
    }
}

fn write(page: &mut Page, gauges: &Gauges, labels: &Labels, risen: &mut Risen) {
    page.count(&FAILED_JOBS, &[], gauges.failed);
    page.count(&INSTANCES, &[], gauges.instances);
    for (kind, state, count) in [
        ("windlass", "claiming", gauges.workers.claiming),
        ("windlass", "halted", gauges.workers.halted),
        ("other", "claiming", gauges.workers.others),
    ] {
        page.count(&WORKERS, &[kind, state], count);
    }
    page.number(&PROMOTION_LAG, &[], gauges.promotion_lag.as_secs_f64());
    if let Some(snapshot) = &gauges.snapshot {
        samples::add(page, snapshot, labels, risen);
    }
    let mut others = None;
    for one in &gauges.queues {
        let queue = labels.queues.label(one.queue.as_str());
        if queue == OTHER {
            others = Some(others.unwrap_or(0_u64).saturating_add(one.jobs));
            continue;
        }
        page.count(&QUEUE_JOBS, &[queue], one.jobs);
        page.flag(&QUEUE_PAUSED, &[queue], one.paused);
        page.count(&QUEUE_PROCESSORS, &[queue], one.processors);
    }
    if let Some(jobs) = others {
        page.count(&QUEUE_JOBS, &[OTHER], jobs);
    }
    for one in &gauges.periodic {
        let task = labels.tasks.label(one.task.as_str());
        // Of several tasks together nothing is due.
        if task == OTHER {
            continue;
        }
        if let Some(due_s) = one.due_s {
            page.number(&PERIODIC_NEXT, &[task], seconds_of_ms(due_s.saturating_mul(1000)));
        }
        if let Some(interval) = one.interval {
            page.number(&PERIODIC_INTERVAL, &[task], interval.as_secs_f64());
        }
        page.number(&PERIODIC_OVERDUE, &[task], one.overdue.as_secs_f64());
        page.flag(&PERIODIC_STOPPED, &[task], one.stopped);
    }
    for (family, times) in [(&PERIODIC_LAST_SUCCESS, &gauges.successes), (&PERIODIC_LAST_RUN, &gauges.ends)] {
        for (name, ms) in times {
            let task = labels.tasks.label(name);
            if task != OTHER {
                page.number(family, &[task], seconds_of_ms(*ms));
            }
        }
    }
}
