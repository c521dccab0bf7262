//! The series of the whole fleet, which every instance tells alike.
//!
//! However many ask, the store is asked once a second and once at a time. What the leader sampled of the queues is told by the
//! `samples` beside this file.

use std::sync::PoisonError;

use super::families::{
    FAILED_JOBS, FLEET_READ, INSTANCES, PERIODIC_INTERVAL, PERIODIC_LAST_RUN, PERIODIC_LAST_SUCCESS, PERIODIC_NEXT,
    PERIODIC_OVERDUE, PERIODIC_STOPPED, PROMOTION_LAG, QUEUE_JOBS, QUEUE_PAUSED, QUEUE_PROCESSORS, WORKERS,
};
use super::own::{Labels, seconds_of_ms};
use super::page::Page;
use super::risen::Risen;
use super::samples;
use crate::admin::gauges::Gauges;
use crate::event::tally::OTHER;
use crate::http::site::Site;

/// What stays between two pages.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    risen: std::sync::Mutex<Risen>,
}

impl Fleet {
    /// Adds the series.
    pub(super) async fn add(&self, page: &mut Page, site: &Site, labels: &Labels) {
        let gauges = match site.standing.store() {
            Some(store) => Box::pin(site.looks.gauges(&store.narrow(), &site.content().registry)).await.ok(),
            None => None,
        };
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
